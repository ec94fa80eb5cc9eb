//! `POST /user/new`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment::{self, Moment};
use crate::keys::{self, Minted, Rules};
use crate::spend::Total;
use crate::teams::{self, Member, MemberRole};
use crate::users::making::{self, NewUser};
use crate::users::view::UserView;
use crate::users::{self, Defaults, UserError};

type NewUserBody = Body<NewUser>;

/// A new user, and the value of their key.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeUser {
    /// The user's key; empty where none was wanted. It is not stored and not shown again.
    key: String,
    key_name: Option<String>,
    key_alias: Option<String>,
    token: Option<String>,
    token_id: Option<String>,
    duration: Option<String>,
    expires: Option<Moment>,
    created_by: Option<String>,
    #[serde(flatten)]
    user: UserView,
}

/// Makes a user and, unless told not to, a key with the user's models.
#[utoipa::path(
    post,
    path = "/user/new",
    tag = "users",
    params(Wait),
    request_body = NewUserBody,
    responses((status = 200, body = MadeUser), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: mut new, unknown }: NewUserBody,
) -> Result<Changed<MadeUser>, Generic> {
    actor.may(Permission::CreateUser, &Subject::Anything)?;
    let now = moment::now();
    let wanted_key = new.key.take();
    let mut change = Change::begin(&app, &actor).await?;
    let defaults = Defaults::read(&mut change).await.map_err(UserError::from)?;
    let has_own_teams = new.teams.is_some();
    let user = making::make(new, &defaults, now)?;
    // Teams first, as everybody locks them before users.
    let role = |team_id: &String| match defaults.teams().iter().find(|team| team.team_id == *team_id) {
        Some(team) if !has_own_teams => team.role,
        Some(_) | None => MemberRole::User,
    };
    let member = |role| Member { role, user_id: Some(user.user_id.clone()), user_email: user.email.clone() };
    let places: Vec<_> = user.teams.iter().map(|team_id| (team_id.clone(), member(role(team_id)))).collect();
    teams::admit(&mut change, &places, now).await?;
    users::add(&mut change, &user).await?;
    let minted = match wanted_key {
        Some(mut key) => {
            key.user_id = Some(user.user_id.clone());
            key.models.clone_from(&user.models);
            let rules = Rules::read(&mut change).await.map_err(UserError::from)?;
            let minted = keys::mint(key, None, &rules, &actor, now, rand::random()).map_err(UserError::from)?;
            keys::add(&mut change, &minted.key).await.map_err(UserError::from)?;
            Some(minted)
        }
        None => None,
    };
    let published = change.commit(wait).await?;

    let view = made(minted, actor.user_id, UserView::of(user, Total::default()));
    Ok(Changed { view, published, unknown })
}

fn made(minted: Option<Minted>, created_by: Option<String>, user: UserView) -> MadeUser {
    let duration = minted.as_ref().and_then(|minted| minted.duration.clone());
    let (key, value) = minted.map(|minted| (minted.key, minted.value)).unzip();
    let token = key.as_ref().map(|key| key.hash.to_string());
    MadeUser {
        key: value.unwrap_or_default(),
        key_name: key.as_ref().and_then(|key| key.masked.clone()),
        key_alias: key.as_ref().and_then(|key| key.alias.clone()),
        token_id: token.clone(),
        token,
        duration,
        expires: key.and_then(|key| key.expires_at).map(Moment),
        created_by,
        user,
    }
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_user_gets_a_key_with_their_models_and_no_budget() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let body = json!({
            "user_id": "u1", "user_email": "a@b.c", "user_role": "internal_user", "models": ["m"], "max_budget": 5,
            "teams": ["t", {"team_id": "unmade"}], "duration": "30d", "key_alias": "first",
        });
        let made = world.post("/user/new", body).await.ok();
        let key = made["key"].as_str().unwrap();
        assert_eq!(made["token"], KeyHash::of(key).to_string());
        assert_eq!((&made["user_id"], &made["user_role"]), (&json!("u1"), &json!("internal_user")));
        assert_eq!((&made["max_budget"], &made["teams"]), (&json!(5.0), &json!(["t", "unmade"])));
        assert!(made["expires"].is_string());
        let info = world.get_as(key, "/key/info").await.ok()["info"].clone();
        assert_eq!(
            (&info["models"], &info["max_budget"], &info["user_id"]),
            (&json!(["m"]), &json!(null), &json!("u1"))
        );
        let team = world.get("/team/info?team_id=t").await.ok();
        assert_eq!(team["team_info"]["members_with_roles"][1]["user_id"], "u1");
        assert_eq!(world.count("audit_log where revision = 2").await, 3, "the team, the user and the key");
    }

    #[tokio::test]
    async fn a_user_without_a_key_has_an_empty_one() {
        let world = World::new().await;
        let made = world.post("/user/new", json!({"auto_create_key": false})).await.ok();
        assert_eq!((&made["key"], &made["token"]), (&json!(""), &json!(null)));
        assert_eq!(made["user_id"].as_str().unwrap().len(), 36);
        assert_eq!(world.count("keys").await, 0);
    }

    #[tokio::test]
    async fn a_taken_id_or_address_is_a_conflict_and_makes_nothing() {
        let world = World::new().await;
        world.post("/user/new", json!({"user_id": "u1", "user_email": "a@b.c"})).await.ok();
        world.post("/user/new", json!({"user_id": "u1"})).await.refused(409);
        world.post("/user/new", json!({"user_email": "A@B.C"})).await.refused(409);
        world.key(json!({"key_alias": "taken"})).await;
        let error = world.post("/user/new", json!({"user_id": "u2", "key_alias": "taken"})).await.refused(400);
        assert_eq!(error["param"], "key_alias");
        assert_eq!((world.count("users").await, world.count("keys").await), (1, 2));
    }

    #[tokio::test]
    async fn passwords_odd_roles_and_strangers_are_refused() {
        let world = World::new().await;
        assert_eq!(world.post("/user/new", json!({"password": "hush"})).await.issues(), [json!(["body", "password"])]);
        assert_eq!(
            world.post("/user/new", json!({"user_role": "king"})).await.issues(),
            [json!(["body", "user_role"])]
        );
        assert_eq!(world.post("/user/new", json!({"teams": "t"})).await.issues(), [json!(["body", "teams"])]);
        let key = world.user("u1", "internal_user").await;
        let error = world.post_as(&key, "/user/new", json!({"user_role": "proxy_admin"})).await.refused(401);
        assert!(error["message"].as_str().unwrap().contains("Only proxy admin"));
    }
}
