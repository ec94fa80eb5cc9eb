//! Deployments: the places that serve models.
//!
//! A row keeps `litellm_params` as they were written: references stay references, secrets are sealed apart.
//! Rows are written by the import of `config.yaml` and by the endpoints in [`http`]; [`publish`] makes them snapshot
//! resources.

mod check;
mod error;
pub(crate) mod http;
mod making;
pub(crate) mod publish;
mod row;
mod store;
mod tagging;
pub(crate) mod takeover;
#[cfg(test)]
mod tests;
mod view;
mod visible;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::app::App;
use crate::audit::{Entry, Noun};
use crate::change::Change;
use crate::vault::{OpenError, Vault};

pub(crate) use error::ModelError;
pub(crate) use store::{NewDeployment, delete, place_in_file, put_from_file};
pub(crate) use tagging::{TagModelError, tag};

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

impl Origin {
    /// The word for it, as stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// Every deployment, in the order of the file, then of their making.
pub(crate) async fn all(db: &mut PgConnection) -> sqlx::Result<Vec<Deployment>> {
    store::all(db).await
}

/// The deployments among these ids that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Deployment>> {
    store::among(db, ids).await
}

/// Every deployment, as [`all`] gives them; those that the API owns are locked until the transaction ends.
pub(crate) async fn all_locked(db: &mut PgConnection) -> sqlx::Result<Vec<Deployment>> {
    store::all_locked(db).await
}

/// Whether clients know a model by this name: a deployment's, one with a `*` that covers it, or an alias of a group.
pub(crate) async fn is_known(db: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let covers = |known: &str| match known.split_once('*') {
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => known == name,
    };
    if store::all(db).await?.iter().any(|row| covers(&row.public_name())) {
        return Ok(true);
    }
    store::is_group_alias(db, name).await
}

/// Puts a changed deployment in place of what the API owned before, as a part of a change.
pub(crate) async fn put(change: &mut Change, before: &Deployment, after: &Deployment) -> sqlx::Result<()> {
    store::update(change.db(), after).await?;
    change.note(Entry::updated(Noun::Model, &after.id, row::for_audit(before), row::for_audit(after)));
    Ok(())
}

/// Whether a deployment, whose params are not sealed yet, may be stored.
async fn check(app: &App, db: &mut PgConnection, row: &Deployment) -> Result<(), ModelError> {
    Ok(app.publisher.check(db, row).await??)
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

    /// The deployment with its secrets back in `params`, to be changed and sealed again.
    fn unsealed(&self, vault: &Vault) -> Result<Self, ModelError> {
        let opened = self.opened(vault).map_err(|source| ModelError::Sealed { id: self.id.clone(), source })?;
        Ok(Self { params: opened, sealed_params: None, ..self.clone() })
    }

    /// Takes the secrets out of `params`, and seals them.
    fn seal(&mut self, vault: &Vault) {
        let (open, secrets) = litellm_config::secret::split(&self.params);
        let seal = || vault.seal(&place(&self.id), Value::Object(secrets.clone()).to_string().as_bytes());
        self.sealed_params = (!secrets.is_empty()).then(seal);
        self.params = open;
    }

    /// The only team that may call it.
    pub(crate) fn team_id(&self) -> Option<&str> {
        self.model_info.get("team_id").and_then(Value::as_str).filter(|id| !id.is_empty())
    }

    /// The name by which clients know it.
    pub(crate) fn public_name(&self) -> String {
        let of_team = self.model_info.get("team_public_model_name").and_then(Value::as_str);
        of_team.filter(|_| self.team_id().is_some()).unwrap_or(&self.model_name).to_owned()
    }

    /// `litellm_params.model`, as configured.
    pub(crate) fn litellm_model(&self) -> &str {
        self.params.get("model").and_then(Value::as_str).unwrap_or_default()
    }
}
