//! `/tag/…`: one file per endpoint.

mod delete;
mod info;
mod list;
mod new;
mod update;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::TagView;
use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(update::update))
        .routes(routes!(info::info))
        .routes(routes!(list::list))
        .routes(routes!(delete::delete))
}

/// A tag as a request left it.
#[derive(Debug, Serialize, ToSchema)]
struct WrittenTag {
    message: String,
    tag: Option<TagView>,
}
