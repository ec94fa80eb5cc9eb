//! `/access_group/…`: one file per endpoint.

mod delete;
mod list;
mod new;
mod update;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Members;
use crate::app::App;
use crate::http::fields::{Field, Form, Shape, optional};

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(list::list))
        .routes(routes!(list::info))
        .routes(routes!(update::update))
        .routes(routes!(delete::delete))
}

const MEMBERS: &[Field] = &[
    optional("model_names", Shape::Texts, "All models that clients know by these names."),
    optional("model_ids", Shape::Texts, "Single models, by id; `model_names` is not looked at then."),
];

fn members(form: &mut Form) -> Members {
    Members {
        names: form.take("model_names").given().unwrap_or_default(),
        ids: form.take("model_ids").given().unwrap_or_default(),
    }
}

/// A group as a request left it.
#[derive(Debug, Serialize, ToSchema)]
struct WrittenGroup {
    access_group: String,
    model_names: Vec<String>,
    model_ids: Vec<String>,
    models_updated: usize,
}
