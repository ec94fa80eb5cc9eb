//! What can be wrong with a request about credentials.

use crate::models::ModelError;
use crate::vault::OpenError;

/// Why a request about credentials is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("Credential {0} already exists. Change it with PATCH /credentials/{0}, or use another name.")]
    Exists(String),
    #[error("Credential not found. Got credential name: {0}")]
    NotFound(String),
    #[error("Model not found. Got model id: {0}")]
    NoModel(String),
    #[error("credential_name must be a text of 1 to 256 printable characters.")]
    BadName,
    #[error("credential_name: a credential keeps its name. Make a new one, and delete this one.")]
    Renamed,
    #[error("Give credential_values, or the model_id of a model to take them from.")]
    Nothing,
    /// What a value cannot be, with the place.
    #[error("credential_values.{name}: {problem}")]
    Unfit { name: String, problem: String },
    /// What is sealed does not open.
    #[error("The stored values of credential {name} cannot be read: {source}")]
    Sealed { name: String, source: OpenError },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("storing credentials")]
    Database(#[from] sqlx::Error),
}

impl CredentialError {
    /// What a failed insert of a credential means.
    pub(super) fn from_insert(error: sqlx::Error, name: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("credentials_pkey") => Self::Exists(name.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
