//! A deployment's id where the file gives none.
//!
//! LiteLLM's way, over the parameters as written instead of their resolved values: rotating a key behind a reference
//! keeps the id, and with it cooldowns, spend and metrics.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// SHA-256, in hex, over the model's name followed by each parameter's name and value.
pub(super) fn generate(model_name: &str, params: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    hash.update(model_name);
    for (name, value) in params {
        hash.update(name);
        match value {
            Value::String(text) => hash.update(text),
            other => hash.update(other.to_string()),
        }
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(model_name: &str, params: Value) -> String {
        generate(model_name, params.as_object().unwrap())
    }

    #[test]
    fn an_id_is_a_hash_over_name_and_parameters_in_their_order() {
        let params = serde_json::json!({"model": "openai/x", "rpm": 5, "extra_body": {"a": 1}});
        let expected = hex::encode(Sha256::digest("gmodelopenai/xrpm5extra_body{\"a\":1}"));
        assert_eq!(id("g", params), expected);
    }

    #[test]
    fn ids_differ_by_name_value_and_order() {
        let ids = [
            id("a", serde_json::json!({"model": "openai/x", "rpm": 1})),
            id("b", serde_json::json!({"model": "openai/x", "rpm": 1})),
            id("a", serde_json::json!({"model": "openai/x", "rpm": 2})),
            id("a", serde_json::json!({"rpm": 1, "model": "openai/x"})),
        ];
        for (index, one) in ids.iter().enumerate() {
            assert!(!ids[index + 1..].contains(one));
        }
    }
}
