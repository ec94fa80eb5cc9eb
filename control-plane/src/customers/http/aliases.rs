//! The other names of `/customer/…`: `/end_user/…`, and two that older documents write with `/user/`. They do the same.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::block::{self, BlockedCustomers, StillBlocked};
use super::delete::{self, RemovedCustomers, WhichCustomers};
use super::info::{self, WhichCustomer};
use super::list::{self, ListedCustomers};
use super::new::{self, NewCustomerBody};
use super::update::{self, CustomerPatchBody};
use crate::access::Actor;
use crate::app::App;
use crate::change::Wait;
use crate::customers::view::CustomerView;
use crate::error::{Generic, Plain};
use crate::http::answer::Changed;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(end_user_new))
        .routes(routes!(end_user_update))
        .routes(routes!(end_user_info))
        .routes(routes!(end_user_list))
        .routes(routes!(end_user_delete))
        .routes(routes!(end_user_block))
        .routes(routes!(end_user_unblock))
        .routes(routes!(user_block))
        .routes(routes!(user_unblock))
}

/// As `/customer/new`.
#[utoipa::path(
    post,
    path = "/end_user/new",
    tag = "customers",
    params(Wait),
    request_body = NewCustomerBody,
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
async fn end_user_new(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: NewCustomerBody,
) -> Result<Changed<CustomerView>, Generic> {
    new::new(app, actor, wait, body).await
}

/// As `/customer/update`.
#[utoipa::path(
    post,
    path = "/end_user/update",
    tag = "customers",
    params(Wait),
    request_body = CustomerPatchBody,
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
async fn end_user_update(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: CustomerPatchBody,
) -> Result<Changed<CustomerView>, Generic> {
    update::update(app, actor, wait, body).await
}

/// As `/customer/info`.
#[utoipa::path(
    get,
    path = "/end_user/info",
    tag = "customers",
    params(WhichCustomer),
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
async fn end_user_info(app: State<App>, actor: Actor, which: WhichCustomer) -> Result<Json<CustomerView>, Generic> {
    info::info(app, actor, which).await
}

/// As `/customer/list`.
#[utoipa::path(
    get,
    path = "/end_user/list",
    tag = "customers",
    params(ListedCustomers),
    responses((status = 200, body = Vec<CustomerView>), crate::error::Refusals),
)]
async fn end_user_list(
    app: State<App>,
    actor: Actor,
    which: ListedCustomers,
) -> Result<Json<Vec<CustomerView>>, Generic> {
    list::list(app, actor, which).await
}

/// As `/customer/delete`.
#[utoipa::path(
    post,
    path = "/end_user/delete",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = RemovedCustomers), crate::error::Refusals),
)]
async fn end_user_delete(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichCustomers,
) -> Result<Changed<RemovedCustomers>, Generic> {
    delete::delete(app, actor, wait, body).await
}

/// As `/customer/block`.
#[utoipa::path(
    post,
    path = "/end_user/block",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = BlockedCustomers), crate::error::Refusals),
)]
async fn end_user_block(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichCustomers,
) -> Result<Changed<BlockedCustomers>, Plain> {
    block::block(app, actor, wait, body).await
}

/// As `/customer/unblock`.
#[utoipa::path(
    post,
    path = "/end_user/unblock",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = StillBlocked), crate::error::Refusals),
)]
async fn end_user_unblock(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichCustomers,
) -> Result<Changed<StillBlocked>, Plain> {
    block::unblock(app, actor, wait, body).await
}

/// As `/customer/block`.
#[utoipa::path(
    post,
    path = "/user/block",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = BlockedCustomers), crate::error::Refusals),
)]
async fn user_block(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichCustomers,
) -> Result<Changed<BlockedCustomers>, Plain> {
    block::block(app, actor, wait, body).await
}

/// As `/customer/unblock`.
#[utoipa::path(
    post,
    path = "/user/unblock",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = StillBlocked), crate::error::Refusals),
)]
async fn user_unblock(
    app: State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichCustomers,
) -> Result<Changed<StillBlocked>, Plain> {
    block::unblock(app, actor, wait, body).await
}
