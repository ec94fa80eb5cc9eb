//! JSON bodies as requests.

use std::borrow::Cow;

use axum::extract::{FromRequest, Request as HttpRequest};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::credentials;
use super::fields::{self, Issue, Request, check};
use crate::error::InputError;

/// Most of a body, in bytes.
pub(crate) const BODY_BYTES: usize = 1 << 20;

/// A JSON body, read and checked.
#[derive(Debug)]
pub(crate) struct Body<T> {
    /// What was asked for.
    pub(crate) asked: T,
    /// Names in it that this release does not know. LiteLLM ignores such; we say so in a header.
    pub(crate) unknown: Vec<String>,
}

impl<T: Request, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = InputError;

    async fn from_request(request: HttpRequest, _state: &S) -> Result<Self, InputError> {
        let bytes = collect(request.into_body()).await?;
        let body = parse(&bytes)?;
        if let Some(place) = credentials::place_of_one(&body, T::SEALED) {
            return Err(InputError::Credential { place });
        }
        let members = match body {
            Value::Object(members) => members,
            other => {
                let msg = "Input should be a valid dictionary or object to extract fields from";
                return Err(InputError::Fields(vec![Issue::of_body("model_attributes_type", msg, other)]));
            }
        };
        let checked = check::check("body", T::FIELDS, members);
        let (form, unknown) = checked.map_err(|issues| InputError::Fields(without(T::SEALED, issues)))?;
        let asked = T::read(form).map_err(InputError::Fields)?;
        Ok(Self { asked, unknown })
    }
}

/// The issues without what stands in fields that are `sealed`.
fn without(sealed: &[&str], mut issues: Vec<Issue>) -> Vec<Issue> {
    for issue in &mut issues {
        if issue.loc.get(1).and_then(Value::as_str).is_some_and(|field| sealed.contains(&field)) {
            issue.input = Value::Null;
        }
    }
    issues
}

/// Reads a body whole, up to [`BODY_BYTES`].
pub(crate) async fn collect(body: axum::body::Body) -> Result<bytes::Bytes, InputError> {
    match Limited::new(body, BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(InputError::TooLarge { most: BODY_BYTES }),
        Err(_) => Err(InputError::Cut),
    }
}

/// The JSON in a body; nothing at all reads as `{}`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, InputError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(bytes).map_err(|error| InputError::NotJson(error.to_string()))
}

impl<T: Request> PartialSchema for Body<T> {
    fn schema() -> RefOr<Schema> {
        fields::document(T::FIELDS)
    }
}

impl<T: Request> ToSchema for Body<T> {
    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }
}
