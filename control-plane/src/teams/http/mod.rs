//! `/team/…`: one file per endpoint.

mod available;
mod block;
mod bulk_members;
mod callbacks;
mod delete;
mod info;
mod list;
mod list_v2;
mod managed;
mod members;
mod merge;
mod models;
mod new;
mod permissions;
mod reset_member;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(info::info))
        .routes(routes!(update::update))
        .routes(routes!(delete::delete))
        .routes(routes!(merge::merge))
        .routes(routes!(list::list))
        .routes(routes!(list_v2::list))
        .routes(routes!(available::available))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
        .routes(routes!(members::add))
        .routes(routes!(members::update))
        .routes(routes!(members::delete))
        .routes(routes!(bulk_members::add))
        .routes(routes!(reset_member::reset))
        .routes(routes!(models::add))
        .routes(routes!(models::delete))
        .routes(routes!(permissions::list))
        .routes(routes!(permissions::update))
        .routes(routes!(callbacks::add, callbacks::show))
        .routes(routes!(callbacks::delete))
        .routes(routes!(callbacks::disable))
}
