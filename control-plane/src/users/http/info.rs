//! `GET /user/info`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::http::query::Query;
use crate::keys::{self, KeyView};
use crate::teams::{self, TeamView};
use crate::users::view::{self, UserView};
use crate::users::{User, UserError, store};

/// Most keys and most teams that are shown; `/key/list` has pages.
const SHOWN: i64 = 1_000;

/// Which user to show.
#[derive(Debug)]
pub(super) struct Which {
    pub(super) user_id: Option<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichUser";
    const FIELDS: &'static [&'static [Field]] = &[&[optional(
        "user_id",
        Shape::Text,
        "The user. Absent: the user behind the key; for admins everybody's keys and teams.",
    )]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { user_id: form.take("user_id").given() })
    }
}

pub(super) type WhichUser = Query<Which>;

/// A user, their keys and their teams.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserShown {
    user_id: Option<String>,
    user_info: Option<UserView>,
    keys: Vec<KeyView>,
    teams: Vec<TeamView>,
}

/// Shows a user.
#[utoipa::path(
    get,
    path = "/user/info",
    tag = "users",
    params(WhichUser),
    responses((status = 200, body = UserShown), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichUser,
) -> Result<Json<UserShown>, Generic> {
    actor.may(Permission::ReadUser, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let Some(user_id) = which.user_id else {
        return own(&mut db, &actor).await;
    };
    actor.may(Permission::ReadUser, &Subject::User(&user_id))?;
    let user = find(&mut db, &user_id).await?.ok_or_else(|| UserError::NotFound(user_id.clone()))?;
    let keys = keys::of_user(&mut db, Some(&user.user_id), SHOWN).await?;
    let teams = teams_of(&mut db, Some(&user), &user.user_id).await?;
    show(&mut db, Some(user.user_id.clone()), Some(user), keys, teams).await
}

/// Without an id: admins get everything, others themselves.
async fn own(db: &mut PgConnection, actor: &Actor) -> Result<Json<UserShown>, Generic> {
    let user = match &actor.user_id {
        Some(user_id) => store::by_id(db, user_id).await?,
        None => None,
    };
    let (keys, teams) = match (actor.sees_all(), &actor.user_id) {
        (true, _) => (keys::of_user(db, None, SHOWN).await?, teams::all(db, SHOWN).await?),
        (false, Some(user_id)) => {
            (keys::of_user(db, Some(user_id), SHOWN).await?, teams_of(db, user.as_ref(), user_id).await?)
        }
        (false, None) => (actor.key().cloned().into_iter().collect(), Vec::new()),
    };
    show(db, actor.user_id.clone(), user, keys, teams).await
}

/// The user with this id. A `+` that a client wrote as it is has come to us as a space.
pub(super) async fn find(db: &mut PgConnection, user_id: &str) -> Result<Option<User>, UserError> {
    match store::by_id(db, user_id).await? {
        None if user_id.contains(' ') => Ok(store::by_id(db, &user_id.replace(' ', "+")).await?),
        found => Ok(found),
    }
}

/// Teams with the user on their roster, and teams on the user's own list.
async fn teams_of(db: &mut PgConnection, user: Option<&User>, user_id: &str) -> sqlx::Result<Vec<teams::Team>> {
    let mut found = teams::of_member(db, user_id).await?;
    let listed = user.map(|user| user.teams.as_slice()).unwrap_or_default();
    let missing: Vec<String> =
        listed.iter().filter(|id| found.iter().all(|team| team.team_id != **id)).cloned().collect();
    if !missing.is_empty() {
        found.extend(teams::among(db, &missing).await?);
    }
    Ok(found)
}

async fn show(
    db: &mut PgConnection,
    user_id: Option<String>,
    user: Option<User>,
    keys: Vec<keys::Key>,
    teams: Vec<teams::Team>,
) -> Result<Json<UserShown>, Generic> {
    let aliases: HashMap<String, Option<String>> =
        teams.iter().map(|team| (team.team_id.clone(), team.alias.clone())).collect();
    let user_info = match user {
        Some(user) => Some(view::view(db, user).await?),
        None => None,
    };
    let mut keys = keys::views(db, keys, moment::now()).await?;
    for key in &mut keys {
        key.team_alias = key.team_id.as_ref().and_then(|id| aliases.get(id)).cloned().flatten();
    }
    let teams = teams::views(db, teams).await?;
    Ok(Json(UserShown { user_id, user_info, keys, teams }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_user_is_shown_with_keys_teams_and_spend() {
        let world = World::new().await;
        world
            .post("/team/new", json!({"team_id": "t", "team_alias": "dev", "members_with_roles": [{"user_id": "u1"}]}))
            .await
            .ok();
        world.key(json!({"user_id": "u1", "team_id": "t"})).await;
        sqlx::query("insert into spend_totals (kind, owner_id, cost_nano_usd) values ('user', 'u1', 250000000)")
            .execute(&world.db())
            .await
            .unwrap();
        let shown = world.get("/user/info?user_id=u1").await.ok();
        assert_eq!((&shown["user_id"], &shown["user_info"]["spend"]), (&json!("u1"), &json!(0.25)));
        assert_eq!(shown["user_info"]["user_role"], "internal_user");
        assert_eq!((shown["keys"].as_array().unwrap().len(), &shown["keys"][0]["team_alias"]), (1, &json!("dev")));
        assert!(shown["keys"][0]["token"].is_string());
        assert_eq!(shown["teams"][0]["team_id"], "t");
    }

    #[tokio::test]
    async fn without_an_id_everybody_gets_themselves_and_admins_everything() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.key(json!({})).await;
        let own = world.get_as(&key, "/user/info").await.ok();
        assert_eq!((&own["user_id"], own["keys"].as_array().unwrap().len()), (&json!("u1"), 2));
        let all = world.get("/user/info").await.ok();
        assert_eq!((&all["user_info"], all["keys"].as_array().unwrap().len()), (&json!(null), 3));
    }

    #[tokio::test]
    async fn others_and_unknown_users_are_not_shown() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.get_as(&key, "/user/info?user_id=u1").await.ok();
        world.get_as(&key, "/user/info?user_id=u2").await.refused(403);
        let error = world.get("/user/info?user_id=u2").await.refused(404);
        assert_eq!(error["type"], "internal_server_error");
    }

    #[tokio::test]
    async fn a_plus_in_an_id_may_come_as_it_is() {
        let world = World::new().await;
        world.post("/user/new", json!({"user_id": "a+b@c.d"})).await.ok();
        for path in ["/user/info?user_id=a+b@c.d", "/user/info?user_id=a%2Bb@c.d"] {
            assert_eq!(world.get(path).await.ok()["user_info"]["user_id"], "a+b@c.d");
        }
    }
}
