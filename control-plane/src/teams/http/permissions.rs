//! `GET /team/permissions_list` and `POST /team/permissions_update`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::managed::{self, finish};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::Wait;
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::query::Query;
use crate::teams::view::TeamView;
use crate::teams::{TeamError, permissions, store};

/// Whose permissions to show.
#[derive(Debug)]
pub(super) struct Which {
    team_id: String,
}

impl Request for Which {
    const NAME: &'static str = "PermissionsOfTeam";
    const FIELDS: &'static [&'static [Field]] = &[&[required("team_id", Shape::Text, "The team.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { team_id: form.take("team_id").given().unwrap_or_default() })
    }
}

/// What members of a team may do from now on.
#[derive(Debug)]
pub(super) struct Granted {
    team_id: String,
    permissions: Vec<String>,
}

impl Request for Granted {
    const NAME: &'static str = "NewPermissionsOfTeam";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("team_id", Shape::Text, "The team."),
        required("team_member_permissions", Shape::Texts, "Routes that members may call for keys of the team."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let permissions: Vec<String> = form.take("team_member_permissions").given().unwrap_or_default();
        let is_unknown = |(_, permission): &(usize, &String)| !permissions::ALL.contains(&permission.as_str());
        let issue = |(index, permission): (usize, &String)| {
            let place = [Value::from("body"), "team_member_permissions".into(), index.into()];
            let msg = format!("Input should be one of {}", permissions::ALL.join(", "));
            Issue { kind: "enum", loc: place.to_vec(), msg, input: permission.clone().into() }
        };
        // The message is long: a few of them say enough.
        let issues: Vec<Issue> = permissions.iter().enumerate().filter(is_unknown).map(issue).take(10).collect();
        match issues.is_empty() {
            true => Ok(Self { team_id: form.take("team_id").given().unwrap_or_default(), permissions }),
            false => Err(issues),
        }
    }
}

type PermissionsOfTeam = Query<Which>;
type NewPermissions = Body<Granted>;

/// What members of a team may do with its keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Permissions {
    team_id: String,
    team_member_permissions: Vec<String>,
    all_available_permissions: &'static [&'static str],
}

/// Shows what members of a team may do with its keys, to them and to admins.
#[utoipa::path(
    get,
    path = "/team/permissions_list",
    tag = "teams",
    params(PermissionsOfTeam),
    responses((status = 200, body = Permissions), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Which { team_id }): PermissionsOfTeam,
) -> Result<Json<Permissions>, Generic> {
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let team = match store::by_id(&mut db, &team_id).await? {
        Some(team) => team,
        None if actor.sees_all() => return Err(TeamError::NotFound(team_id).into()),
        // Who may not see all teams does not learn which there are.
        None => return Err(actor.no_access_to_team(&team_id).into()),
    };
    actor.may(Permission::ReadTeam, &Subject::Team(&team))?;
    Ok(Json(Permissions {
        team_id,
        team_member_permissions: permissions::of(&team),
        all_available_permissions: permissions::ALL,
    }))
}

/// Says what members of a team may do with its keys. What they always may needs no saying.
#[utoipa::path(
    post,
    path = "/team/permissions_update",
    tag = "teams",
    params(Wait),
    request_body = NewPermissions,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Granted { team_id, permissions }, unknown }: NewPermissions,
) -> Result<Changed<TeamView>, Generic> {
    let (change, before) = managed::begin(&app, &actor, Permission::ManageTeam, &team_id).await?;
    let mut team = before.clone();
    permissions::set(&mut team, permissions);
    let (view, published) = finish(change, &before, team, wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    async fn world_with_team() -> (World, String, String) {
        let world = World::new().await;
        let (boss, member) = (world.user("boss", "internal_user").await, world.user("u1", "internal_user").await);
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "u1"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        (world, boss, member)
    }

    #[tokio::test]
    async fn members_may_do_what_an_admin_of_the_team_grants_until_it_is_taken_back() {
        let (world, boss, member) = world_with_team().await;
        let makes = json!({"team_id": "t"});
        world.post_as(&member, "/key/generate", makes.clone()).await.refused(401);
        let grant = json!({"team_id": "t", "team_member_permissions": ["/key/generate", "/key/info", "/key/generate"]});
        let row = world.post_as(&boss, "/team/permissions_update", grant).await.ok();
        assert_eq!(row["team_id"], "t");
        world.post_as(&member, "/key/generate", makes.clone()).await.ok();
        let list = world.get_as(&member, "/team/permissions_list?team_id=t").await.ok();
        assert_eq!(list["team_member_permissions"], json!(["/key/info", "/key/health", "/key/generate"]));
        assert!(list["all_available_permissions"].as_array().unwrap().contains(&json!("/key/delete")));
        let nothing = json!({"team_id": "t", "team_member_permissions": []});
        world.post_as(&boss, "/team/permissions_update", nothing).await.ok();
        world.post_as(&member, "/key/generate", makes).await.refused(401);
        let list = world.get("/team/permissions_list?team_id=t").await.ok();
        assert_eq!(list["team_member_permissions"], json!(["/key/info", "/key/health"]));
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 2);
    }

    #[tokio::test]
    async fn nobody_else_sees_or_grants_and_unknown_permissions_are_told() {
        let (world, boss, member) = world_with_team().await;
        let stranger = world.user("u2", "internal_user").await;
        let grant = json!({"team_id": "t", "team_member_permissions": ["/key/generate"]});
        for key in [&member, &stranger] {
            world.post_as(key, "/team/permissions_update", grant.clone()).await.refused(401);
        }
        let seen = world.get_as(&stranger, "/team/permissions_list?team_id=t").await.refused(403);
        let unknown = world.get_as(&stranger, "/team/permissions_list?team_id=x").await.refused(403);
        assert_eq!(seen["message"].as_str().unwrap().replace("=t.", "=x."), unknown["message"]);
        world.get("/team/permissions_list?team_id=x").await.refused(404);
        let none = json!({"team_id": "x", "team_member_permissions": []});
        world.post("/team/permissions_update", none.clone()).await.refused(404);
        world.post_as(&boss, "/team/permissions_update", none).await.refused(401);
        assert_eq!(world.get("/team/permissions_list").await.issues(), [json!(["query", "team_id"])]);
        let odd = json!({"team_id": "t", "team_member_permissions": ["/key/info", "/team/new", "*"]});
        assert_eq!(
            world.post("/team/permissions_update", odd).await.issues(),
            [json!(["body", "team_member_permissions", 1]), json!(["body", "team_member_permissions", 2])]
        );
        assert_eq!(
            world.post("/team/permissions_update", json!({"team_id": "t"})).await.issues(),
            [json!(["body", "team_member_permissions"])]
        );
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
