//! What the values of a credential may be: members of `litellm_params` that say where a call goes and who pays. Pure.

use litellm_config::reference::Value as Reference;
use litellm_config::{Severity, secret};
use providers::Target;
use serde_json::{Map, Value, json};

use super::CredentialError;

/// What answers show in a secret's place.
const MASK: &str = "***";

/// Members of `litellm_params` that say which model a deployment is, not how it proves who it is.
const OF_THE_MODEL: [&str; 4] = ["model", "custom_llm_provider", "mock_response", "litellm_credential_name"];

/// Members that are no secrets and belong to a credential all the same.
const BESIDE_SECRETS: [&str; 9] = [
    "api_base",
    "base_url",
    "api_version",
    "organization",
    "tenant_id",
    "client_id",
    "vertex_project",
    "vertex_location",
    "aws_region_name",
];

/// Says what is wrong with the values, by the rules of the file for `litellm_params`. Names members, never values.
pub(super) fn check(values: &Map<String, Value>) -> Result<(), CredentialError> {
    let unfit =
        |name: &str, problem: &str| CredentialError::Unfit { name: name.to_owned(), problem: problem.to_owned() };
    for (name, value) in values {
        if OF_THE_MODEL.contains(&name.as_str()) {
            return Err(unfit(name, "belongs to a model, not to a credential"));
        }
        if value == MASK {
            return Err(unfit(
                name,
                "`***` is shown in place of a secret and is none. Give the value, or leave it out",
            ));
        }
        if !matches!(value, Value::String(_) | Value::Object(_)) {
            return Err(unfit(name, "must be text, or an object as key files hold it"));
        }
    }
    for name in ["api_base", "base_url"] {
        if let Some(Reference::Literal(base)) = values.get(name).and_then(Value::as_str).map(Reference::read) {
            check_base(&base).map_err(|problem| unfit(name, &problem))?;
        }
    }
    // Whichever model uses it later is checked again with it.
    let mut params = values.clone();
    params.insert("model".to_owned(), json!("openai/any"));
    params.insert("mock_response".to_owned(), json!("any"));
    let (_, findings) = litellm_config::read_deployment("any", &params, &Map::new(), &|_| None);
    let refused = findings.into_iter().find(|finding| finding.severity == Severity::Error || finding.is_misspelling());
    let Some(finding) = refused else { return Ok(()) };
    let hint = finding.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    let name = finding.path.strip_prefix("litellm_params.").unwrap_or(&finding.path);
    Err(unfit(name, &format!("{}{hint}", finding.problem)))
}

/// An address is one by the same rules for every provider.
fn check_base(base: &str) -> Result<(), String> {
    let Some(provider) = providers::find("openai") else { return Ok(()) };
    let target = Target { api_base: Some(base), ..Target::of("any") };
    providers::try_addresses(provider, target, "any").map_err(|error| error.to_string())
}

/// The values as answers show them.
pub(super) fn masked(values: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = secret::masked(values);
    for (name, value) in &mut shown {
        if secret::is_secret(name) {
            *value = Value::String(MASK.to_owned());
        }
    }
    shown
}

/// Of a model's params those that make a credential.
pub(super) fn of_params(params: &Map<String, Value>) -> Map<String, Value> {
    let is_one = |name: &str| secret::secret_params().contains(&name) || BESIDE_SECRETS.contains(&name);
    let own = params.iter().filter(|(name, value)| is_one(name) && !value.is_null());
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn values_are_what_proves_who_calls_and_where() {
        for good in [
            json!({}),
            json!({"api_key": "sk-x", "api_base": "https://host.example", "api_version": "1"}),
            json!({"api_key": "os.environ/KEY", "api_base": "os.environ/BASE"}),
            json!({"vertex_credentials": {"private_key": "x"}}),
        ] {
            assert!(check(&object(good.clone())).is_ok(), "{good}");
        }
        for bad in [
            json!({"model": "openai/x"}),
            json!({"mock_response": "hi"}),
            json!({"litellm_credential_name": "other"}),
            json!({"apikey": "sk-x"}),
            json!({"api_key": 5}),
            json!({"api_key": {"a": "b"}}),
            json!({"api_key": "***"}),
            json!({"api_base": ["https://host.example"]}),
            json!({"api_base": "nonsense"}),
            json!({"base_url": "https://user:hunter2@host.example"}),
        ] {
            assert!(check(&object(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_masked_and_so_is_a_reference_to_one() {
        let values = object(json!({
            "api_key": "os.environ/KEY", "aws_secret_access_key": "s", "api_base": "https://user:pass@host",
            "api_version": "1",
        }));
        let shown = json!({"api_key": "***", "aws_secret_access_key": "***", "api_base": "***", "api_version": "1"});
        assert_eq!(Value::Object(masked(&values)), shown);
    }
}
