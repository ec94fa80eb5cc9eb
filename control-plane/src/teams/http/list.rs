//! `GET /team/list`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::http::query::Query;
use crate::keys::{self, KeyView};
use crate::teams::members::{self, Membership};
use crate::teams::view::{self, TeamView};
use crate::teams::{TeamError, store};

/// Most teams in the list.
const TEAMS: i64 = 10_000;

/// Most keys in the list, of all teams together.
const KEYS: i64 = 10_000;

/// Which teams to list.
#[derive(Debug)]
pub(super) struct Wanted {
    user_id: Option<String>,
    organization_id: Option<String>,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedTeams";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("user_id", Shape::Text, "Teams with this member."),
        optional("organization_id", Shape::Text, "Teams of this organization; `default_organization`: of none."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { user_id: form.take("user_id").given(), organization_id: form.take("organization_id").given() })
    }
}

type ListedTeams = Query<Wanted>;

/// A team with its keys and its members' accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedTeam {
    #[serde(flatten)]
    team: TeamView,
    team_memberships: Vec<Membership>,
    keys: Vec<KeyView>,
}

/// Lists teams by their alias. Who is no admin asks for their own.
#[utoipa::path(
    get,
    path = "/team/list",
    tag = "teams",
    params(ListedTeams),
    responses((status = 200, body = Vec<ListedTeam>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(wanted): ListedTeams,
) -> Result<Json<Vec<ListedTeam>>, Plain> {
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let is_own = wanted.user_id.is_some() && wanted.user_id == actor.user_id;
    let administered: Vec<String> = actor.administered().map(str::to_owned).collect();
    if !actor.sees_all() && !is_own && administered.is_empty() {
        return Err(TeamError::ListRefused(actor.user_id.unwrap_or_else(|| "None".to_owned())).into());
    }
    let mut db = app.db.acquire().await?;
    let mut teams = match &wanted.user_id {
        Some(user_id) => store::of_member(&mut db, user_id).await?,
        None if actor.sees_all() => store::all(&mut db, TEAMS).await?,
        None => store::of_organizations(&mut db, &administered).await?,
    };
    if !actor.sees_all() && !is_own {
        teams.retain(|team| team.organization_id.as_ref().is_some_and(|id| administered.contains(id)));
    }
    match wanted.organization_id.as_deref() {
        Some("default_organization") => teams.retain(|team| team.organization_id.is_none()),
        Some(id) => teams.retain(|team| team.organization_id.as_deref() == Some(id)),
        None => {}
    }

    let ids: Vec<String> = teams.iter().map(|team| team.team_id.clone()).collect();
    let keys = keys::of_teams(&mut db, &ids, KEYS).await?;
    let mut keys_of: HashMap<String, Vec<KeyView>> = HashMap::new();
    for key in keys::views(&mut db, keys, moment::now()).await? {
        keys_of.entry(key.team_id.clone().unwrap_or_default()).or_default().push(key);
    }
    let teams = view::views(&mut db, teams).await?;
    let mut accounts = members::memberships(&mut db, &teams).await?;
    let listed = teams.into_iter().map(|team| ListedTeam {
        team_memberships: accounts.remove(&team.team_id).unwrap_or_default(),
        keys: keys_of.remove(&team.team_id).unwrap_or_default(),
        team,
    });
    Ok(Json(listed.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn teams_are_a_bare_list_by_alias_each_with_keys_and_members() {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o", "organization_alias": "o"})).await.ok();
        world.post("/team/new", json!({"team_id": "t1", "team_alias": "b", "organization_id": "o"})).await.ok();
        world.post("/team/new", json!({"team_id": "t2", "team_alias": "a"})).await.ok();
        world.key(json!({"team_id": "t2", "key_alias": "k"})).await;
        let list = world.get("/team/list").await.ok();
        let ids: Vec<_> = list.as_array().unwrap().iter().map(|team| team["team_id"].clone()).collect();
        assert_eq!(ids, [json!("t2"), json!("t1")]);
        assert_eq!((&list[0]["keys"][0]["key_alias"], &list[1]["keys"]), (&json!("k"), &json!([])));
        assert_eq!(list[0]["team_memberships"][0]["user_id"], "default_user_id");
        for (query, id) in [("organization_id=o", "t1"), ("organization_id=default_organization", "t2")] {
            let list = world.get(&format!("/team/list?{query}")).await.ok();
            assert_eq!((list.as_array().unwrap().len(), &list[0]["team_id"]), (1, &json!(id)));
        }
    }

    #[tokio::test]
    async fn a_user_lists_their_own_teams_and_no_others() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.post("/team/new", json!({"team_id": "own", "members_with_roles": [{"user_id": "u1"}]})).await.ok();
        world.post("/team/new", json!({"team_id": "other"})).await.ok();
        let list = world.get_as(&key, "/team/list?user_id=u1").await.ok();
        assert_eq!((list.as_array().unwrap().len(), &list[0]["team_id"]), (1, &json!("own")));
        for path in ["/team/list", "/team/list?user_id=u2"] {
            let answer = world.get_as(&key, path).await;
            assert_eq!(answer.status, 401, "{path}");
            assert!(answer.body["detail"]["error"].as_str().unwrap().contains("Only admin users can query all teams"));
        }
    }
}
