//! `GET /v2/user/info`.

use axum::Json;
use axum::extract::State;
use sqlx::PgConnection;

use super::info::{WhichUser, find};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::query::Query;
use crate::teams;
use crate::users::view::{self, UserView};
use crate::users::{User, UserError};

/// Shows a user without their keys, and their teams by id. Who administers a team of theirs sees them as far as that team
/// goes.
#[utoipa::path(
    get,
    path = "/v2/user/info",
    tag = "users",
    params(WhichUser),
    responses((status = 200, body = UserView), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichUser,
) -> Result<Json<UserView>, Generic> {
    actor.may(Permission::ReadUser, &Subject::Anything)?;
    // Who may not see a user does not learn whether there is one.
    let Some(wanted) = which.user_id.or_else(|| actor.user_id.clone()) else {
        return Err(UserError::NotFound("None".to_owned()).into());
    };
    let mut db = app.db.acquire().await?;
    let user = find(&mut db, &wanted).await?.ok_or_else(|| UserError::NotFound(wanted.clone()))?;
    if actor.may(Permission::ReadUser, &Subject::User(&user.user_id)).is_ok() {
        return Ok(Json(view::view(&mut db, user).await?));
    }
    let shared = shared_teams(&mut db, &actor, &user).await?;
    match shared.is_empty() {
        true => Err(UserError::NotFound(wanted).into()),
        false => Ok(Json(view::view(&mut db, user).await?.within(&shared))),
    }
}

/// The teams of the user that the actor administers.
async fn shared_teams(db: &mut PgConnection, actor: &Actor, user: &User) -> sqlx::Result<Vec<String>> {
    let mut teams = teams::of_member(db, &user.user_id).await?;
    teams.retain(|team| actor.may(Permission::ManageTeam, &Subject::Team(team)).is_ok());
    Ok(teams.into_iter().map(|team| team.team_id).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn users_see_themselves_and_admins_everybody() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        for (key, path) in
            [(&key, "/v2/user/info"), (&key, "/v2/user/info?user_id=u1"), (&viewer, "/v2/user/info?user_id=u1")]
        {
            let shown = world.get_as(key, path).await.ok();
            assert_eq!((&shown["user_id"], &shown["user_role"]), (&json!("u1"), &json!("internal_user")));
            assert!(shown.get("keys").is_none() && shown["teams"].is_array(), "{shown}");
        }
        world.get("/v2/user/info?user_id=u1").await.ok();
    }

    #[tokio::test]
    async fn an_admin_of_their_team_sees_them_as_far_as_the_team_goes() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let mate = world.user("mate", "internal_user").await;
        let body = json!({
            "user_id": "u1", "user_alias": "Ada", "user_email": "a@b.c", "metadata": {"salary": 1}, "team_id": "other",
            "sso_user_id": "s1", "soft_budget": 3, "max_budget": 5, "auto_create_key": false,
        });
        world.post("/user/new", body).await.ok();
        let roster = json!([
            {"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "mate"}, {"role": "user", "user_id": "u1"},
        ]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        world.post("/team/new", json!({"team_id": "other", "members_with_roles": [{"user_id": "u1"}]})).await.ok();
        let shown = world.get_as(&boss, "/v2/user/info?user_id=u1").await.ok();
        assert_eq!((&shown["user_alias"], &shown["teams"]), (&json!("Ada"), &json!(["t"])));
        assert_eq!((&shown["user_email"], &shown["metadata"]), (&json!("a@b.c"), &json!({})));
        assert_eq!((&shown["team_id"], &shown["sso_user_id"]), (&json!(null), &json!(null)));
        assert!(shown.get("soft_budget").is_none());
        world.get_as(&mate, "/v2/user/info?user_id=u1").await.refused(404);
    }

    #[tokio::test]
    async fn who_may_not_see_a_user_learns_no_more_than_of_one_who_is_none() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.user("u2", "internal_user").await;
        let (other, nobody) = (
            world.get_as(&key, "/v2/user/info?user_id=u2").await.refused(404),
            world.get_as(&key, "/v2/user/info?user_id=u3").await.refused(404),
        );
        assert_eq!(other["message"].as_str().unwrap().replace("u2", "u3"), nobody["message"]);
        world.get("/v2/user/info").await.refused(404);
        let nobodys = world.key(json!({})).await;
        world.get_as(&nobodys, "/v2/user/info").await.refused(404);
    }
}
