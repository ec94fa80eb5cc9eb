//! `/key/…`: one file per endpoint.

mod aliases;
mod block;
mod bulk_update;
mod delete;
mod generate;
mod health;
mod info;
mod info_v2;
mod list;
mod regenerate;
mod reset_spend;
mod service_account;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(generate::generate))
        .routes(routes!(service_account::generate))
        .routes(routes!(info::info))
        .routes(routes!(info_v2::infos))
        .routes(routes!(update::update))
        .routes(routes!(bulk_update::update))
        .routes(routes!(delete::delete))
        .routes(routes!(list::list))
        .routes(routes!(aliases::aliases))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
        .routes(routes!(regenerate::by_path))
        .routes(routes!(regenerate::by_body))
        .routes(routes!(reset_spend::reset))
        .routes(routes!(health::health))
}
