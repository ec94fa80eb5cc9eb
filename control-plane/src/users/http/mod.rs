//! `/user/…`: one file per endpoint.

mod bulk;
mod delete;
mod info;
mod info_v2;
mod list;
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
        .routes(routes!(info_v2::info))
        .routes(routes!(list::list))
        .routes(routes!(update::update))
        .routes(routes!(bulk::update))
        .routes(routes!(delete::delete))
        .routes(routes!(roles::available_roles))
}
