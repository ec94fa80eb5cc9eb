//! `/organization/…`: one file per endpoint.

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
        .routes(routes!(update::update))
        .routes(routes!(update::merge))
        .routes(routes!(delete::delete))
        .routes(routes!(list::list))
        .routes(routes!(info::info, info::several))
        .routes(routes!(members::add))
        .routes(routes!(members::update))
        .routes(routes!(members::delete))
}
