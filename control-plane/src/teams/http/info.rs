//! `GET /team/info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::AuthStyle;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::http::query::Query;
use crate::keys::{self, KeyView};
use crate::teams::members::{self, Membership};
use crate::teams::view::{self, TeamView};
use crate::teams::{TeamError, store};

/// Most keys that are shown with a team; `/key/list` has pages.
const KEYS: i64 = 1_000;

/// Which team to show.
#[derive(Debug)]
pub(super) struct Which {
    team_id: Option<String>,
    key_limit: i64,
}

impl Request for Which {
    const NAME: &'static str = "WhichTeam";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("team_id", Shape::Text, "The team. Required."),
        optional("key_limit", Shape::Whole, "Most keys to show, up to 1000."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let key_limit = form.take("key_limit").given().unwrap_or(KEYS).clamp(0, KEYS);
        Ok(Self { team_id: form.take("team_id").given(), key_limit })
    }
}

type WhichTeam = Query<Which>;

/// A team, its keys and its members' accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TeamShown {
    team_id: String,
    team_info: TeamView,
    /// Keys that have not expired, newest first.
    keys: Vec<KeyView>,
    team_memberships: Vec<Membership>,
}

/// Shows a team.
#[utoipa::path(
    get,
    path = "/team/info",
    tag = "teams",
    params(WhichTeam),
    responses((status = 200, body = TeamShown), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichTeam,
) -> Result<Json<TeamShown>, AuthStyle> {
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let now = moment::now();
    let mut db = app.db.acquire().await?;
    let team_id = which.team_id.ok_or(TeamError::NoId)?;
    let found = store::by_id(&mut db, &team_id).await?;
    let team = found.ok_or_else(|| TeamError::NotFound(team_id.clone()))?;
    actor.may(Permission::ReadTeam, &Subject::Team(&team))?;
    let mut keys = keys::of_teams(&mut db, std::slice::from_ref(&team_id), which.key_limit).await?;
    keys.retain(|key| key.expires_at.is_none_or(|at| at >= now));
    let keys = keys::views(&mut db, keys, now).await?;
    let team_info = view::view(&mut db, team).await?;
    let mut accounts = members::memberships(&mut db, std::slice::from_ref(&team_info)).await?;
    Ok(Json(TeamShown {
        team_memberships: accounts.remove(&team_id).unwrap_or_default(),
        team_id,
        team_info,
        keys: keys.into_iter().map(KeyView::without_token).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_team_is_shown_with_its_keys_and_members() {
        let world = World::new().await;
        let body = json!({"team_id": "t", "model_aliases": {"x": "a"}, "members_with_roles": [{"user_id": "u1"}]});
        world.post("/team/new", body).await.ok();
        world.key(json!({"team_id": "t", "key_alias": "k"})).await;
        world.key(json!({"team_id": "t", "duration": "0s"})).await;
        sqlx::query("insert into spend_totals (kind, owner_id, cost_nano_usd) values ('team', 't', 1500000000)")
            .execute(&world.db())
            .await
            .unwrap();
        let shown = world.get("/team/info?team_id=t").await.ok();
        assert_eq!((&shown["team_id"], &shown["team_info"]["spend"]), (&json!("t"), &json!(1.5)));
        assert_eq!(shown["team_info"]["litellm_model_table"], json!({"model_aliases": {"x": "a"}}));
        assert_eq!(shown["keys"].as_array().unwrap().len(), 1, "an expired key is not shown");
        assert_eq!(shown["keys"][0]["key_alias"], "k");
        assert!(shown["keys"][0].get("token").is_none());
        let members: Vec<_> =
            shown["team_memberships"].as_array().unwrap().iter().map(|one| one["user_id"].clone()).collect();
        assert_eq!(members, [json!("u1"), json!("default_user_id")]);
    }

    #[tokio::test]
    async fn a_team_is_shown_to_its_keys_and_members_and_to_nobody_else() {
        let world = World::new().await;
        let (member, other) = (world.user("u1", "internal_user").await, world.user("u2", "internal_user").await);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": [{"user_id": "u1"}]})).await.ok();
        let of_team = world.key(json!({"team_id": "t"})).await;
        for key in [member, of_team] {
            world.get_as(&key, "/team/info?team_id=t").await.ok();
        }
        let error = world.get_as(&other, "/team/info?team_id=t").await.refused(403);
        assert_eq!(error["type"], "auth_error");
        world.get("/team/info?team_id=unknown").await.refused(404);
        assert_eq!(world.get("/team/info").await.refused(422)["type"], "auth_error");
        assert_eq!(world.get("/team/info?team_id=t&key_limit=x").await.issues(), [json!(["query", "key_limit"])]);
    }
}
