//! What can be wrong with a request about users.

use super::User;
use crate::keys::KeyError;
use crate::limits::LimitError;
use crate::operator::OperatorError;

/// Why a request about users is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("User with id {0} already exists")]
    Exists(String),
    #[error("User with email {0} already exists")]
    EmailTaken(String),
    #[error("User {0} not found")]
    NotFound(String),
    #[error("User {0} is joining a team at this moment: try again")]
    Joining(String),
    #[error("User {0} is named more than once")]
    Twice(String),
    #[error("At most {0} users can be changed at once: send them in several calls")]
    TooMany(usize),
    #[error("{0}")]
    NotAllowed(String),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("storing users")]
    Database(#[from] sqlx::Error),
}

impl UserError {
    /// What a failed insert of this row means.
    pub(super) fn from_insert(error: sqlx::Error, user: &User) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("users_pkey") => Self::Exists(user.user_id.clone()),
            Some("users_email_unique") => Self::EmailTaken(user.email.clone().unwrap_or_default()),
            Some(_) | None => Self::Database(error),
        }
    }
}
