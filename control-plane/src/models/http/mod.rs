//! `/model/…`: one file per endpoint.

mod info;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(info::info)).routes(routes!(info::info_v1))
}
