//! A deployment as `/model/info` shows it: without secrets, with what the price table knows of its model.

use litellm_config::secret;
use proto::v1 as pb;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::publish::Unavailable;
use super::{Deployment, Origin};
use crate::prices;

/// One deployment.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ModelView {
    /// What clients ask for.
    pub(crate) model_name: String,
    /// How it is called, as configured, without the credentials.
    #[schema(value_type = Object)]
    pub(crate) litellm_params: Map<String, Value>,
    /// Its id, prices, limits and abilities. `db_model`: it was added through the API. `unavailable`: why it is not
    /// served now.
    #[schema(value_type = Object)]
    pub(crate) model_info: Map<String, Value>,
}

/// What to show of a deployment, of which data planes get `published`.
pub(super) fn view(
    row: &Deployment,
    published: &Result<pb::Deployment, Unavailable>,
    table: &prices::Table,
) -> ModelView {
    let mut model_info = facts(row, published, table);
    let prices = row.params.iter().filter(|(name, _)| name.contains("_cost"));
    model_info.extend(prices.map(|(name, value)| (name.clone(), value.clone())));
    model_info.extend(secret::masked(&row.model_info));
    model_info.insert("id".to_owned(), json!(row.id));
    model_info.insert("db_model".to_owned(), json!(row.origin == Origin::Api));
    model_info.insert("blocked".to_owned(), json!(row.blocked));
    if row.origin == Origin::Api {
        let text = |at: time::OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).ok();
        model_info.insert("created_at".to_owned(), json!(text(row.created_at)));
        model_info.insert("created_by".to_owned(), json!(row.created_by));
        model_info.insert("updated_at".to_owned(), json!(text(row.updated_at)));
        model_info.insert("updated_by".to_owned(), json!(row.updated_by));
    }
    if let Err(reason) = published {
        model_info.insert("unavailable".to_owned(), json!(reason.to_string()));
    }
    let mut litellm_params = secret::masked(&row.params);
    litellm_params.retain(|name, _| !secret::secret_params().contains(&name.as_str()));
    ModelView { model_name: row.model_name.clone(), litellm_params, model_info }
}

/// What the table says of the model: prices in dollars, limits, `supports_…`.
fn facts(
    row: &Deployment,
    published: &Result<pb::Deployment, Unavailable>,
    table: &prices::Table,
) -> Map<String, Value> {
    let named = row.litellm_model().split_once('/').unwrap_or(("", row.litellm_model()));
    let (provider, model) = match published {
        Ok(deployment) => (deployment.provider.as_str(), deployment.upstream_model.as_str()),
        Err(_) => named,
    };
    let base_model = row.model_info.get("base_model").or_else(|| row.params.get("base_model")).and_then(Value::as_str);
    let entry = base_model.and_then(|base| table.entry(provider, base)).or_else(|| table.entry(provider, model));
    let Some(entry) = entry else { return Map::new() };
    let mut facts = entry.fields().clone();
    facts.insert("key".to_owned(), json!(entry.name));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::deployment;

    #[test]
    fn a_model_is_shown_with_its_prices_and_without_its_credentials() {
        let row = deployment(json!({
            "model": "openai/gpt-4o", "api_key": "os.environ/KEY", "rpm": 5, "output_cost_per_token": 7e-6,
            "api_base": "https://user:pass@host/v1",
        }));
        let published =
            pb::Deployment { provider: "openai".into(), upstream_model: "gpt-4o".into(), ..pb::Deployment::default() };
        let view = view(&row, &Ok(published), prices::Table::bundled());
        let expected = json!({"model": "openai/gpt-4o", "rpm": 5, "output_cost_per_token": 7e-6, "api_base": "***"});
        assert_eq!(Value::Object(view.litellm_params), expected);
        let info = view.model_info;
        assert_eq!((&info["id"], &info["db_model"], &info["team"]), (&json!("one"), &json!(false), &json!("a")));
        assert_eq!((&info["input_cost_per_token"], &info["output_cost_per_token"]), (&json!(2.5e-6), &json!(7e-6)));
        assert_eq!((&info["key"], &info["secret_note"]), (&json!("gpt-4o"), &json!("***")));
        assert!(info.get("unavailable").is_none());
    }

    #[test]
    fn what_is_not_served_says_why_and_keeps_its_facts() {
        let unavailable = Unavailable("it is left out until `OPENAI_API_KEY` is set".to_owned());
        let view = view(&deployment(json!({"model": "openai/gpt-4o"})), &Err(unavailable), prices::Table::bundled());
        assert_eq!(view.model_info["unavailable"], "it is left out until `OPENAI_API_KEY` is set");
        assert_eq!(view.model_info["mode"], "chat");
    }
}
