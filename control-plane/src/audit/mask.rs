//! Hides what might be a key in the values of audit rows.

use serde_json::Value;

/// The value with the text of every field masked whose name has the part `key` (`api_key`, `x-key`, `key`), unless it is
/// about costs. Lists and objects under such a name are walked, not hidden.
pub(super) fn keys(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| {
                let member = match member {
                    Value::String(text) if names_a_key(&name) => Value::String(masked(&text)),
                    Value::String(_) if names_a_secret(&name) => Value::String("*****".to_owned()),
                    other => keys(other),
                };
                (name, member)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(keys).collect(),
        plain => plain,
    }
}

fn names_a_key(name: &str) -> bool {
    let has = |part: &str| name.split(['_', '-']).any(|segment| segment.eq_ignore_ascii_case(part));
    has("key") && !has("cost")
}

/// Passwords, secrets and the like, of which not even the ends are shown. `token` is a key's hash here.
fn names_a_secret(name: &str) -> bool {
    name != "token" && name != "token_id" && litellm_config::secret::is_secret(name)
}

/// The first and last four characters, between them as many stars as there are characters; short texts are all stars.
fn masked(text: &str) -> String {
    let count = text.chars().count();
    if count <= 8 {
        return "*".repeat(count);
    }
    let ends = |(at, char): (usize, char)| if at < 4 || at >= count - 4 { char } else { '*' };
    text.chars().enumerate().map(ends).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_named_after_a_key_is_masked_at_any_depth() {
        let value = json!({
            "key": "sk-0123456789", "api_key": "short", "key_cost": "visible text", "monkey": "visible text",
            "metadata": {"logging": [{"callback-key": "0123456789"}]}, "keys": ["visible text"], "key_count": 3,
            "token": "a hash", "langfuse_secret": "hush", "password": "hush"
        });
        let expected = json!({
            "key": "sk-0*****6789", "api_key": "*****", "key_cost": "visible text", "monkey": "visible text",
            "metadata": {"logging": [{"callback-key": "0123**6789"}]}, "keys": ["visible text"], "key_count": 3,
            "token": "a hash", "langfuse_secret": "*****", "password": "*****"
        });
        assert_eq!(keys(value), expected);
    }
}
