//! Deployments: the places that serve models.
//!
//! A row keeps `litellm_params` as they were written: references stay references, secrets are sealed apart.
//! Writing rows is done by the import of `config.yaml` today; [`publish`] makes them snapshot resources.

pub(crate) mod http;
pub(crate) mod publish;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod visible;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::publish::source::ComposeError;
use crate::vault::{OpenError, Vault};

pub(crate) use store::{NewDeployment, delete, place_in_file, put_from_file};

/// One place that serves a model, as stored. No Debug: params may hold what should have been a secret.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) model_name: String,
    /// `litellm_params` without the secret members.
    pub(crate) params: Map<String, Value>,
    sealed_params: Option<Vec<u8>>,
    pub(crate) model_info: Map<String, Value>,
    pub(crate) blocked: bool,
    pub(crate) origin: Origin,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) created_by: Option<String>,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) updated_by: Option<String>,
}

/// Who owns an object, and may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `config.yaml`: read-only elsewhere.
    File,
    /// The admin API.
    Api,
}

/// Every deployment, in the order of the file, then of their making.
pub(crate) async fn all(db: &mut PgConnection) -> sqlx::Result<Vec<Deployment>> {
    store::all(db).await
}

/// The deployments among these ids that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Deployment>> {
    store::among(db, ids).await
}

/// Why a request about models is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// LiteLLM answers this with status 400.
    #[error("Model id = {0} not found on litellm proxy")]
    NoSuchId(String),
    /// LiteLLM answers this with status 500: without models, a gateway is not set up.
    #[error("LLM Model List not loaded in. Make sure you passed models in your config.yaml")]
    NoModels,
    /// Stored settings do not open, or the database is away.
    #[error("resolving models")]
    Resolve(#[from] ComposeError),
    #[error("reading models")]
    Database(#[from] sqlx::Error),
}

/// Where the secret members of a deployment's params are sealed for.
pub(crate) fn place(id: &str) -> String {
    format!("deployments|sealed_params|{id}")
}

impl Deployment {
    /// `litellm_params` with their secret members.
    pub(crate) fn opened(&self, vault: &Vault) -> Result<Map<String, Value>, OpenError> {
        let mut params = self.params.clone();
        if let Some(sealed) = &self.sealed_params {
            let plain = vault.open(&place(&self.id), sealed)?;
            let secrets: Map<String, Value> = serde_json::from_slice(&plain).map_err(|_not_json| OpenError::Form)?;
            params.extend(secrets);
        }
        Ok(params)
    }

    /// `litellm_params.model`, as configured.
    pub(crate) fn litellm_model(&self) -> &str {
        self.params.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}
