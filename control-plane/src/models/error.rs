//! What can be wrong with a request about models.

use super::publish::Unavailable;
use crate::publish::source::ComposeError;
use crate::vault::OpenError;

/// Why a request about models is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// LiteLLM answers this with status 400.
    #[error("Model id = {0} not found on litellm proxy")]
    NoSuchId(String),
    /// LiteLLM answers this with status 500: without models, a gateway is not set up.
    #[error("LLM Model List not loaded in. Make sure you passed models in your config.yaml")]
    NoModels,
    /// LiteLLM answers this with status 400.
    #[error("Authentication Error, model not found. There is no model with model_info.id={0}.")]
    NotFound(String),
    /// The same with status 404, where the endpoint is about one model.
    #[error("Model {0} not found.")]
    Absent(String),
    #[error("Model with id={0} not found in db")]
    NotInDatabase(String),
    #[error("Model with id={0} not found in db: it stands in config.yaml. Remove it there.")]
    FileNotDatabase(String),
    #[error("Model id={0} stands in config.yaml, and is changed there: what the API writes is kept in the database.")]
    OfFile(String),
    #[error("Model id={0} already exists. Use another model_info.id, or change that model with /model/update.")]
    Exists(String),
    #[error("model_info.id is required: it says which model to change. /model/info shows it.")]
    NoId,
    #[error("model_info.id must be a text of up to 256 printable characters.")]
    BadId,
    #[error("model_info.team_id: there is no team `{0}`. Make it with /team/new first.")]
    UnknownTeam(String),
    /// What the params, the name or the info cannot be, with the place.
    #[error("{0}")]
    Unfit(String),
    /// What is sealed does not open.
    #[error("The stored secrets of model id={id} cannot be read: {source}")]
    Sealed { id: String, source: OpenError },
    /// Stored settings do not open, or the database is away.
    #[error("resolving models")]
    Resolve(#[from] ComposeError),
    #[error("storing models")]
    Database(#[from] sqlx::Error),
}

impl ModelError {
    /// What a failed insert of a model means.
    pub(super) fn from_insert(error: sqlx::Error, id: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("deployments_pkey") => Self::Exists(id.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}

impl From<Unavailable> for ModelError {
    fn from(Unavailable(problem): Unavailable) -> Self {
        Self::Unfit(problem)
    }
}
