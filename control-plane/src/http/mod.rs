//! The admin API: every slice's routes, what they share at the rim, and their documentation.
//!
//! Reading requests is [`fields`], [`body`] and [`query`]; answering changes is [`answer`]; what happens around every
//! call is [`rim`], how many there may be [`pace`].

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod credentials;
mod docs;
pub(crate) mod fields;
pub(crate) mod moment;
mod pace;
pub(crate) mod part;
pub(crate) mod path;
pub(crate) mod query;
mod rim;

use std::num::NonZeroU32;

use axum::Router;
use http::StatusCode;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Envelope;
use crate::{
    access_groups, addresses, budgets, configured, credentials as named_credentials, customers, health, keys, models,
    organizations, spend, tags, teams, users,
};

/// All admin routes, for the admin listener and for data planes that forward calls; `calls_per_second` from one address.
pub(crate) fn admin_router(app: App, calls_per_second: Option<NonZeroU32>) -> Router {
    let (router, api) = documented();
    let router = router
        .merge(docs::router(&api))
        .fallback(async || Envelope::detail(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || Envelope::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
    rim::around(router.with_state(app), calls_per_second)
}

/// The routes of all slices, one line each, with what OpenAPI says of them.
fn documented() -> (Router<App>, OpenApi) {
    OpenApiRouter::with_openapi(docs::frame())
        .merge(keys::http::router())
        .merge(teams::http::router())
        .merge(users::http::router())
        .merge(organizations::http::router())
        .merge(models::http::router())
        .merge(named_credentials::http::router())
        .merge(access_groups::http::router())
        .merge(addresses::http::router())
        .merge(budgets::http::router())
        .merge(customers::http::router())
        .merge(tags::http::router())
        .merge(spend::http::router())
        .merge(configured::http::router())
        .merge(health::http::router())
        .split_for_parts()
}
