//! `GET /fleet`, and `POST /fleet/confirm_shrink`.

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

/// The data planes that get what they refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfirmedView {
    /// Their ids; empty where none had refused anything.
    data_planes: Vec<String>,
}

/// Says that the snapshot is meant to leave so much less than data planes hold: those that refused it take it now.
///
/// It holds for what was refused until now by data planes of this control plane, and changes nothing in the database.
#[utoipa::path(post, path = "/fleet/confirm_shrink", tag = "health", responses((status = 200, body = ConfirmedView), crate::error::Refusals))]
pub(super) async fn confirm_shrink(State(app): State<App>, actor: Actor) -> Result<Json<ConfirmedView>, Generic> {
    actor.may(Permission::ChangeFleet, &Subject::Anything)?;
    let data_planes = app.publisher.confirm_shrink();
    tracing::warn!(?data_planes, "an admin confirms that far fewer objects are meant");
    Ok(Json(ConfirmedView { data_planes }))
}
