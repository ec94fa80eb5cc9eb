//! `DELETE /access_group/{group}/delete`. Its tests are [`super::new`]'s.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::access_groups::{AccessGroupError, find, is_in, locked, put};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::models::Origin;

/// A group that is no more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedGroup {
    access_group: String,
    models_updated: usize,
    message: String,
}

/// Takes all models out of a group, which is its end. Lists that name it allow nothing by it any more.
#[utoipa::path(
    delete,
    path = "/access_group/{group}/delete",
    tag = "access groups",
    params(Wait, ("group" = String, Path, description = "The name of the group.")),
    responses((status = 200, body = RemovedGroup), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    Path(group): Path<String>,
    wait: Wait,
) -> Result<Changed<RemovedGroup>, Plain> {
    actor.may(Permission::ChangeAccessGroup, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let rows = locked(change.db()).await?;
    if find(&rows, &group).is_none() {
        return Err(AccessGroupError::NotFound(group).into());
    }
    if rows.iter().any(|row| row.origin == Origin::File && is_in(row, &group)) {
        return Err(AccessGroupError::InFile(group).into());
    }
    let models_updated = put(&mut change, &rows, &group, &[]).await?;
    let published = change.commit(wait).await?;
    let message = format!("Access group '{group}' deleted successfully");
    let view = RemovedGroup { access_group: group, models_updated, message };
    Ok(Changed { view, published, unknown: Vec::new() })
}
