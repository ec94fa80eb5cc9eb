//! What was refused because of a limit, by the limit's name: `turnpike_limits_total{limit=…}`.

use metrics::counter;

/// Everything that `limit` can say.
const LIMITS: [&str; 16] = [
    "body_too_large",
    "body_too_slow",
    "client_stalled",
    "encoded_body",
    "head_too_large",
    "head_too_slow",
    "http2",
    "in_flight",
    "lookalike_header",
    "malformed",
    "panic",
    "path",
    "repeated_header",
    "too_many_connections",
    "too_many_headers",
    "uri_too_long",
];

/// Shows every limit with 0, so that an alarm can be set before the first time.
pub(crate) fn register() {
    for limit in LIMITS {
        counter!("turnpike_limits_total", "limit" => limit).absolute(0);
    }
}

/// A limit was reached.
#[cold]
pub(crate) fn reached(limit: &'static str) {
    debug_assert!(LIMITS.contains(&limit), "{limit} is not in the table");
    counter!("turnpike_limits_total", "limit" => limit).increment(1);
}
