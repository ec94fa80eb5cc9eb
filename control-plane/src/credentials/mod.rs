//! Credentials: what several deployments present to a provider, kept once and named by `litellm_credential_name`.
//!
//! All values are sealed by the vault. A deployment's own params come before those of its credential; the two are joined
//! when the deployment is published, so that a change of a credential publishes every deployment anew.

mod error;
pub(crate) mod http;
mod store;
pub(crate) mod takeover;
mod values;
mod view;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::models::{self, ModelError};
use crate::vault::{OpenError, Vault};

pub(crate) use error::CredentialError;

/// A credential, as stored. No Debug: its values are secrets, if sealed ones.
#[derive(Clone)]
pub(crate) struct Credential {
    name: String,
    display_name: Option<String>,
    info: Map<String, Value>,
    sealed_values: Vec<u8>,
    created_at: OffsetDateTime,
    created_by: Option<String>,
    updated_at: OffsetDateTime,
    updated_by: Option<String>,
}

/// Every credential by its name, for deployments to be joined with.
pub(crate) async fn by_name(db: &mut PgConnection) -> sqlx::Result<BTreeMap<String, Credential>> {
    let all = store::all(db).await?;
    Ok(all.into_iter().map(|credential| (credential.name.clone(), credential)).collect())
}

/// The name of a model, and what of its params would make a credential.
async fn of_model(
    db: &mut PgConnection,
    vault: &Vault,
    model_id: &str,
) -> Result<(String, Map<String, Value>), CredentialError> {
    let found = models::among(db, &[model_id.to_owned()]).await?.pop();
    let row = found.ok_or_else(|| CredentialError::NoModel(model_id.to_owned()))?;
    let opened = row.opened(vault);
    let params = opened.map_err(|source| ModelError::Sealed { id: model_id.to_owned(), source })?;
    Ok((row.public_name(), values::of_params(&params)))
}

/// Where the values of a credential are sealed for.
fn place(name: &str) -> String {
    format!("credentials|sealed_values|{name}")
}

impl Credential {
    /// The values, by the names of `litellm_params`.
    pub(crate) fn opened(&self, vault: &Vault) -> Result<Map<String, Value>, OpenError> {
        let plain = vault.open(&place(&self.name), &self.sealed_values)?;
        serde_json::from_slice(&plain).map_err(|_not_json| OpenError::Form)
    }

    /// Puts these values in place of those that there are.
    fn seal(&mut self, vault: &Vault, values: &Map<String, Value>) {
        let text = Value::Object(values.clone()).to_string();
        self.sealed_values = vault.seal(&place(&self.name), text.as_bytes());
    }
}
