//! What can be wrong with a request about budgets.

use crate::limits::LimitError;

/// Why a request about budgets is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BudgetError {
    #[error("Budget id = {0} already exists. Change it with /budget/update, or use another budget_id.")]
    Exists(String),
    #[error("budget_id must be a text of 1 to 256 printable characters.")]
    BadId,
    #[error("budget_id is required: it says which budget to change. /budget/list shows them.")]
    NoId,
    #[error("Specify a list of budget ids to show: {{\"budgets\": [\"...\"]}}.")]
    NoIds,
    #[error("At most {0} budgets can be shown at once: ask in several calls.")]
    TooMany(usize),
    #[error("Budget not found, passed budget_id: {0}")]
    NotFound(String),
    /// Of an owner that is to be linked to it.
    #[error("There is no budget with budget_id={0}. Make it with /budget/new first.")]
    Unknown(String),
    #[error("temp_budget_expiry must be a date and a time, as in 2027-01-31T00:00:00Z, got {0}")]
    Expiry(String),
    /// LiteLLM answers this with status 400.
    #[error("Only proxy admins may do this. Your role={0}")]
    AdminsOnly(&'static str),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("storing budgets")]
    Database(#[from] sqlx::Error),
}

impl BudgetError {
    /// What a failed insert of a budget means.
    pub(super) fn from_insert(error: sqlx::Error, budget_id: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("budgets_pkey") => Self::Exists(budget_id.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
