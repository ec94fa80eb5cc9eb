//! `GET /get/allowed_ips`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::addresses::store::{self, Stored};
use crate::app::App;
use crate::error::Generic;

/// The list that is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllowedIps {
    /// Null: callers from everywhere are let in.
    data: Option<Vec<String>>,
}

/// Shows from where callers are let in.
#[utoipa::path(
    get,
    path = "/get/allowed_ips",
    tag = "settings",
    responses((status = 200, body = AllowedIps), crate::error::Refusals),
)]
pub(super) async fn list(State(app): State<App>, actor: Actor) -> Result<Json<AllowedIps>, Generic> {
    actor.may(Permission::ReadAddresses, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let Stored { of_file, of_api } = store::read(&mut db).await?;
    Ok(Json(AllowedIps { data: of_api.or(of_file).filter(|list| !list.is_empty()) }))
}
