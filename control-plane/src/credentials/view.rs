//! Credentials as the wire shows them: their values masked.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Credential, values};
use crate::vault::Vault;

/// One credential.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialView {
    pub(super) credential_name: String,
    pub(super) display_name: Option<String>,
    /// By the names of `litellm_params`; `***` in place of secrets.
    #[schema(value_type = Object)]
    pub(super) credential_values: Map<String, Value>,
    #[schema(value_type = Object)]
    pub(super) credential_info: Map<String, Value>,
    /// Why its values cannot be read, and so no deployment uses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unavailable: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    success: bool,
    message: &'static str,
}

impl Done {
    pub(super) fn saying(message: &'static str) -> Self {
        Self { success: true, message }
    }
}

/// What to show of a row.
pub(super) fn view(row: &Credential, vault: &Vault) -> CredentialView {
    let (credential_values, unavailable) = match row.opened(vault) {
        Ok(opened) => (values::masked(&opened), None),
        Err(error) => (Map::new(), Some(error.to_string())),
    };
    CredentialView {
        credential_name: row.name.clone(),
        display_name: row.display_name.clone(),
        credential_values,
        credential_info: litellm_config::secret::masked(&row.info),
        unavailable,
    }
}

/// What audit rows keep: of the values only their names.
pub(super) fn for_audit(row: &Credential, values: &Map<String, Value>) -> Value {
    json!({
        "credential_name": row.name,
        "display_name": row.display_name,
        "credential_info": litellm_config::secret::masked(&row.info),
        "values": values.keys().collect::<Vec<_>>(),
        "updated_at": crate::http::moment::Moment(row.updated_at).text(),
    })
}
