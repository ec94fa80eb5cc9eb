//! The headers of a call as they are collected: credentials, the provider's own, then those of the deployment.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use wire::Secret;

use super::AddressError;
use crate::description::HeaderDefault;

/// Headers that belong to the connection or to the engine's reading of answers, never to a deployment.
const ENGINE_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers under construction for one provider.
pub(crate) struct Headers {
    provider: &'static str,
    map: HeaderMap,
}

impl Headers {
    /// Starts with the provider's own headers.
    pub(crate) fn new(provider: &'static str, defaults: &[HeaderDefault]) -> Self {
        let mut map = HeaderMap::new();
        for default in defaults {
            if let Some(value) = default.value {
                map.insert(HeaderName::from_static(default.name), HeaderValue::from_static(value));
            }
        }
        Self { provider, map }
    }

    /// `Authorization: Bearer …`
    pub(crate) fn bearer(&mut self, field: &'static str, token: &str) -> Result<(), AddressError> {
        self.put_secret(AUTHORIZATION, field, format!("Bearer {}", token.trim()))
    }

    /// The key in a header of its own.
    pub(crate) fn key(&mut self, name: &'static str, key: &str) -> Result<(), AddressError> {
        self.put_secret(HeaderName::from_static(name), "api_key", key.trim().to_owned())
    }

    /// The OpenAI organization, where one is configured.
    pub(crate) fn organization(&mut self, organization: Option<&str>) -> Result<(), AddressError> {
        let Some(text) = organization.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let value = HeaderValue::from_str(text).or(Err(self.unfit("organization")))?;
        self.map.insert(HeaderName::from_static("openai-organization"), value);
        Ok(())
    }

    /// Adds the deployment's own headers over all others, and hands over the whole.
    pub(crate) fn with_extra(mut self, extra: &BTreeMap<String, String>) -> Result<HeaderMap, AddressError> {
        for (name, value) in extra {
            let fail = |problem| AddressError::Header { provider: self.provider, header: name.clone(), problem };
            let header = HeaderName::from_bytes(name.trim().as_bytes()).or(Err(fail("is not the name of a header")))?;
            if ENGINE_HEADERS.contains(&header.as_str()) {
                return Err(fail("is set by the gateway itself: remove it"));
            }
            let mut value =
                HeaderValue::from_str(value.trim()).or(Err(fail("has a value that no header can carry")))?;
            value.set_sensitive(true);
            self.map.insert(header, value);
        }
        Ok(self.map)
    }

    fn put_secret(&mut self, name: HeaderName, field: &'static str, text: String) -> Result<(), AddressError> {
        let mut value = HeaderValue::from_str(&text).or(Err(self.unfit(field)))?;
        value.set_sensitive(true);
        self.map.insert(name, value);
        Ok(())
    }

    fn unfit(&self, field: &'static str) -> AddressError {
        AddressError::Value {
            provider: self.provider,
            field,
            problem: "holds characters that no HTTP header can carry",
        }
    }
}

/// Whether the deployment's own headers hold one of `names`, that is, its own credential.
pub(crate) fn brings(extra: &BTreeMap<String, String>, names: &[&str]) -> bool {
    extra.keys().any(|name| names.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted)))
}

/// The secret's text, unless it is blank: an empty variable is no key.
pub(crate) fn given(secret: Option<&Secret>) -> Option<&str> {
    secret.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Headers;

    fn with_extra(name: &str, value: &str) -> Result<http::HeaderMap, super::AddressError> {
        Headers::new("groq", &[]).with_extra(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn a_deployment_cannot_set_what_belongs_to_the_connection() {
        for name in ["Host", "content-length", "Transfer-Encoding", "accept-encoding"] {
            let error = with_extra(name, "x").expect_err("refused").to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_broken_header_is_named_but_its_value_is_not_quoted() {
        let error = with_extra("x-team", "hunter2\r\nhost: evil").expect_err("refused").to_string();
        assert!(error.contains("`x-team`") && !error.contains("hunter2"), "{error}");
        assert!(with_extra("x team", "y").is_err());
    }

    #[test]
    fn header_values_that_may_be_secret_are_not_printed() {
        let headers = with_extra("x-token", "hunter2").expect("headers");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }
}
