//! `POST /key/health`.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::error::Generic;

/// How the key that asks is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyHealth {
    /// `healthy`: it was let in.
    key: &'static str,
    /// Nothing: calls are logged nowhere yet, whatever `metadata.logging` says.
    #[schema(value_type = Option<Object>)]
    logging_callbacks: Option<()>,
}

/// Says that the key that asks works, and which logging it has.
#[utoipa::path(
    post,
    path = "/key/health",
    tag = "keys",
    responses((status = 200, body = KeyHealth), crate::error::Refusals),
)]
pub(super) async fn health(actor: Actor) -> Result<Json<KeyHealth>, Generic> {
    actor.may(Permission::ReadKey, &Subject::Anything)?;
    Ok(Json(KeyHealth { key: "healthy", logging_callbacks: None }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_key_that_works_is_healthy_and_any_other_is_refused() {
        let world = World::new().await;
        let key = world.key(json!({"metadata": {"logging": []}})).await;
        let health = world.call("POST", "/key/health", &[("authorization", &format!("Bearer {key}"))], "").await.ok();
        assert_eq!(health, json!({"key": "healthy", "logging_callbacks": null}));
        world.post("/key/block", json!({"key": key})).await.ok();
        world.post_as(&key, "/key/health", json!({})).await.refused(401);
        world.post_as("sk-nobody-knows-me", "/key/health", json!({})).await.refused(401);
    }
}
