//! `GET /v2/team/list`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::{Query, in_range};
use crate::keys;
use crate::teams::TeamError;
use crate::teams::page::{self, Filter, Order, Organization, Page, Sort};
use crate::teams::view::{self, TeamView};

/// Which teams to list, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: Filter,
    page: Page,
}

impl Request for Wanted {
    const NAME: &'static str = "TeamsOfPage";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("user_id", Shape::Text, "Teams with this member."),
        optional("organization_id", Shape::Text, "Teams of this organization; `default_organization`: of none."),
        optional("team_id", Shape::Text, "The team with this id."),
        optional("team_alias", Shape::Text, "Teams with this in their alias."),
        optional("search", Shape::Text, "Teams with this in their id or alias."),
        optional("page", Shape::Whole, "The page, from 1."),
        optional("page_size", Shape::Whole, "Teams on a page, 1 to 100; 10 where nothing is said."),
        optional("sort_by", Shape::Choice(Sort::NAMES), "What to sort by; `team_alias` where nothing is said."),
        optional("sort_order", Shape::Choice(&["asc", "desc"]), "`asc` where nothing is said."),
        optional("status", Shape::Text, "`deleted` is refused: deleted teams are not kept."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        if let Some(status) = form.take::<String>("status").given() {
            return Err(vec![Issue {
                kind: "value_error",
                loc: vec!["query".into(), "status".into()],
                msg: "Deleted teams are not kept, and all others are listed: leave it out".to_owned(),
                input: Value::String(status),
            }]);
        }
        let number = in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?;
        let size = in_range("page_size", form.take("page_size").given().unwrap_or(10), 1, 100)?;
        let descending = form.take::<String>("sort_order").given().as_deref() == Some("desc");
        Ok(Self {
            filter: Filter {
                user_id: form.take("user_id").given(),
                organization: form.take::<String>("organization_id").given().map(|id| match id.as_str() {
                    "default_organization" => Organization::None,
                    _ => Organization::Of(id),
                }),
                team_id: form.take("team_id").given(),
                alias: form.take("team_alias").given(),
                search: form.take("search").given(),
            },
            page: Page {
                number,
                offset: (number - 1) * size,
                size,
                sort: Sort::named(form.take::<String>("sort_by").given().as_deref()),
                order: if descending { Order::Descending } else { Order::Ascending },
            },
        })
    }
}

type TeamsOfPage = Query<Wanted>;

/// One page of teams.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TeamPage {
    teams: Vec<TeamOfPage>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

/// A team, and how many keys it has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TeamOfPage {
    #[serde(flatten)]
    team: TeamView,
    keys_count: i64,
}

/// Lists teams page by page. Who is no admin asks for their own.
#[utoipa::path(
    get,
    path = "/v2/team/list",
    tag = "teams",
    params(TeamsOfPage),
    responses((status = 200, body = TeamPage), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Wanted { filter, page }): TeamsOfPage,
) -> Result<Json<TeamPage>, Plain> {
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let is_own = filter.user_id.is_some() && filter.user_id == actor.user_id;
    let is_administered = matches!(&filter.organization, Some(Organization::Of(id)) if actor.administers(id));
    if !actor.sees_all() && !is_own && !is_administered {
        return Err(TeamError::ListRefused(actor.user_id.unwrap_or_else(|| "None".to_owned())).into());
    }
    let mut db = app.db.acquire().await?;
    let total = page::count(&mut db, &filter).await?;
    let teams = page::read(&mut db, &filter, &page).await?;
    let ids: Vec<String> = teams.iter().map(|team| team.team_id.clone()).collect();
    let mut counts = keys::counts_of_teams(&mut db, &ids).await?;
    let teams = view::views(&mut db, teams).await?.into_iter();
    let listed = teams.map(|team| TeamOfPage { keys_count: counts.remove(&team.team_id).unwrap_or(0), team });
    Ok(Json(TeamPage {
        teams: listed.collect(),
        total,
        page: page.number,
        page_size: page.size,
        total_pages: (total + page.size - 1) / page.size,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn ids(page: &Value) -> Vec<&str> {
        page["teams"].as_array().unwrap().iter().map(|team| team["team_id"].as_str().unwrap()).collect()
    }

    async fn world_of_three() -> World {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o", "organization_alias": "o"})).await.ok();
        for body in [
            json!({"team_id": "t1", "team_alias": "Cars", "organization_id": "o", "members_with_roles": [{"user_id": "u1"}]}),
            json!({"team_id": "t2", "team_alias": "apples"}),
            json!({"team_id": "t3", "team_alias": "boats", "members_with_roles": [{"user_id": "u1"}]}),
        ] {
            world.post("/team/new", body).await.ok();
        }
        world
    }

    #[tokio::test]
    async fn teams_are_listed_page_by_page_with_their_keys_counted() {
        let world = world_of_three().await;
        world.key(json!({"team_id": "t3"})).await;
        let page = world.get("/v2/team/list?sort_by=team_id&page_size=2&page=2").await.ok();
        assert_eq!((ids(&page), &page["teams"][0]["keys_count"]), (vec!["t3"], &json!(1)));
        assert_eq!(page["teams"][0]["members_with_roles"][0]["user_id"], "u1");
        let figures = ["total", "page", "page_size", "total_pages"].map(|name| page[name].clone());
        assert_eq!(figures, [json!(3), json!(2), json!(2), json!(2)]);
        assert_eq!(ids(&world.get("/v2/team/list?sort_by=created_at&sort_order=desc").await.ok()), ["t3", "t2", "t1"]);
        let by_alias = world.get("/v2/team/list").await.ok();
        let down = world.get("/v2/team/list?sort_by=team_alias&sort_order=desc").await.ok();
        assert!(ids(&by_alias).into_iter().eq(ids(&down).into_iter().rev()));
    }

    #[tokio::test]
    async fn every_filter_filters() {
        let world = world_of_three().await;
        for (query, expected) in [
            ("user_id=u1", vec!["t1", "t3"]),
            ("user_id=u", vec![]),
            ("organization_id=o", vec!["t1"]),
            ("organization_id=default_organization", vec!["t2", "t3"]),
            ("team_id=t2", vec!["t2"]),
            ("team_id=t", vec![]),
            ("team_alias=CAR", vec!["t1"]),
            ("search=T3", vec!["t3"]),
            ("search=oat&user_id=u1", vec!["t3"]),
            ("team_alias=%25", vec![]),
        ] {
            let found = world.get(&format!("/v2/team/list?sort_by=team_id&{query}")).await.ok();
            assert_eq!((ids(&found), &found["total"]), (expected.clone(), &json!(expected.len())), "{query}");
        }
    }

    #[tokio::test]
    async fn a_user_lists_their_own_teams_and_bad_queries_are_told() {
        let world = world_of_three().await;
        let own = world.user("u9", "internal_user").await;
        world.post("/team/member_add", json!({"team_id": "t2", "member": {"user_id": "u9"}})).await.ok();
        assert_eq!(ids(&world.get_as(&own, "/v2/team/list?user_id=u9").await.ok()), ["t2"]);
        for path in ["/v2/team/list", "/v2/team/list?user_id=u1"] {
            let answer = world.get_as(&own, path).await;
            assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (401, true), "{path}");
        }
        for (query, field) in [
            ("page=0", "page"),
            ("page_size=101", "page_size"),
            ("sort_by=spend", "sort_by"),
            ("sort_order=up", "sort_order"),
            ("status=deleted", "status"),
        ] {
            assert_eq!(
                world.get(&format!("/v2/team/list?{query}")).await.issues(),
                [json!(["query", field])],
                "{query}"
            );
        }
    }
}
