//! Which members of a deployment are secrets: by name, at any depth.
//!
//! A reference to the environment is no secret, only the value behind it.

use serde_json::{Map, Value};

use crate::reference;

/// The members of `litellm_params` that are credentials.
const SECRET_PARAMS: &[&str] = &[
    "api_key",
    "azure_ad_token",
    "client_secret",
    "azure_password",
    "vertex_credentials",
    "vertex_ai_credentials",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_web_identity_token",
    "aws_external_id",
];

/// What is shown in a secret's place.
const MASK: &str = "***";

/// The names of `litellm_params` members that are secrets.
pub fn secret_params() -> &'static [&'static str] {
    SECRET_PARAMS
}

/// Whether a member or header of this name holds a credential.
pub fn is_secret(name: &str) -> bool {
    if SECRET_PARAMS.contains(&name) {
        return true;
    }
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['_', '-', '.', ' ']).filter(|word| !word.is_empty()).collect();
    // `input_cost_per_token` is a price, `prompt_cache_key` and whatever ends in `name` are names.
    if words.contains(&"cost") || words.last() == Some(&"name") || words.starts_with(&["prompt", "cache"]) {
        return false;
    }
    // Whoever knows the address of a webhook may post to it.
    const SECRET_WORDS: [&str; 15] = [
        "key",
        "apikey",
        "token",
        "secret",
        "password",
        "passwd",
        "authorization",
        "auth",
        "cookie",
        "credential",
        "credentials",
        "private",
        "signature",
        "bearer",
        "webhook",
    ];
    words.iter().any(|word| SECRET_WORDS.contains(word))
}

/// Whether a value under a secret's name is one: a reference, a flag or nothing is not.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && !is_reference(text),
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(members) => members.values().any(holds_secret),
        Value::Number(_) => true,
        Value::Null | Value::Bool(_) => false,
    }
}

fn is_reference(text: &str) -> bool {
    matches!(reference::Value::read(text), reference::Value::Environment(_))
}

/// Whether `value`, found under `name`, holds a secret at any depth. The userinfo of an address counts.
fn is_sensitive(name: &str, value: &Value) -> bool {
    if is_secret(name) && holds_secret(value) {
        return true;
    }
    match value {
        Value::Array(items) => items.iter().any(|item| is_sensitive(name, item)),
        Value::Object(members) => members.iter().any(|(name, member)| is_sensitive(name, member)),
        Value::String(text) => has_userinfo(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `text` is an address with a user or password in it.
fn has_userinfo(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Splits `litellm_params` in the members that may be stored and shown as they are, and those that must be sealed.
/// A member with a secret anywhere in it is sealed as a whole.
pub fn split(params: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    params
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(name, value)| !is_sensitive(name, value))
}

/// `members` with every secret in it replaced by `***`, for showing.
pub fn masked(members: &Map<String, Value>) -> Map<String, Value> {
    members.iter().map(|(name, value)| (name.clone(), masked_value(name, value))).collect()
}

fn masked_value(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) if !is_secret(name) => Value::Object(masked(members)),
        Value::Array(items) if !is_secret(name) => items.iter().map(|item| masked_value(name, item)).collect(),
        _ if is_sensitive(name, value) => Value::String(MASK.to_owned()),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn credentials_are_known_by_name() {
        for name in [
            "api_key",
            "Authorization",
            "X-Api-Key",
            "langfuse_secret",
            "azure_ad_token",
            "x-auth",
            "Cookie",
            "alert_to_webhook_url",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["model", "max_tokens", "input_cost_per_token", "tokens", "prompt_cache_key", "model_info"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn only_what_holds_a_secret_is_sealed() {
        let params = object(serde_json::json!({
            "model": "openai/x",
            "api_key": "sk-secret",
            "azure_ad_token": "os.environ/TOKEN",
            "api_base": "https://user:pass@host/v1",
            "extra_headers": {"X-Team": "a", "Authorization": "Bearer abc"},
            "extra_body": {"a": [{"password": "p"}]},
            "input_cost_per_token": 0.1,
            "rpm": 5,
        }));
        let (open, sealed) = split(&params);
        let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&open), ["model", "azure_ad_token", "input_cost_per_token", "rpm"]);
        assert_eq!(names(&sealed), ["api_key", "api_base", "extra_headers", "extra_body"]);
    }

    #[test]
    fn masking_keeps_everything_but_the_secrets() {
        let params = object(serde_json::json!({
            "api_key": "sk-secret",
            "extra_headers": {"X-Team": "a", "Authorization": "Bearer abc"},
            "aws_access_key_id": "os.environ/AWS",
            "vertex_credentials": {"type": "service_account", "private_key": "x"},
        }));
        let expected = object(serde_json::json!({
            "api_key": "***",
            "extra_headers": {"X-Team": "a", "Authorization": "***"},
            "aws_access_key_id": "os.environ/AWS",
            "vertex_credentials": "***",
        }));
        assert_eq!(masked(&params), expected);
    }
}
