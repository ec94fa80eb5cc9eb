//! `/credentials…`: one file per endpoint.

mod delete;
mod list;
mod new;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(list::list))
        .routes(routes!(list::by_name))
        .routes(routes!(list::by_model))
        .routes(routes!(update::update))
        .routes(routes!(delete::delete))
}
