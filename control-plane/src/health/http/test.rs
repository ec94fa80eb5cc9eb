//! `GET /test`, by which LiteLLM's clients find out that they reach a gateway.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// What was reached.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reached {
    route: &'static str,
}

/// Says that this is it.
#[utoipa::path(get, path = "/test", tag = "health", responses((status = 200, body = Reached)))]
pub(super) async fn test() -> Json<Reached> {
    Json(Reached { route: "/test" })
}
