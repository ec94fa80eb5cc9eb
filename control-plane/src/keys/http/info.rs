//! `GET /key/info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::http::query::Query;
use crate::keys::view::{self, KeyView, Place};
use crate::keys::{KeyError, identify, store};
use crate::teams;

/// Which key to show.
#[derive(Debug)]
pub(super) struct Which {
    key: Option<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichKey";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("key", Shape::Text, "The key or its hash. Absent: the key that asks.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { key: form.take("key").given() })
    }
}

type WhichKey = Query<Which>;

/// One key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyShown {
    /// As it was asked for; the hash where nothing was.
    key: String,
    info: KeyView,
}

/// Shows a key. A deleted one is shown as it was, with the status `deleted`.
#[utoipa::path(
    get,
    path = "/key/info",
    tag = "keys",
    params(WhichKey),
    responses((status = 200, body = KeyShown), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichKey,
) -> Result<Json<KeyShown>, Generic> {
    actor.may(Permission::ReadKey, &Subject::Anything)?;
    let hash = match &which.key {
        Some(text) => identify::hash(text),
        None => actor.key_hash(),
    };
    let hash = hash.ok_or(KeyError::NotInDatabase)?;
    let mut db = app.db.acquire().await?;
    let (key, place) = match store::by_hash(&mut db, &hash).await? {
        Some(key) => (key, Place::Live),
        None => (store::archived(&mut db, &hash).await?.ok_or(KeyError::NotInDatabase)?, Place::Archive),
    };
    let team = match &key.team_id {
        Some(team_id) => teams::find(&mut db, team_id).await?,
        None => None,
    };
    actor.may(Permission::ReadKey, &Subject::Key(&key, team.as_ref()))?;
    let info = view::view(&mut db, key, place, moment::now()).await?.without_token();
    Ok(Json(KeyShown { key: which.key.unwrap_or_else(|| hash.to_string()), info }))
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn a_key_is_found_by_value_by_hash_and_by_itself() {
        let world = World::new().await;
        let key = world.key(json!({"key_alias": "ci"})).await;
        let hash = KeyHash::of(&key).to_string();
        for (said, answer) in [
            (key.clone(), world.get(&format!("/key/info?key={key}")).await),
            (hash.clone(), world.get(&format!("/key/info?key={hash}")).await),
            (hash.clone(), world.get_as(&key, "/key/info").await),
        ] {
            let shown = answer.ok();
            assert_eq!((&shown["key"], &shown["info"]["key_alias"]), (&json!(said), &json!("ci")));
            assert!(shown["info"].get("token").is_none());
        }
        let shown = world.get(&format!("/key/info?key={hash}")).await.ok();
        insta::assert_json_snapshot!(settled(shown, &["key", "key_name", "created_at", "updated_at"]));
    }

    #[tokio::test]
    async fn spend_is_what_the_totals_say() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        sqlx::query(
            "insert into spend_totals (kind, owner_id, cost_nano_usd, total_nano_usd, last_used_at)
             values ('key', $1, 2100000, 3100000, now())",
        )
        .bind(KeyHash::of(&key).to_string())
        .execute(&world.db())
        .await
        .unwrap();
        let info = world.get_as(&key, "/key/info").await.ok()["info"].clone();
        assert_eq!((&info["spend"], &info["total_spend"]), (&json!(0.0021), &json!(0.0031)));
        assert!(info["last_active"].is_string());
    }

    #[tokio::test]
    async fn status_says_what_became_of_a_key() {
        let world = World::new().await;
        let status = async |key: &str| world.get(&format!("/key/info?key={key}")).await.ok()["info"]["status"].clone();
        let key = world.key(json!({})).await;
        assert_eq!(status(&key).await, "active");
        world.post("/key/block", json!({"key": key})).await.ok();
        assert_eq!(status(&key).await, "revoked");
        world.post("/key/delete", json!({"keys": [key]})).await.ok();
        assert_eq!(status(&key).await, "deleted");
        let key = world.key(json!({})).await;
        sqlx::query("update keys set expires_at = now() - interval '1 s'").execute(&world.db()).await.unwrap();
        assert_eq!(status(&key).await, "expired");
    }

    #[tokio::test]
    async fn unknown_keys_and_the_master_key_have_no_row() {
        let world = World::new().await;
        for path in ["/key/info?key=sk-nobody-knows-me", "/key/info?key=nonsense", "/key/info"] {
            let error = world.get(path).await.refused(404);
            assert_eq!((&error["type"], &error["param"]), (&json!("not_found_error"), &json!("key")), "{path}");
            assert_eq!(error["message"], "Key not found in database");
        }
    }

    #[tokio::test]
    async fn a_key_is_shown_to_its_user_its_team_and_viewers_and_to_nobody_else() {
        let world = World::new().await;
        let (owner, other) = (world.user("u1", "internal_user").await, world.user("u2", "internal_user").await);
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let theirs = world.key(json!({"user_id": "u1"})).await;
        let path = format!("/key/info?key={theirs}");
        world.get_as(&owner, &path).await.ok();
        world.get_as(&viewer, &path).await.ok();
        world.get_as(&other, &path).await.refused(403);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": [{"user_id": "u2"}]})).await.ok();
        world.post("/key/update", json!({"key": theirs, "team_id": "t"})).await.ok();
        world.get_as(&other, &path).await.ok();
    }
}
