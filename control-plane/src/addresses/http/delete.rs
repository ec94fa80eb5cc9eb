//! `POST /delete/allowed_ip`.

use axum::Extension;
use axum::extract::State;
use proto::address::Network;

use super::{AllowedIp, AllowedIpBody, ChangedList};
use crate::access::{Actor, CallerAddress, Permission, Subject};
use crate::addresses::{AddressError, place, put, to_change};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;

/// Takes an address or a network from the list. Without the last one, callers from everywhere are let in again.
#[utoipa::path(
    post,
    path = "/delete/allowed_ip",
    tag = "settings",
    params(Wait),
    request_body = AllowedIpBody,
    responses((status = 200, body = ChangedList), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    Extension(own): Extension<CallerAddress>,
    wait: Wait,
    Body { asked: AllowedIp { ip }, unknown }: AllowedIpBody,
) -> Result<Changed<ChangedList>, Generic> {
    actor.may(Permission::ChangeAddresses, &Subject::Anything)?;
    let network: Network = ip.parse().map_err(AddressError::from)?;
    let mut change = Change::begin(&app, &actor).await?;
    let before = to_change(&mut change).await?;
    let place = place(&before, network).ok_or(AddressError::Absent)?;
    let mut after = before.clone();
    after.remove(place);
    put(&mut change, &before, &after, own).await?;
    let published = change.commit(wait).await?;
    let message = format!("IP {} deleted successfully", ip.trim());
    Ok(Changed { view: ChangedList { message, status: "success" }, published, unknown })
}
