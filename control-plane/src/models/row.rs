//! A deployment as the endpoints that change one show it, and as audit rows keep it: without secrets.

use litellm_config::secret;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Deployment;
use crate::http::moment::Moment;

/// A deployment that lies in the database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelRow {
    model_id: String,
    /// What clients ask for; of a team's model, the name under which it is kept.
    model_name: String,
    /// How it is called, as configured, without the credentials.
    #[schema(value_type = Object)]
    litellm_params: Map<String, Value>,
    #[schema(value_type = Object)]
    model_info: Map<String, Value>,
    blocked: bool,
    created_at: Moment,
    created_by: Option<String>,
    updated_at: Moment,
    updated_by: Option<String>,
}

impl ModelRow {
    /// What to show of a row.
    pub(super) fn of(row: &Deployment) -> Self {
        let mut litellm_params = secret::masked(&row.params);
        litellm_params.retain(|name, _| !secret::secret_params().contains(&name.as_str()));
        let mut model_info = secret::masked(&row.model_info);
        model_info.insert("id".to_owned(), json!(row.id));
        model_info.insert("db_model".to_owned(), json!(true));
        Self {
            model_id: row.id.clone(),
            model_name: row.model_name.clone(),
            litellm_params,
            model_info,
            blocked: row.blocked,
            created_at: Moment(row.created_at),
            created_by: row.created_by.clone(),
            updated_at: Moment(row.updated_at),
            updated_by: row.updated_by.clone(),
        }
    }
}

/// What audit rows keep of a deployment. What is sealed is not in it, nor the name of a variable that holds a secret.
pub(super) fn for_audit(row: &Deployment) -> Value {
    let mut litellm_params = secret::masked(&row.params);
    litellm_params.retain(|name, _| !secret::is_secret(name));
    json!({
        "model_name": row.model_name,
        "litellm_params": litellm_params,
        "model_info": secret::masked(&row.model_info),
        "blocked": row.blocked,
        "updated_at": Moment(row.updated_at).text(),
    })
}
