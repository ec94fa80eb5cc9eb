//! `/budget/…`: one file per endpoint.

mod delete;
mod info;
mod list;
mod new;
mod settings;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::BudgetError;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(update::update))
        .routes(routes!(info::info))
        .routes(routes!(list::list))
        .routes(routes!(settings::settings))
        .routes(routes!(delete::delete))
}

/// Where LiteLLM asks for an admin in the endpoint itself, the refusal has status 400.
fn may_here(actor: &Actor, permission: Permission) -> Result<(), BudgetError> {
    actor.may(permission, &Subject::Anything).map_err(|_refusal| BudgetError::AdminsOnly(actor.role.name()))
}
