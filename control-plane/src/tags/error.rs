//! What can be wrong with a request about tags.

use crate::budgets::BudgetError;
use crate::models::TagModelError;

/// Why a request about tags is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TagError {
    #[error("Tag {0} already exists. Change it with /tag/update, or use another name.")]
    Exists(String),
    #[error("name must be a text of 1 to 256 printable characters.")]
    BadName,
    #[error("Tag {0} not found")]
    NotFound(String),
    #[error("Tags not found: {0}")]
    NoneSuch(String),
    #[error("At most {0} tags can be shown at once: ask in several calls.")]
    TooMany(usize),
    #[error("{field} must be a day, as in 2027-01-31, got {value}")]
    Day { field: &'static str, value: String },
    #[error(transparent)]
    Model(#[from] TagModelError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error("storing tags")]
    Database(#[from] sqlx::Error),
}

impl TagError {
    /// What a failed insert of a tag means.
    pub(super) fn from_insert(error: sqlx::Error, name: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("tags_pkey") => Self::Exists(name.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
