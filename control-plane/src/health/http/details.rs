//! `GET /health/readiness/details`: what `/health/readiness` does not tell strangers.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use utoipa::ToSchema;

use super::readiness::{Readiness, look};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;

/// How the control plane is, in detail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Details {
    #[serde(flatten)]
    readiness: Readiness,
    /// Null: answers are not cached here.
    cache: Option<&'static str>,
    /// The release of this gateway.
    litellm_version: &'static str,
    /// Empty: calls are logged nowhere yet.
    success_callbacks: [&'static str; 0],
    log_level: String,
    is_detailed_debug: bool,
    /// How many are connected to this control plane.
    data_planes: usize,
}

/// Says how the control plane is, to whoever has a key.
#[utoipa::path(
    get,
    path = "/health/readiness/details",
    tag = "health",
    responses((status = 200, body = Details), crate::error::Refusals),
)]
pub(super) async fn details(State(app): State<App>, actor: Actor) -> Result<Json<Details>, Generic> {
    actor.may(Permission::ReadHealth, &Subject::Anything)?;
    let level = LevelFilter::current();
    Ok(Json(Details {
        readiness: look(&app).await.1,
        cache: None,
        litellm_version: env!("CARGO_PKG_VERSION"),
        success_callbacks: [],
        log_level: level.to_string().to_uppercase(),
        is_detailed_debug: level >= LevelFilter::DEBUG,
        data_planes: app.publisher.fleet().len(),
    }))
}
