//! What can be wrong with a request about customers.

use crate::budgets::BudgetError;

/// Why a request about customers is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CustomerError {
    #[error("Customer already exists, passed user_id={0}. Change it with /customer/update, or use another user_id.")]
    Exists(String),
    #[error("{field} must not be empty: it says which customer.")]
    NoId { field: &'static str },
    #[error("End User Id={id} does not exist in db")]
    NotFound { field: &'static str, id: String },
    #[error("At most {0} customers can be changed at once: send them in several calls.")]
    TooMany(usize),
    /// LiteLLM answers this with status 422.
    #[error("default_model: there is no model `{0}` on this proxy. /model/info shows which there are.")]
    UnknownModel(String),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error("storing customers")]
    Database(#[from] sqlx::Error),
}

impl CustomerError {
    /// What a failed insert of a customer means.
    pub(super) fn from_insert(error: sqlx::Error, id: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("customers_pkey") => Self::Exists(id.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
