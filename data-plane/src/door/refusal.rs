//! What a connection is told that cannot go on, and what that is counted as.

use dialects::openai::fault::ErrorBody;

/// Why a connection ends before, between or instead of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// HTTP/2 without asking: it is not served to clients.
    Http2,
    /// What was sent can be read in more than one way, or in none.
    Malformed(&'static str),
    /// A header that decides something stands there twice.
    Repeated(&'static str),
    /// A header that some servers take for one that decides something.
    Lookalike,
    UriTooLong,
    TooManyHeaders,
    HeadTooLarge,
    HeadTooSlow,
    TooManyConnections,
}

impl Refusal {
    /// Its name in the metric `turnpike_limits_total`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http2 => "http2",
            Self::Malformed(_) => "malformed",
            Self::Repeated(_) => "repeated_header",
            Self::Lookalike => "lookalike_header",
            Self::UriTooLong => "uri_too_long",
            Self::TooManyHeaders => "too_many_headers",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTooSlow => "head_too_slow",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    /// The bytes that say so. The connection is closed after them.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let (status, code, kind, message) = match self {
            Self::Http2 => return GO_AWAY.to_vec(),
            Self::Malformed(what) => ("Bad Request", 400, REQUEST, format!("The request cannot be read: {what}.")),
            Self::Repeated(name) => ("Bad Request", 400, REQUEST, format!("The header `{name}` is given twice.")),
            Self::Lookalike => {
                let text = "A header's name has `_` where one that this gateway acts on has `-`: send that one.";
                ("Bad Request", 400, REQUEST, text.to_owned())
            }
            Self::UriTooLong => ("URI Too Long", 414, REQUEST, "The request's address is too long.".to_owned()),
            Self::TooManyHeaders => {
                ("Request Header Fields Too Large", 431, REQUEST, "The request has too many headers.".to_owned())
            }
            Self::HeadTooLarge => {
                ("Request Header Fields Too Large", 431, REQUEST, "The request's headers are too large.".to_owned())
            }
            Self::HeadTooSlow => ("Request Timeout", 408, REQUEST, "The request's head came too slowly.".to_owned()),
            Self::TooManyConnections => {
                let text = "This gateway has as many connections as it may: try again in a moment.";
                ("Service Unavailable", 503, "internal_server_error", text.to_owned())
            }
        };
        let body = ErrorBody { message: &message, kind, param: None, code }.to_bytes();
        let retry = if code == 503 { "retry-after: 1\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {code} {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}\
             connection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

const REQUEST: &str = "invalid_request_error";

/// An empty SETTINGS frame, and GOAWAY with HTTP_1_1_REQUIRED: what an HTTP/2 client understands.
const GO_AWAY: &[u8] = &[
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS, nothing in it
    0, 0, 8, 7, 0, 0, 0, 0, 0, // GOAWAY, 8 bytes
    0, 0, 0, 0, 0, 0, 0, 0x0d, // no stream was looked at
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_whole_answer_in_the_envelope() {
        let bytes = Refusal::Repeated("authorization").bytes();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "400");
    }
}
