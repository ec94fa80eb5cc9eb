//! Which aliases keys may have: `key_alias_pattern` and `enable_key_alias_format_validation`.

use regex_lite::Regex;

use crate::keys::KeyError;
use crate::operator::{OperatorError, Part};

/// Whether LiteLLM's own form is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Any,
    /// 2 to 255 letters, digits and `_-/.@`, with a letter or digit at both ends.
    Plain,
}

/// What an alias must look like, beside what every alias must.
#[derive(Debug, Default)]
pub(in crate::keys) struct Aliases {
    pattern: Option<Regex>,
    form: Form,
}

impl Aliases {
    pub(super) fn read(litellm: &Part<'_>) -> Result<Self, OperatorError> {
        const PATTERN: &str = "key_alias_pattern";
        let whole = |pattern: String| Regex::new(&format!("^(?:{pattern})$"));
        let pattern = litellm.text(PATTERN)?.map(whole).transpose();
        Ok(Self {
            // The whole error shows the pattern over several lines.
            pattern: pattern.map_err(|_shown| litellm.wrong(PATTERN, "is no regular expression that we know"))?,
            form: match litellm.flag("enable_key_alias_format_validation")? {
                true => Form::Plain,
                false => Form::Any,
            },
        })
    }

    /// Refuses an alias that the operator does not want.
    pub(in crate::keys) fn check(&self, alias: &str) -> Result<(), KeyError> {
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(alias)) {
            let pattern = pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$");
            return Err(KeyError::AliasForm(format!("the whole of it must match {pattern}")));
        }
        match self.form == Form::Any || is_plain(alias) {
            true => Ok(()),
            false => Err(KeyError::AliasForm(
                "it must have 2 to 255 letters, digits and _-/.@, and begin and end with a letter or digit".to_owned(),
            )),
        }
    }
}

fn is_plain(alias: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = alias.as_bytes();
    (2..=255).contains(&bytes.len())
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-/.@".contains(byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn an_alias_has_the_form_that_the_operator_asks_for_whenever_it_is_set() {
        let world = World::new().await;
        let old = world.key(json!({"key_alias": "Old one"})).await;
        world.set("litellm_settings", json!({"key_alias_pattern": "team-[a-z]+"})).await;
        for bad in ["Team-a", "team-", "team-a1", "x-team-a"] {
            let error = world.post("/key/generate", json!({"key_alias": bad})).await.refused(400);
            assert_eq!((&error["type"], &error["param"]), (&json!("bad_request_error"), &json!("key_alias")));
            assert!(error["message"].as_str().unwrap().contains("team-[a-z]+"));
        }
        let key = world.key(json!({"key_alias": "team-a"})).await;
        world.post("/key/update", json!({"key": key, "key_alias": "nope"})).await.refused(400);
        world.post("/key/regenerate", json!({"key": key, "key_alias": "nope"})).await.refused(400);
        world.post("/user/new", json!({"key_alias": "nope"})).await.refused(400);
        // One that stays as it is, is not asked.
        world.post("/key/update", json!({"key": old, "key_alias": "Old one", "rpm_limit": 1})).await.ok();
        world.key(json!({})).await;
        assert_eq!((world.count("keys").await, world.count("users").await), (3, 0));
    }

    #[tokio::test]
    async fn the_usual_form_can_be_asked_for_without_a_pattern() {
        let world = World::new().await;
        world.set("litellm_settings", json!({"enable_key_alias_format_validation": true})).await;
        for bad in ["a", "-ab", "ab.", "a b", "ä-b"] {
            world.post("/key/generate", json!({"key_alias": bad})).await.refused(400);
        }
        for good in ["ab", "a/b.c@d_e-f"] {
            world.key(json!({"key_alias": good})).await;
        }
    }

    #[tokio::test]
    async fn a_pattern_that_is_none_makes_no_keys_until_it_is_mended() {
        let world = World::new().await;
        world.set("litellm_settings", json!({"key_alias_pattern": "(("})).await;
        let error = world.post("/key/generate", json!({})).await.refused(500);
        assert!(error["message"].as_str().unwrap().starts_with("litellm_settings.key_alias_pattern"), "{error}");
        world.set("litellm_settings", json!({"key_alias_pattern": "a+"})).await;
        world.key(json!({"key_alias": "aa"})).await;
    }
}
