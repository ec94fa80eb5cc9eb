//! `/model/…` and `/model_group/…`: one file per endpoint.

mod block;
mod delete;
mod groups;
mod info;
mod new;
mod page;
mod update;

use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::visible::Holder;
use super::{Deployment, ModelError};
use crate::access::Actor;
use crate::app::App;
use crate::teams;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(info::info))
        .routes(routes!(info::info_v1))
        .routes(routes!(page::info))
        .routes(routes!(groups::info))
        .routes(routes!(new::new))
        .routes(routes!(update::update))
        .routes(routes!(update::patch))
        .routes(routes!(delete::delete))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
}

/// The deployments that the caller may call, of those that there are; admins see all.
async fn seen(db: &mut PgConnection, actor: &Actor) -> Result<Vec<Deployment>, ModelError> {
    let mut rows = super::all(db).await?;
    if rows.is_empty() {
        return Err(ModelError::NoModels);
    }
    if let Some(key) = actor.key().filter(|_| !actor.sees_all()) {
        let team = match &key.team_id {
            Some(team_id) => teams::find(db, team_id).await?,
            None => None,
        };
        let holder = Holder {
            models: &key.models,
            team_id: key.team_id.as_deref(),
            team_models: team.as_ref().map(|team| team.models.as_slice()).unwrap_or_default(),
        };
        rows.retain(|row| holder.sees(row));
    }
    Ok(rows)
}
