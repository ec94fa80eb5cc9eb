//! Where a request carries its key. The first header of a fixed order that is there counts; the order is LiteLLM's
//! (`admin_api.md` 4.1.1), so that clients which send several are read alike.

use http::HeaderMap;

use super::authenticate::AccessError;

/// Headers that carry a bare key, in the order in which they are asked, after the two that may have a prefix.
const BARE: [&str; 4] = ["api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key"];

/// The key that a request presents. `only` is the one header that the operator has named instead of all others.
pub(super) fn key<'h>(headers: &'h HeaderMap, only: Option<&str>) -> Result<&'h str, AccessError> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(name) = only {
        return said(name).and_then(without_prefix).ok_or(AccessError::Malformed);
    }
    if let Some(text) = said("x-litellm-api-key").filter(|text| !text.is_empty()) {
        return Ok(without_prefix(text).unwrap_or(text));
    }
    if let Some(text) = said("authorization").filter(|text| !text.is_empty()) {
        return without_prefix(text).ok_or(AccessError::Malformed);
    }
    BARE.iter().find_map(|name| said(name)).filter(|text| !text.is_empty()).ok_or(AccessError::NoKey)
}

/// What follows `Bearer `, `bearer ` or `Basic `, or the credential of an AWS signature.
fn without_prefix(text: &str) -> Option<&str> {
    let plain = ["Bearer ", "bearer ", "Basic "].iter().find_map(|prefix| text.strip_prefix(prefix));
    let key = plain.or_else(|| {
        let (_, credential) = text.strip_prefix("AWS4-HMAC-SHA256")?.split_once("Credential=Bearer ")?;
        credential.split(['/', ',']).next()
    });
    key.map(str::trim).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn found(pairs: &[(&'static str, &'static str)], only: Option<&str>) -> Result<String, &'static str> {
        let pairs = pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        let headers: HeaderMap = pairs.collect();
        match key(&headers, only) {
            Ok(key) => Ok(key.to_owned()),
            Err(AccessError::NoKey) => Err("none"),
            Err(AccessError::Malformed) => Err("malformed"),
            Err(_) => Err("other"),
        }
    }

    #[test]
    fn the_first_header_of_the_order_counts() {
        assert_eq!(found(&[("authorization", "Bearer sk-a"), ("x-litellm-api-key", "sk-b")], None).unwrap(), "sk-b");
        assert_eq!(found(&[("x-litellm-api-key", "Bearer sk-b")], None).unwrap(), "sk-b");
        assert_eq!(found(&[("authorization", "bearer sk-a"), ("x-api-key", "sk-c")], None).unwrap(), "sk-a");
        assert_eq!(found(&[("x-api-key", "sk-c"), ("api-key", "sk-d")], None).unwrap(), "sk-d");
        assert_eq!(found(&[("authorization", ""), ("x-goog-api-key", "sk-e")], None).unwrap(), "sk-e");
        assert_eq!(found(&[("ocp-apim-subscription-key", "sk-f")], None).unwrap(), "sk-f");
        assert_eq!(found(&[], None), Err("none"));
    }

    #[test]
    fn an_authorization_without_prefix_is_malformed_and_shadows_the_rest() {
        assert_eq!(found(&[("authorization", "sk-a"), ("x-api-key", "sk-c")], None), Err("malformed"));
        assert_eq!(found(&[("authorization", "Bearer ")], None), Err("malformed"));
    }

    #[test]
    fn a_named_header_replaces_every_other() {
        let both = [("authorization", "Bearer sk-a"), ("x-key", "Bearer sk-k")];
        assert_eq!(found(&both, Some("x-key")).unwrap(), "sk-k");
        assert_eq!(found(&both[..1], Some("x-key")), Err("malformed"));
        assert_eq!(found(&[("x-key", "sk-k")], Some("x-key")), Err("malformed"));
    }

    #[test]
    fn an_aws_signature_may_carry_the_key() {
        let signature = "AWS4-HMAC-SHA256 Credential=Bearer sk-w/20250101/us-east-1/bedrock/aws4_request, Signature=x";
        assert_eq!(found(&[("authorization", signature)], None).unwrap(), "sk-w");
    }
}
