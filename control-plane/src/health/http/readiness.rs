//! `GET /health/readiness`: the control plane is ready while it reaches its database. (Data planes are ready without.)

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// How long the database may take for nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the control plane is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// `connected` or `Not connected`.
    db: &'static str,
    /// Seconds since the start.
    uptime_seconds: u64,
}

/// Says whether the control plane can work.
#[utoipa::path(
    get,
    path = "/health/readiness",
    tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)),
)]
pub(super) async fn readiness(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let (status, readiness) = look(&app).await;
    (status, Json(readiness))
}

/// Asks the database.
pub(super) async fn look(app: &App) -> (StatusCode, Readiness) {
    let uptime_seconds = app.started.elapsed().as_secs();
    let asked = tokio::time::timeout(PATIENCE, sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&app.db)).await;
    match asked {
        Ok(Ok(_)) => (StatusCode::OK, Readiness { status: "healthy", db: "connected", uptime_seconds }),
        Ok(Err(_)) | Err(_) => {
            let readiness = Readiness { status: "unhealthy", db: "Not connected", uptime_seconds };
            (StatusCode::SERVICE_UNAVAILABLE, readiness)
        }
    }
}
