//! For whom a client calls: the customer that the call names, in LiteLLM's order of places (admin_api.md 4.4), and what an
//! admin set for their calls beside models, limits and budgets.

use std::borrow::Cow;
use std::sync::Arc;

use dialects::json::{key_is, members, unescape};
use dialects::openai::request::{Nested, Request};
use http::{HeaderMap, HeaderName};
use proto::v1::OwnerKind;

use super::authorize::AuthorizeError;
use super::decode::{Call, short};
use crate::snapshot::{Deployment, Snapshot};

/// LiteLLM's own headers for it.
pub(super) static OURS: [HeaderName; 2] =
    [HeaderName::from_static("x-litellm-customer-id"), HeaderName::from_static("x-litellm-end-user-id")];

/// The first place that names somebody: these headers, and then the body.
pub(super) fn customer<'n>(
    mut names: impl Iterator<Item = &'n HeaderName>,
    headers: &HeaderMap,
    request: &Request,
    body: &[u8],
) -> Option<String> {
    let said = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).and_then(kept);
    names
        .find_map(said)
        .or_else(|| request.user.as_deref().and_then(kept))
        .or_else(|| in_object(request.litellm_metadata.as_ref(), body, "user"))
        .or_else(|| in_object(request.metadata.as_ref(), body, "user_id"))
        .or_else(|| request.head.value(body, "safety_identifier").and_then(scalar))
}

/// The model that an admin set for a customer's calls that name none.
pub(super) fn default_model(snapshot: &Snapshot, id: &str) -> Option<String> {
    snapshot.owner(OwnerKind::Customer, id)?.default_model.as_deref().map(str::to_owned)
}

/// Keeps the calls of a customer who is bound to a region to deployments that are known to be there.
pub(super) fn keep_to_region(
    snapshot: &Snapshot,
    call: &Call,
    candidates: &mut Vec<Arc<Deployment>>,
) -> Result<(), AuthorizeError> {
    let customer = call.end_user.as_deref().and_then(|id| snapshot.owner(OwnerKind::Customer, id));
    let Some(region) = customer.and_then(|customer| customer.region.as_deref()) else { return Ok(()) };
    candidates.retain(|deployment| deployment.region.as_deref().is_some_and(|place| is_in(place, region)));
    match candidates.is_empty() {
        true => Err(AuthorizeError::Region { region: region.to_owned(), model: call.asked.clone() }),
        false => Ok(()),
    }
}

/// `eu` holds `eu` and `eu-west-1`.
fn is_in(place: &str, region: &str) -> bool {
    place.strip_prefix(region).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn in_object(object: Option<&Nested>, body: &[u8], name: &str) -> Option<String> {
    let (_, value) = members(object?.json(body)).find(|(key, _)| key_is(key, name))?;
    scalar(value)
}

/// A text, or a whole number as text; anything else names nobody.
fn scalar(value: &[u8]) -> Option<String> {
    let text = match value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(inner) => unescape(inner)?,
        None => Cow::Borrowed(std::str::from_utf8(value).ok().filter(|text| text.parse::<i128>().is_ok())?),
    };
    kept(&text)
}

/// The name as far as it is noted; an empty one is none.
fn kept(name: &str) -> Option<String> {
    Some(short(name).to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use dialects::Task;
    use dialects::openai::request;

    use super::*;

    fn named(headers: &[(&'static str, &'static str)], body: &str) -> Option<String> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        let own = HeaderName::from_static("x-who");
        let request = request::read(Task::Chat, body.as_bytes()).unwrap();
        customer(OURS.iter().chain([&own]), &headers, &request, body.as_bytes())
    }

    #[test]
    fn the_first_place_that_names_somebody_counts() {
        let body = r#"{"user":"b","litellm_metadata":{"user":"l"},"metadata":{"user_id":"m"},"safety_identifier":"s"}"#;
        let all = [("x-litellm-end-user-id", "e"), ("x-litellm-customer-id", "c"), ("x-who", "w")];
        for (place, expected) in [(0, "c"), (2, "w"), (3, "b")] {
            let kept: Vec<_> = match place {
                0 => all.to_vec(),
                _ => all.into_iter().skip(place).collect(),
            };
            assert_eq!(named(&kept, body).as_deref(), Some(expected));
        }
        assert_eq!(named(&[], &body.replace(r#""user":"b","#, "")).as_deref(), Some("l"));
        assert_eq!(named(&[], r#"{"metadata":{"user_id":"m"},"safety_identifier":"s"}"#).as_deref(), Some("m"));
        assert_eq!(named(&[], r#"{"metadata":{"a":1},"safety_identifier":"s"}"#).as_deref(), Some("s"));
        assert_eq!(named(&[], "{}"), None);
    }

    #[test]
    fn a_place_is_in_its_region_and_in_no_other_that_begins_alike() {
        assert!(is_in("eu", "eu") && is_in("eu-west-1", "eu"));
        assert!(!is_in("europe-west1", "eu") && !is_in("us", "eu") && !is_in("", "eu"));
    }

    #[test]
    fn numbers_are_names_and_other_things_are_not() {
        assert_eq!(named(&[], r#"{"metadata":{"user_id":42}}"#).as_deref(), Some("42"));
        assert_eq!(named(&[], r#"{"metadata":{"user_id":"\u0061da"}}"#).as_deref(), Some("ada"));
        for value in ["true", "null", "[1]", "{}", "\"\"", "1.5"] {
            let body = format!(r#"{{"metadata":{{"user_id":{value}}},"safety_identifier":"s"}}"#);
            assert_eq!(named(&[], &body).as_deref(), Some("s"), "{value}");
        }
        assert_eq!(named(&[("x-litellm-customer-id", "")], r#"{"user":"b"}"#).as_deref(), Some("b"));
    }
}
