//! `GET /team/available`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::teams::{Member, Standing, store};
use crate::users::{self, UserError};

/// A team as somebody sees it who is not in it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenTeam {
    team_id: String,
    team_alias: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    /// Always empty: who is in a team is for its members to see.
    members_with_roles: Vec<Member>,
}

/// Lists the teams that the caller may join by themselves with `/team/member_add`, and is not in: those among
/// `litellm_settings.default_internal_user_params.available_teams`.
#[utoipa::path(
    get,
    path = "/team/available",
    tag = "teams",
    responses((status = 200, body = Vec<OpenTeam>), crate::error::Refusals),
)]
pub(super) async fn available(State(app): State<App>, actor: Actor) -> Result<Json<Vec<OpenTeam>>, Generic> {
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let open = store::open_to_users(&mut db).await?;
    if open.is_empty() {
        return Ok(Json(Vec::new()));
    }
    let user = match &actor.user_id {
        Some(user_id) => users::find(&mut db, user_id).await?,
        None => None,
    };
    let user = user.ok_or_else(|| UserError::NotFound(actor.user_id.unwrap_or_else(|| "None".to_owned())))?;
    let teams = store::among(&mut db, &open).await?.into_iter();
    let others =
        teams.filter(|team| team.standing(&user.user_id) == Standing::Outside && !user.teams.contains(&team.team_id));
    let shown = others.map(|team| OpenTeam {
        team_id: team.team_id,
        team_alias: team.alias,
        organization_id: team.organization_id,
        models: team.models,
        members_with_roles: Vec::new(),
    });
    Ok(Json(shown.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_with_open_teams() -> World {
        let world = World::new().await;
        let set = json!({"default_internal_user_params": {"available_teams": ["open", "other", "unmade"]}});
        sqlx::query("insert into settings (section, origin, value) values ('litellm_settings', 'file', $1)")
            .bind(set)
            .execute(&world.db())
            .await
            .unwrap();
        for team in ["open", "other", "closed"] {
            world.post("/team/new", json!({"team_id": team, "team_alias": team, "metadata": {"a": 1}})).await.ok();
        }
        world
    }

    fn ids(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|team| team["team_id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_user_finds_an_open_team_joins_it_and_then_it_is_theirs() {
        let world = world_with_open_teams().await;
        let key = world.user("u1", "internal_user").await;
        let list = world.get_as(&key, "/team/available").await.ok();
        assert_eq!(ids(&list), ["open", "other"]);
        assert_eq!((&list[0]["members_with_roles"], list[0].get("metadata")), (&json!([]), None));
        let joins = json!({"team_id": "open", "member": {"role": "user", "user_id": "u1"}});
        world.post_as(&key, "/team/member_add", joins.clone()).await.ok();
        assert_eq!(ids(&world.get_as(&key, "/team/available").await.ok()), ["other"]);
        assert_eq!(world.get_as(&key, "/team/info?team_id=open").await.ok()["team_id"], "open");
        let error = world.post_as(&key, "/team/member_add", joins).await.refused(400);
        assert_eq!(error["type"], "team_member_already_in_team");
    }

    #[tokio::test]
    async fn nobody_joins_as_more_for_others_or_what_is_not_open() {
        let world = world_with_open_teams().await;
        let key = world.user("u1", "internal_user").await;
        let (reader, other) = (world.user("r", "internal_user_viewer").await, world.user("u2", "internal_user").await);
        for (key, team, member) in [
            (&key, "open", json!({"role": "admin", "user_id": "u1"})),
            (&key, "open", json!({"user_id": "u2"})),
            (&key, "open", json!([{"user_id": "u1"}, {"user_id": "u2"}])),
            (&key, "open", json!({"user_id": "u1", "user_email": "boss@b.c"})),
            (&key, "closed", json!({"user_id": "u1"})),
            (&key, "unmade", json!({"user_id": "u1"})),
            (&reader, "open", json!({"user_id": "r"})),
            (&other, "open", json!({"user_email": "x@y.z"})),
        ] {
            world.post_as(key, "/team/member_add", json!({"team_id": team, "member": member})).await.refused(401);
        }
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }

    #[tokio::test]
    async fn without_the_setting_there_are_none_and_somebody_unknown_is_told() {
        let world = World::new().await;
        assert_eq!(world.get("/team/available").await.ok(), json!([]));
        let world = world_with_open_teams().await;
        world.get("/team/available").await.refused(404);
        let nobodys = world.key(json!({})).await;
        world.get_as(&nobodys, "/team/available").await.refused(404);
    }
}
