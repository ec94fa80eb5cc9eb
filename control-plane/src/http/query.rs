//! Query strings as requests.

use axum::extract::{FromRequestParts, Query as Pairs};
use http::request::Parts;
use serde_json::{Map, Value};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::fields::{self, Issue, Request, Shape, check};
use crate::error::InputError;

/// A query string, read and checked. Unknown parameters are ignored, as LiteLLM does.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: Request, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = InputError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, InputError> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Pairs(pairs) = pairs.map_err(|error| InputError::NotAQuery(error.to_string()))?;
        let (form, _unknown) = check::check("query", T::FIELDS, members::<T>(pairs)).map_err(InputError::Fields)?;
        T::read(form).map(Self).map_err(InputError::Fields)
    }
}

/// The number, if it is within its bounds; what LiteLLM's web framework says, if not.
pub(crate) fn in_range(field: &'static str, value: i64, least: i64, most: i64) -> Result<i64, Vec<Issue>> {
    let (kind, msg) = match value {
        value if value < least => ("greater_than_equal", format!("Input should be greater than or equal to {least}")),
        value if value > most => ("less_than_equal", format!("Input should be less than or equal to {most}")),
        value => return Ok(value),
    };
    Err(vec![Issue { kind, loc: vec!["query".into(), field.into()], msg, input: value.to_string().into() }])
}

/// The last value of each parameter; all of them where the field is a list. An empty one counts as not given.
fn members<T: Request>(pairs: Vec<(String, String)>) -> Map<String, Value> {
    let is_list = |name: &str| {
        let mut fields = T::FIELDS.iter().flat_map(|table| table.iter());
        fields.any(|field| field.name == name && matches!(field.shape, Shape::Texts))
    };
    let mut members = Map::new();
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        match (members.get_mut(&name), is_list(&name)) {
            (Some(Value::Array(items)), true) => items.push(value.into()),
            (_, true) => _ = members.insert(name, Value::Array(vec![value.into()])),
            (_, false) => _ = members.insert(name, value.into()),
        }
    }
    members
}

impl<T: Request> IntoParams for Query<T> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        fields::parameters(T::FIELDS)
    }
}
