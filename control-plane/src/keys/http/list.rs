//! `GET /key/list`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::http::query::{Query, in_range};
use crate::keys::page::{self, Filter, Order, Page, Status};
use crate::keys::view::{self, KeyView};
use crate::teams::{self, Standing};

const SORTS: &[&str] = &["spend", "max_budget", "created_at", "updated_at", "token", "key_alias"];

/// Which keys to list, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: Filter,
    page: Page,
    shown: Shown,
}

/// What stands for a key in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Hashes,
    Rows,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedKeys";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("page", Shape::Whole, "The page, from 1."),
        optional("size", Shape::Whole, "Keys on a page, 1 to 100; 10 where nothing is said."),
        optional("user_id", Shape::Text, "Keys of this user."),
        optional("team_id", Shape::Text, "Keys of this team."),
        optional("organization_id", Shape::Text, "Keys of this organization."),
        optional("project_id", Shape::Text, "Keys of this project."),
        optional("agent_id", Shape::Text, "Keys of this agent."),
        optional("access_group_id", Shape::Text, "Keys in this access group."),
        optional("key_hash", Shape::Text, "The key with this hash."),
        optional("key_alias", Shape::Text, "Keys with this alias."),
        optional("search", Shape::Text, "Keys with this hash, or with this in their alias."),
        optional("substring_matching", Shape::Truth, "Whether `key_alias` and `user_id` may be parts."),
        optional("status", Shape::Choice(&["active", "expired", "revoked", "deleted"]), "Keys in this state."),
        optional("expires", Shape::Choice(&["active", "expired"]), "Keys that live, or that have expired."),
        optional("include_team_keys", Shape::Truth, "Also keys of teams that the caller administers."),
        optional("include_created_by_keys", Shape::Truth, "Also keys that the caller made."),
        optional("return_full_object", Shape::Truth, "Whether to show keys instead of hashes."),
        optional("expand", Shape::Texts, "`user`: show keys instead of hashes."),
        optional("sort_by", Shape::Choice(SORTS), "What to sort by; `created_at` where nothing is said."),
        optional("sort_order", Shape::Choice(&["asc", "desc"]), "`desc` where nothing is said."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let page = in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?;
        let size = in_range("size", form.take("size").given().unwrap_or(10), 1, 100)?;
        let full = form.take("return_full_object").given().unwrap_or(false);
        let expand = form.take::<Vec<String>>("expand").given().unwrap_or_default();
        let status = match form.take::<String>("status").given().as_deref() {
            Some("active") => Some(Status::Active),
            Some("expired") => Some(Status::Expired),
            Some("revoked") => Some(Status::Revoked),
            Some("deleted") => Some(Status::Deleted),
            Some(_) | None => None,
        };
        let sort = form.take::<String>("sort_by").given();
        let ascending = form.take::<String>("sort_order").given().as_deref() == Some("asc");
        Ok(Self {
            filter: Filter {
                user_id: form.take("user_id").given(),
                team_id: form.take("team_id").given(),
                organization_id: form.take("organization_id").given(),
                project_id: form.take("project_id").given(),
                agent_id: form.take("agent_id").given(),
                access_group_id: form.take("access_group_id").given(),
                key_hash: form.take("key_hash").given(),
                key_alias: form.take("key_alias").given(),
                search: form.take("search").given(),
                matching: match form.take("substring_matching").given() {
                    Some(true) => page::Matching::Parts,
                    Some(false) | None => page::Matching::Whole,
                },
                status,
                alive: form.take::<String>("expires").given().map(|text| match text.as_str() {
                    "expired" => page::Alive::Expired,
                    _ => page::Alive::Lives,
                }),
                of_teams_too: form.take("include_team_keys").given().unwrap_or(false).then(Vec::new),
                made_by_too: form.take("include_created_by_keys").given().unwrap_or(false).then(String::new),
            },
            page: Page {
                offset: (page - 1) * size,
                size,
                number: page,
                sort: page::Sort::named(sort.as_deref()),
                order: if ascending { Order::Ascending } else { Order::Descending },
            },
            shown: match full || expand.iter().any(|name| name == "user") {
                true => Shown::Rows,
                false => Shown::Hashes,
            },
        })
    }
}

type ListedKeys = Query<Wanted>;

/// One page of keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyPage {
    keys: Keys,
    total_count: i64,
    current_page: i64,
    total_pages: i64,
}

/// Hashes, or whole keys where they were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Keys {
    Hashes(Vec<String>),
    Rows(Vec<KeyView>),
}

/// Lists keys, newest first. Who is no admin sees their own.
#[utoipa::path(
    get,
    path = "/key/list",
    tag = "keys",
    params(ListedKeys),
    responses((status = 200, body = KeyPage), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(mut wanted): ListedKeys,
) -> Result<Json<KeyPage>, Generic> {
    actor.may(Permission::ReadKey, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let administered = match &actor.user_id {
        Some(user_id) if wanted.filter.of_teams_too.is_some() => {
            let teams = teams::of_member(&mut db, user_id).await?;
            teams
                .into_iter()
                .filter(|team| team.standing(user_id) == Standing::Admin)
                .map(|team| team.team_id)
                .collect()
        }
        Some(_) | None => Vec::new(),
    };
    if let Some(team_id) = wanted.filter.team_id.as_deref().filter(|_| !actor.sees_all()) {
        let team = teams::find(&mut db, team_id).await?;
        let member = actor.user_id.as_deref().zip(team.as_ref()).map(|(user_id, team)| team.standing(user_id));
        if matches!(member, None | Some(Standing::Outside)) {
            return Err(AccessError::ListRefused(format!("You are not a member of team={team_id}.")).into());
        }
    }
    narrow(&mut wanted.filter, &actor, administered)?;

    let now = moment::now();
    let total_count = page::count(&mut db, &wanted.filter, now).await?;
    let keys = page::read(&mut db, &wanted.filter, &wanted.page, now).await?;
    let keys = match (wanted.shown, wanted.filter.status) {
        (Shown::Hashes, _) => Keys::Hashes(keys.iter().map(|key| key.hash.to_string()).collect()),
        (Shown::Rows, Some(Status::Deleted)) => Keys::Rows(view::archived_views(&mut db, keys, now).await?),
        (Shown::Rows, _) => Keys::Rows(view::views(&mut db, keys, now).await?),
    };
    let (size, current_page) = (wanted.page.size, wanted.page.number);
    Ok(Json(KeyPage { keys, total_count, current_page, total_pages: (total_count + size - 1) / size }))
}

/// Completes the filter with what only the actor tells, and keeps who is no admin to their own keys.
fn narrow(filter: &mut Filter, actor: &Actor, administered: Vec<String>) -> Result<(), AccessError> {
    if let Some(teams) = &mut filter.of_teams_too {
        *teams = administered;
    }
    if filter.made_by_too.is_some() {
        filter.made_by_too.clone_from(&actor.user_id);
    }
    if actor.sees_all() {
        return Ok(());
    }
    let Some(own) = &actor.user_id else {
        return Err(AccessError::ListRefused("A key that belongs to no user cannot list keys.".to_owned()));
    };
    if filter.user_id.as_ref().is_some_and(|user_id| user_id != own) {
        return Err(AccessError::ListRefused("You are not authorized to check another user's keys.".to_owned()));
    }
    filter.user_id = Some(own.clone());
    filter.matching = page::Matching::Whole;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn hash(key: &str) -> Value {
        json!(KeyHash::of(key).to_string())
    }

    #[tokio::test]
    async fn keys_are_listed_newest_first_page_by_page() {
        let world = World::new().await;
        let mut keys = Vec::new();
        for number in 0..5 {
            keys.push(world.key(json!({"key_alias": format!("k{number}")})).await);
        }
        let page = world.get("/key/list?size=2&page=2").await.ok();
        assert_eq!(page["keys"], json!([hash(&keys[2]), hash(&keys[1])]));
        assert_eq!(
            (&page["total_count"], &page["current_page"], &page["total_pages"]),
            (&json!(5), &json!(2), &json!(3))
        );
        let page = world.get("/key/list?sort_by=key_alias&sort_order=asc&size=1&return_full_object=true").await.ok();
        assert_eq!((&page["keys"][0]["key_alias"], &page["keys"][0]["token"]), (&json!("k0"), &hash(&keys[0])));
        assert_eq!(world.get("/key/list?page=9").await.ok()["keys"], json!([]));
        for sort in ["spend", "max_budget", "updated_at", "token"] {
            assert_eq!(world.get(&format!("/key/list?sort_by={sort}")).await.ok()["total_count"], 5, "{sort}");
        }
    }

    #[tokio::test]
    async fn every_filter_filters() {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o1", "organization_alias": "o"})).await.ok();
        let one = world
            .key(json!({
                "key_alias": "First", "user_id": "u1", "team_id": "t1", "organization_id": "o1", "project_id": "p1",
                "agent_id": "a1", "access_group_ids": ["g1"],
            }))
            .await;
        let two = world.key(json!({"key_alias": "second", "user_id": "u2", "blocked": true})).await;
        let gone = world.key(json!({"key_alias": "third"})).await;
        world.post("/key/delete", json!({"keys": [gone]})).await.ok();
        let by_hash = format!("key_hash={}", KeyHash::of(&one));
        for (query, expected) in [
            ("user_id=u1", &one),
            ("team_id=t1", &one),
            ("organization_id=o1", &one),
            ("project_id=p1", &one),
            ("agent_id=a1", &one),
            ("access_group_id=g1", &one),
            (&by_hash, &one),
            ("key_alias=First", &one),
            ("key_alias=IRS&substring_matching=true", &one),
            ("search=eco", &two),
            ("status=active", &one),
            ("status=revoked", &two),
            ("status=deleted", &gone),
            ("user_id=U2&substring_matching=true", &two),
        ] {
            let found = world.get(&format!("/key/list?{query}")).await.ok();
            assert_eq!((&found["keys"], &found["total_count"]), (&json!([hash(expected)]), &json!(1)), "{query}");
        }
        for query in ["status=expired", "expires=expired", "key_alias=irs", "user_id=nobody"] {
            assert_eq!(world.get(&format!("/key/list?{query}")).await.ok()["total_count"], 0, "{query}");
        }
        let deleted = world.get("/key/list?status=deleted&expand=user").await.ok();
        assert_eq!(deleted["keys"][0]["status"], "deleted");
    }

    #[tokio::test]
    async fn a_user_sees_their_own_keys_and_asks_for_no_others() {
        let world = World::new().await;
        let own = world.user("u1", "internal_user").await;
        world.key(json!({"user_id": "u2"})).await;
        assert_eq!(world.get_as(&own, "/key/list").await.ok()["total_count"], 2);
        let error = world.get_as(&own, "/key/list?user_id=u2").await.refused(403);
        assert_eq!(error["type"], "bad_request_error");
        world.get_as(&own, "/key/list?team_id=t").await.refused(403);
        // A part of the own id is not the own id.
        assert_eq!(world.get_as(&own, "/key/list?user_id=u1&substring_matching=true").await.ok()["total_count"], 2);
        let nobodys = world.key(json!({})).await;
        world.get_as(&nobodys, "/key/list").await.refused(403);
    }

    #[tokio::test]
    async fn a_team_admin_may_see_keys_of_the_team_too() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        world.key(json!({"user_id": "u2", "team_id": "t"})).await;
        assert_eq!(world.get_as(&boss, "/key/list").await.ok()["total_count"], 2);
        assert_eq!(world.get_as(&boss, "/key/list?include_team_keys=true").await.ok()["total_count"], 3);
    }

    #[tokio::test]
    async fn pages_have_a_size() {
        let world = World::new().await;
        assert_eq!(world.get("/key/list?size=101").await.issues(), [json!(["query", "size"])]);
        assert_eq!(world.get("/key/list?page=0").await.issues(), [json!(["query", "page"])]);
        assert_eq!(
            world.get("/key/list?page=x&status=odd").await.issues(),
            [json!(["query", "page"]), json!(["query", "status"])]
        );
    }
}
