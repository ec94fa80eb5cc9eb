//! Errors: our own in the envelope that clients know, and those of providers in whatever shape they come.

use bytes::Bytes;

use crate::json::{self, as_string, push_quoted, slice};

/// How much of a provider's text is passed on.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How much of a page that is not JSON is looked at.
const TEXT_BYTES_MAX: usize = 512;

/// An error as OpenAI's clients and LiteLLM's expect it.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    /// The field `type`.
    pub kind: &'a str,
    pub param: Option<&'a str>,
    /// The HTTP status; on the wire it is a text.
    pub code: u16,
}

impl ErrorBody<'_> {
    /// `{"error":{"message","type","param","code"}}`.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.message.len() + 96);
        out.extend_from_slice(br#"{"error":{"message":"#);
        push_quoted(&mut out, self.message);
        out.extend_from_slice(br#","type":"#);
        push_quoted(&mut out, self.kind);
        out.extend_from_slice(br#","param":"#);
        match self.param {
            Some(param) => push_quoted(&mut out, param),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","code":"#);
        push_quoted(&mut out, &self.code.to_string());
        out.extend_from_slice(b"}}");
        Bytes::from(out)
    }
}

/// What a provider said when it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// Its words, at most 4 KiB of them; empty if it said nothing.
    pub message: String,
    /// The field `type`.
    pub kind: Option<String>,
    /// The field `code`, text or number.
    pub code: Option<String>,
}

/// Reads an error body: the shapes of OpenAI, Google, FastAPI, plain texts and HTML pages. Never fails: what is not
/// understood is the message itself, shortened.
pub fn read_upstream(body: &[u8]) -> UpstreamError {
    let body = body.trim_ascii();
    let object = match body.first() {
        Some(b'[') => json::elements(body).next().unwrap_or_default(),
        _ => body,
    };
    let error = if object.starts_with(b"{") { read_object(object) } else { None };
    error.unwrap_or_else(|| UpstreamError { message: read_text(body), ..UpstreamError::default() })
}

/// The value of an `error` member, or an object that is an error itself.
pub(super) fn read_error(value: &[u8]) -> UpstreamError {
    if value.starts_with(b"{") {
        let read = read_object(value);
        return read.unwrap_or_else(|| UpstreamError { message: bounded_json(value), ..UpstreamError::default() });
    }
    UpstreamError { message: text(value).unwrap_or_else(|| bounded_json(value)), ..UpstreamError::default() }
}

fn read_object(object: &[u8]) -> Option<UpstreamError> {
    let head = json::scan_event(object).ok()?;
    let value = |name| head.value(object, name).filter(|value| *value != b"null");
    if let Some(error) = value("error") {
        let mut error = read_error(error);
        // Some keep the code beside the error.
        error.code = error.code.or_else(|| value("code").and_then(scalar));
        return Some(error);
    }
    let words = ["message", "detail", "error_message", "msg", "title", "errors"].into_iter().find_map(value);
    let kind = ["type", "status"].into_iter().find_map(value).and_then(text);
    let code = value("code").and_then(scalar);
    let message = match words {
        Some(words) => said(words),
        None if kind.is_some() || code.is_some() => bounded_json(object),
        None => return None,
    };
    Some(UpstreamError { message, kind, code })
}

/// A text; the `msg` or `message` in the first element of a list (FastAPI), or of an object; else the JSON.
fn said(value: &[u8]) -> String {
    if let Some(text) = text(value) {
        return text;
    }
    let object = json::elements(value).next().unwrap_or(value);
    let words = json::members(object).find(|(key, _)| matches!(*key, b"msg" | b"message"));
    words.and_then(|(_, value)| text(value)).or_else(|| text(object)).unwrap_or_else(|| bounded_json(value))
}

fn text(value: &[u8]) -> Option<String> {
    as_string(value).map(|text| bounded(&text, MESSAGE_BYTES_MAX))
}

/// A text or a number, as text.
fn scalar(value: &[u8]) -> Option<String> {
    let is_number = value.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    let text = if is_number { std::str::from_utf8(value).ok()?.to_owned() } else { text(value)? };
    Some(bounded(&text, TEXT_BYTES_MAX))
}

fn bounded_json(value: &[u8]) -> String {
    let start = slice(value, &(0..value.len().min(MESSAGE_BYTES_MAX + 4)));
    bounded(&String::from_utf8_lossy(start), MESSAGE_BYTES_MAX)
}

/// Plain text as it is; of an HTML page its title.
fn read_text(body: &[u8]) -> String {
    let start = String::from_utf8_lossy(slice(body, &(0..body.len().min(16 * 1024))));
    let lower = start.to_ascii_lowercase();
    if !lower.starts_with("<!doctype") && !lower.starts_with("<html") && !lower.contains("<head") {
        return bounded(&start, TEXT_BYTES_MAX);
    }
    let after = lower.find("<title").and_then(|open| Some(open + lower.get(open..)?.find('>')? + 1));
    let title = after.and_then(|from| start.get(from..from + lower.get(from..)?.find('<')?));
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("an HTML page instead of JSON: {}", bounded(title, TEXT_BYTES_MAX)),
        None => "an HTML page instead of JSON".to_owned(),
    }
}

/// At most `limit` bytes, cut between characters, with a mark where something is missing.
fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_that_of_openai_with_a_code_in_text() {
        let body = ErrorBody { message: "no \"x\"", kind: "invalid_request_error", param: None, code: 400 };
        assert_eq!(
            body.to_bytes(),
            r#"{"error":{"message":"no \"x\"","type":"invalid_request_error","param":null,"code":"400"}}"#
        );
    }

    #[track_caller]
    fn check(body: &str, message: &str, kind: Option<&str>, code: Option<&str>) {
        let expected =
            UpstreamError { message: message.to_owned(), kind: kind.map(str::to_owned), code: code.map(str::to_owned) };
        assert_eq!(read_upstream(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn errors_are_read_in_the_shapes_they_come_in() {
        check(
            r#"{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            "slow down",
            Some("tokens"),
            Some("rate_limit_exceeded"),
        );
        check(r#"{"error":{"message":"m","code":429}}"#, "m", None, Some("429"));
        check(r#"{"error":"just words"}"#, "just words", None, None);
        check(r#"{"error":{"code":5}}"#, r#"{"code":5}"#, None, Some("5"));
        check(r#"[{"error":{"code":400,"message":"bad","status":"INVALID"}}]"#, "bad", Some("INVALID"), Some("400"));
        check(
            r#"{"object":"error","message":"vllm","type":"BadRequestError","code":400}"#,
            "vllm",
            Some("BadRequestError"),
            Some("400"),
        );
        check(r#"{"detail":"Not Found"}"#, "Not Found", None, None);
        check(r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "field required", None, None);
        check(r#"{"unknown":1}"#, r#"{"unknown":1}"#, None, None);
        check("upstream connect error", "upstream connect error", None, None);
        check("", "", None, None);
    }

    #[test]
    fn an_html_page_is_named_by_its_title() {
        check(
            "<!DOCTYPE html>\n<html><head><title> 502 Bad Gateway </title></head><body>é</body></html>",
            "an HTML page instead of JSON: 502 Bad Gateway",
            None,
            None,
        );
        check("<html><body>x", "an HTML page instead of JSON", None, None);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(5000));
        let message = read_upstream(body.as_bytes()).message;
        assert_eq!(message.len(), MESSAGE_BYTES_MAX + "…".len());
        assert!(read_upstream(&b"\xff".repeat(100_000)).message.len() <= TEXT_BYTES_MAX + 3);
    }
}
