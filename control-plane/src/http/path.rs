//! Names in paths.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde_json::Value;

use super::fields::Issue;
use crate::error::InputError;

/// A path as logs and messages may show it: `/key/{key_id}/regenerate` names a key by its value.
pub(crate) fn shown(path: &str) -> Cow<'_, str> {
    let rest = path.strip_prefix("/key/").and_then(|rest| rest.split_once('/'));
    match rest {
        Some(("service-account", _)) | None => Cow::Borrowed(path),
        Some((_, end)) => Cow::Owned(format!("/key/{{key_id}}/{end}")),
    }
}

/// The names that stand in a path, in their order, checked as texts in a body are.
#[derive(Debug)]
pub(crate) struct Names<const COUNT: usize>(pub(crate) [String; COUNT]);

impl<S: Send + Sync, const COUNT: usize> FromRequestParts<S> for Names<COUNT> {
    type Rejection = InputError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, InputError> {
        let issue = |name: &str, msg: &str| {
            let loc = vec!["path".into(), name.into()];
            InputError::Fields(vec![Issue { kind: "string_type", loc, msg: msg.to_owned(), input: Value::Null }])
        };
        let pairs = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(pairs) = pairs.map_err(|error| issue("path", &error.to_string()))?;
        // Postgres stores no U+0000.
        if let Some((name, _)) = pairs.iter().find(|(_, value)| value.contains('\0')) {
            return Err(issue(name, "Input should not hold the character U+0000"));
        }
        let names: Vec<String> = pairs.into_iter().map(|(_, value)| value).collect();
        names.try_into().map(Self).map_err(|_wrong_number| issue("path", "Input should be a path of this API"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_is_not_shown() {
        for (path, expected) in [
            ("/key/sk-1234/regenerate", "/key/{key_id}/regenerate"),
            ("/key/%73k-1234/reset_spend", "/key/{key_id}/reset_spend"),
            ("/key/regenerate", "/key/regenerate"),
            ("/key/service-account/generate", "/key/service-account/generate"),
            ("/team/t/callback", "/team/t/callback"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }
}
