//! `GET /access_group/list` and `GET /access_group/{group}/info`.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::access_groups::{AccessGroup, AccessGroupError, all, find};
use crate::app::App;
use crate::error::Plain;
use crate::models;

/// All groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccessGroupList {
    access_groups: Vec<AccessGroup>,
}

/// Shows all groups with their models.
#[utoipa::path(
    get,
    path = "/access_group/list",
    tag = "access groups",
    responses((status = 200, body = AccessGroupList), crate::error::Refusals),
)]
pub(super) async fn list(State(app): State<App>, actor: Actor) -> Result<Json<AccessGroupList>, Plain> {
    actor.may(Permission::ReadAccessGroup, &Subject::Anything)?;
    let rows = models::all(&mut *app.db.acquire().await?).await?;
    Ok(Json(AccessGroupList { access_groups: all(&rows) }))
}

/// Shows a group with its models.
#[utoipa::path(
    get,
    path = "/access_group/{group}/info",
    tag = "access groups",
    params(("group" = String, Path, description = "The name of the group.")),
    responses((status = 200, body = AccessGroup), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Path(group): Path<String>,
) -> Result<Json<AccessGroup>, Plain> {
    actor.may(Permission::ReadAccessGroup, &Subject::Anything)?;
    let rows = models::all(&mut *app.db.acquire().await?).await?;
    Ok(Json(find(&rows, &group).ok_or(AccessGroupError::NotFound(group))?))
}
