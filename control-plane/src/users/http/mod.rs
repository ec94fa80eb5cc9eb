//! `/user/…`: one file per endpoint.

mod delete;
mod info;
mod new;
mod roles;
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
        .routes(routes!(roles::available_roles))
}
