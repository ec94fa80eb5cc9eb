//! `GET /health/liveliness`, and under its proper name `GET /health/liveness`.

use axum::Json;

/// Says that the process runs.
#[utoipa::path(get, path = "/health/liveliness", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn liveliness() -> Json<&'static str> {
    Json("I'm alive!")
}

/// Says that the process runs.
#[utoipa::path(get, path = "/health/liveness", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn liveness() -> Json<&'static str> {
    Json("I'm alive!")
}
