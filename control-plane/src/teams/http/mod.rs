//! `/team/…`: one file per endpoint.

mod block;
mod delete;
mod info;
mod list;
mod members;
mod new;
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
        .routes(routes!(list::list))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
        .routes(routes!(members::add))
        .routes(routes!(members::update))
        .routes(routes!(members::delete))
}
