//! Credentials that a body would have us keep in the clear: refused, because what keys, teams and users carry is stored and
//! shown as it came.
//!
//! LiteLLM lets the keys of logging services stand in `metadata.logging` of a key or team. Logging is not served yet, so
//! there is nothing to seal them for; a reference to the environment is welcome.

use serde_json::Value;

/// The place of the first credential in `body` outside of the fields that are `sealed`; it is not repeated.
pub(crate) fn place_of_one(body: &Value, sealed: &[&str]) -> Option<String> {
    let Value::Object(members) = body else { return None };
    // The top level has the credentials that the API is about: keys are named by their value there.
    let open = members.iter().filter(|(name, _)| !sealed.contains(&name.as_str()));
    open.into_iter().find_map(|(name, value)| below(value, name, Within::Anything))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Anything,
    /// Settings of a logging service, most of which are secrets.
    CallbackVars,
}

fn below(value: &Value, place: &str, within: Within) -> Option<String> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            let is_secret = value.as_str().is_some_and(is_in_the_clear) && says_secret(name, within);
            if is_secret {
                return Some(place);
            }
            let within = if name == "callback_vars" { Within::CallbackVars } else { within };
            below(value, &place, within)
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| below(value, &format!("{place}[{index}]"), within))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Neither empty nor a reference.
fn is_in_the_clear(text: &str) -> bool {
    !text.is_empty() && !text.starts_with("os.environ/")
}

fn says_secret(name: &str, within: Within) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    if name.contains("public") {
        return false;
    }
    let ends = ["api_key", "secret", "secret_key", "secret_access_key", "password", "credentials", "session_token"];
    let is_one = ends.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")));
    let contains = || ["key", "secret", "token", "password", "credential"].iter().any(|word| name.contains(word));
    is_one || (within == Within::CallbackVars && contains())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_found_wherever_litellm_would_keep_them() {
        for (body, place) in [
            (
                json!({"metadata": {"logging": [{"callback_vars": {"langfuse_public_key": "pk", "langfuse_secret_key": "s"}}]}}),
                "metadata.logging[0].callback_vars.langfuse_secret_key",
            ),
            (json!({"logging": [{"callback_vars": {"gcs_key_json": "x"}}]}), "logging[0].callback_vars.gcs_key_json"),
            (json!({"config": {"api_key": "sk-x"}}), "config.api_key"),
            (
                json!({"router_settings": {"model_list": [{"litellm_params": {"api-key": "x"}}]}}),
                "router_settings.model_list[0].litellm_params.api-key",
            ),
            (
                json!({"secret_manager_settings": {"hashicorp": {"client_secret": "x"}}}),
                "secret_manager_settings.hashicorp.client_secret",
            ),
        ] {
            assert_eq!(place_of_one(&body, &["litellm_params"]).as_deref(), Some(place), "{body}");
        }
        let sealed = json!({"litellm_params": {"api_key": "sk-x"}, "config": {}});
        assert_eq!(place_of_one(&sealed, &["litellm_params"]), None);
        assert_eq!(place_of_one(&sealed, &[]).as_deref(), Some("litellm_params.api_key"));
    }

    #[test]
    fn references_and_everything_else_are_kept() {
        for body in [
            json!({"key": "sk-0123456789abcdef", "keys": ["sk-0123456789abcdef"], "password": null}),
            json!({"logging": [{"callback_name": "langfuse", "callback_vars": {"langfuse_secret_key": "os.environ/LF"}}]}),
            json!({"metadata": {"cost_center": "42", "token_budget": 5, "secret": "", "team_keys": ["a"], "my_token": "t"}}),
            json!({"aliases": {"gpt": "gpt-4o"}, "model_max_budget": {"gpt": {"max_budget": 1}}}),
            json!(["api_key"]),
        ] {
            assert_eq!(place_of_one(&body, &[]), None, "{body}");
        }
    }
}
