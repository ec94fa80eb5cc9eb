//! A provider's headers as a client sees them: `llm_provider-` before each name, rate limits under their own name too.
//!
//! What becomes of a name is decided once per core and kept: providers send the same ones with every answer.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use http::{HeaderMap, HeaderName, HeaderValue};
use wire::Secret;

/// More names than providers have; past it they are decided anew each time.
const MAX_NAMES: usize = 1_000;

/// Provider headers that are not shown: hop by hop, credentials, or plainly the provider's own.
const HIDDEN: [&str; 7] = [
    "connection",
    "transfer-encoding",
    "keep-alive",
    "set-cookie",
    "www-authenticate",
    "proxy-authenticate",
    "upgrade",
];

/// What becomes of a header of that name.
#[derive(Clone)]
enum Fate {
    Hidden,
    Prefixed(HeaderName),
    /// As it is, and prefixed.
    Both(HeaderName),
}

/// One core's memory of header names.
#[derive(Default)]
pub(crate) struct ProviderHeaders(RefCell<HashMap<HeaderName, Fate, RandomState>>);

impl ProviderHeaders {
    /// Adds the headers of a provider's answer to those of ours, but those that repeat the `key` it was called with.
    pub(crate) fn show(&self, from: &HeaderMap, key: Option<&Secret>, to: &mut HeaderMap) {
        let mut fates = self.0.borrow_mut();
        for (name, value) in from.iter().filter(|(_, value)| !quotes(key, value)) {
            match fates.get(name) {
                Some(fate) => apply(fate, name, value, to),
                None => {
                    let fate = Fate::of(name);
                    apply(&fate, name, value, to);
                    if fates.len() < MAX_NAMES {
                        fates.insert(name.clone(), fate);
                    }
                }
            }
        }
    }
}

/// Whether a provider repeats the credential that it was called with. Nearly every value is too short to.
pub(super) fn quotes(key: Option<&Secret>, value: &HeaderValue) -> bool {
    let key = key.map_or("", |key| key.expose());
    let is_long = value.len() >= key.len() && !key.is_empty();
    is_long && memchr::memmem::find(value.as_bytes(), key.as_bytes()).is_some()
}

impl Fate {
    fn of(name: &HeaderName) -> Self {
        if HIDDEN.contains(&name.as_str()) {
            return Self::Hidden;
        }
        match HeaderName::try_from(format!("llm_provider-{name}")) {
            Ok(prefixed) if name.as_str().starts_with("x-ratelimit-") => Self::Both(prefixed),
            Ok(prefixed) => Self::Prefixed(prefixed),
            // Too long a name, with the prefix.
            Err(_) => Self::Hidden,
        }
    }
}

fn apply(fate: &Fate, name: &HeaderName, value: &HeaderValue, to: &mut HeaderMap) {
    match fate {
        Fate::Hidden => {}
        Fate::Prefixed(prefixed) => {
            to.append(prefixed, value.clone());
        }
        Fate::Both(prefixed) => {
            to.append(name, value.clone());
            to.append(prefixed, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_a_prefix_rate_limits_stay_too_and_what_is_the_connections_is_hidden() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("x-ratelimit-remaining-tokens", "1"),
            ("openai-version", "v"),
            ("set-cookie", "secret"),
            ("x-echo", "Bearer sk-theirs"),
        ] {
            from.insert(name, HeaderValue::from_static(value));
        }
        from.append("openai-version", HeaderValue::from_static("w"));
        let headers = ProviderHeaders::default();
        for _ in 0..2 {
            let mut shown = HeaderMap::new();
            headers.show(&from, Some(&Secret::new("sk-theirs".to_owned())), &mut shown);
            let mut shown: Vec<_> = shown.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            shown.sort();
            assert_eq!(
                shown,
                [
                    r#"llm_provider-openai-version: "v""#,
                    r#"llm_provider-openai-version: "w""#,
                    r#"llm_provider-x-ratelimit-remaining-tokens: "1""#,
                    r#"x-ratelimit-remaining-tokens: "1""#,
                ]
            );
        }
    }
}
