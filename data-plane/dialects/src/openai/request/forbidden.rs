//! Looks for parameters that a client may not send, wherever LiteLLM would have obeyed them.

use super::Request;
use super::params::is_forbidden;
use crate::json::{elements, members, slice, unescape};

/// The first forbidden name found in the root, `extra_body`, `litellm_embedding_config`, `metadata`, `litellm_metadata`,
/// `litellm_params.metadata`, or an object of a fallback list.
pub fn forbidden_param(body: &[u8], request: &Request) -> Option<String> {
    let metadata = request.metadata.iter().chain(&request.litellm_metadata);
    if let Some(found) = metadata.filter_map(|metadata| in_object(metadata.json(body))).next() {
        return Some(found);
    }
    request.head.members().iter().find_map(|member| {
        let name = unescape(slice(body, &member.key))?;
        let value = slice(body, &member.value);
        match name.as_ref() {
            name if is_forbidden(name) => Some(name.to_owned()),
            "extra_body" | "litellm_embedding_config" => in_object(value),
            "litellm_params" => members(value)
                .filter(|(key, _)| unescape(key).is_some_and(|key| key == "metadata"))
                .find_map(|(_, value)| in_object(value)),
            "fallbacks" | "context_window_fallbacks" | "content_policy_fallbacks" => in_fallbacks(value),
            _ => None,
        }
    })
}

/// The first `mock_testing_*`, `mock_timeout` or `mock_delay` in the body: refused, unless the operator allows tests.
pub fn mock_testing_param(body: &[u8], request: &Request) -> Option<String> {
    request.head.members().iter().find_map(|member| {
        let name = unescape(slice(body, &member.key))?;
        let is_testing = name.starts_with("mock_testing_") || matches!(name.as_ref(), "mock_timeout" | "mock_delay");
        is_testing.then(|| name.into_owned())
    })
}

fn in_object(object: &[u8]) -> Option<String> {
    members(object).find_map(|(key, _)| {
        let name = unescape(key)?;
        is_forbidden(&name).then(|| name.into_owned())
    })
}

/// Entries are names or objects; an object's values may be lists of the same (`{"group": ["other", {…}]}`).
fn in_fallbacks(list: &[u8]) -> Option<String> {
    elements(list).find_map(|entry| {
        in_object(entry).or_else(|| members(entry).find_map(|(_, value)| elements(value).find_map(in_object)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::openai::request::read;

    fn found(body: &str) -> Option<String> {
        let request = read(Task::Chat, body.as_bytes()).unwrap();
        forbidden_param(body.as_bytes(), &request)
    }

    #[test]
    fn forbidden_names_are_found_where_they_would_be_obeyed() {
        for body in [
            r#"{"api_base":"http://x"}"#,
            r#"{"api_b\u0061se":"http://x"}"#,
            r#"{"extra_body":{"a":1,"api_base":"x"}}"#,
            r#"{"metadata":{"api_base":"x"}}"#,
            r#"{"litellm_metadata":"{\"api_base\":\"x\"}"}"#,
            r#"{"litellm_params":{"metadata":{"api_base":"x"}}}"#,
            r#"{"litellm_embedding_config":{"api_base":"x"}}"#,
            r#"{"fallbacks":["a",{"model":"b","api_base":"x"}]}"#,
            r#"{"fallbacks":[{"a":["c",{"api_base":"x"}]}]}"#,
            r#"{"context_window_fallbacks":[{"api_base":"x"}]}"#,
        ] {
            assert_eq!(found(body).as_deref(), Some("api_base"), "{body}");
        }
        assert_eq!(found(r#"{"input_cost_per_token":0}"#).as_deref(), Some("input_cost_per_token"));
    }

    #[test]
    fn what_is_not_forbidden_passes() {
        assert_eq!(
            found(r#"{"model":"a","messages":[{"api_base":1}],"api_key":"k","metadata":{"a":1},"top_k":2}"#),
            None
        );
    }

    #[test]
    fn test_switches_are_told_apart() {
        let body = br#"{"mock_testing_fallbacks":true}"#;
        let request = read(Task::Chat, body).unwrap();
        assert_eq!(mock_testing_param(body, &request).as_deref(), Some("mock_testing_fallbacks"));
        let body = br#"{"mock_response":"x"}"#;
        assert_eq!(mock_testing_param(body, &read(Task::Chat, body).unwrap()), None);
    }
}
