//! `GET /fleet`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::publish::{DataPlaneView, feed};

/// The data planes of one control plane.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FleetView {
    /// The lineage of the database.
    #[schema(value_type = String)]
    epoch: Uuid,
    /// The newest revision: what every data plane should hold.
    revision: u64,
    /// Connected to this control plane; each control plane knows its own.
    data_planes: Vec<DataPlaneView>,
}

/// Shows the connected data planes and what each holds.
#[utoipa::path(get, path = "/fleet", tag = "health", responses((status = 200, body = FleetView), crate::error::Refusals))]
pub(super) async fn fleet(State(app): State<App>, actor: Actor) -> Result<Json<FleetView>, Generic> {
    actor.may(Permission::ReadFleet, &Subject::Anything)?;
    let (epoch, revision) = feed::current(&app.db).await?;
    Ok(Json(FleetView { epoch, revision, data_planes: app.publisher.fleet() }))
}
