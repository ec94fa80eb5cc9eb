//! What a change answers, beside its body: the revision, who is late, and what was not understood.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use serde::Serialize;

use crate::change::Published;

/// The revision at which the change is in force. A data plane that forwarded the call answers when it holds it.
const REVISION: &str = proto::channel::REVISION_HEADER;

/// Data planes that did not hold it in time, where the caller asked for their names.
const LATE: &str = "x-turnpike-late";

/// Names in the body that nobody knows.
const UNKNOWN: &str = "x-turnpike-unknown-fields";

/// Most characters of a header.
const HEADER: usize = 1_024;

/// The answer to a change.
#[derive(Debug)]
pub(crate) struct Changed<T> {
    /// The body.
    pub(crate) view: T,
    pub(crate) published: Published,
    /// Names in the request that nobody knows.
    pub(crate) unknown: Vec<String>,
}

impl<T: Serialize> IntoResponse for Changed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.view).into_response();
        let headers = response.headers_mut();
        headers.insert(REVISION, HeaderValue::from(self.published.revision));
        for (name, texts) in [(LATE, &self.published.late), (UNKNOWN, &self.unknown)] {
            if !texts.is_empty() {
                headers.insert(name, list(texts));
            }
        }
        response
    }
}

/// A list in a header: printable ASCII, and not without end.
fn list(texts: &[String]) -> HeaderValue {
    let printable = |char: char| if char.is_ascii_graphic() && char != ',' { char } else { '?' };
    let texts: Vec<String> = texts.iter().map(|text| text.chars().map(printable).collect()).collect();
    let joined: String = texts.join(", ").chars().take(HEADER).collect();
    HeaderValue::from_str(&joined).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_a_header_is_printable_and_ends() {
        assert_eq!(list(&["a".into(), "b,\nc".into()]), "a, b??c");
        assert_eq!(list(&vec!["long".to_owned(); 1_000]).len(), HEADER);
    }
}
