//! `/customer/…`: one file per endpoint, and [`aliases`] for their other names.

mod aliases;
mod block;
mod delete;
mod info;
mod list;
mod new;
mod update;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CustomerError;
use crate::app::App;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};

/// Most customers of one change.
const MOST: usize = 10_000;

/// The routes of this slice.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(new::new))
        .routes(routes!(update::update))
        .routes(routes!(info::info))
        .routes(routes!(list::list))
        .routes(routes!(delete::delete))
        .routes(routes!(block::block))
        .routes(routes!(block::unblock))
        .merge(aliases::router())
}

/// Which customers a change is about.
#[derive(Debug)]
struct Which {
    user_ids: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichCustomers";
    const FIELDS: &'static [&'static [Field]] = &[&[required("user_ids", Shape::Texts, "The customers.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let mut user_ids: Vec<String> = form.take("user_ids").given().unwrap_or_default();
        user_ids.sort_unstable();
        user_ids.dedup();
        Ok(Self { user_ids })
    }
}

impl Which {
    /// The ids, each once, in order.
    fn ids(self) -> Result<Vec<String>, CustomerError> {
        match self.user_ids.len() > MOST {
            true => Err(CustomerError::TooMany(MOST)),
            false if self.user_ids.iter().any(|id| id.trim().is_empty()) => {
                Err(CustomerError::NoId { field: "user_ids" })
            }
            false => Ok(self.user_ids),
        }
    }
}
