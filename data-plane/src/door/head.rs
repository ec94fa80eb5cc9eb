//! One request's head, line by line: what is ambiguous in it is refused before HTTP sees it.
//!
//! hyper reads what the standard lets a server read: a line feed alone ends a line, a length beside an encoding is
//! dropped. A proxy in front may read the same bytes otherwise, and then the two disagree about where a request ends. So
//! whatever has two readings has none here.

use super::refusal::Refusal;
use crate::door::limits::Limits;

/// What was seen of a head so far.
#[derive(Default)]
pub(super) struct Head {
    bytes: usize,
    has_request_line: bool,
    headers: usize,
    /// Bits of [`ONCE`].
    seen: u8,
    length: Option<u64>,
    is_chunked: bool,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// So many bytes.
    Bytes(u64),
    Chunks,
}

/// Headers that decide something, and that therefore stand there once.
const ONCE: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "authorization", "x-litellm-api-key", "api-key", "x-api-key"];

/// Beginnings of names that decide something.
const DECIDING: [&str; 11] = [
    "authorization",
    "content-length",
    "transfer-encoding",
    "x-litellm-",
    "x-turnpike-",
    "x-forwarded-",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "litellm-",
    "ocp-apim-",
];

impl Head {
    /// Whether nothing of it came yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.bytes == 0
    }

    /// Takes in so many more bytes.
    pub(super) fn grow(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        self.bytes += bytes;
        match (self.bytes > limits.max_head_bytes(), self.has_request_line) {
            (false, true) => Ok(()),
            // Method and version are beside the address in its line.
            (_, false) if self.bytes > limits.max_uri_bytes.saturating_add(64) => Err(Refusal::UriTooLong),
            (false, false) => Ok(()),
            (true, _) => Err(Refusal::HeadTooLarge),
        }
    }

    /// Takes in a line without its end; says what follows when the head is over.
    pub(super) fn line(&mut self, line: &[u8], limits: &Limits) -> Result<Option<Follows>, Refusal> {
        match (line.is_empty(), self.has_request_line) {
            (true, true) => self.end().map(Some),
            // Some clients send an empty line between requests.
            (true, false) => Ok(None),
            (false, true) => self.header(line, limits).map(|()| None),
            (false, false) => self.request_line(line, limits).map(|()| None),
        }
    }

    fn request_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        self.has_request_line = true;
        if line == b"PRI * HTTP/2.0" {
            return Err(Refusal::Http2);
        }
        let address = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
        let address = address.rsplitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
        if address.len() > limits.max_uri_bytes {
            return Err(Refusal::UriTooLong);
        }
        if address.is_empty() || address.contains(&b' ') {
            return Err(Refusal::Malformed("its first line is not a method, an address and a version"));
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        self.headers += 1;
        if self.headers > limits.max_headers {
            return Err(Refusal::TooManyHeaders);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::Malformed("a header goes on in the next line"));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(Refusal::Malformed("a header has no colon"));
        };
        let (name, value) = line.split_at(colon);
        if name.last().is_none_or(|last| *last == b' ' || *last == b'\t') {
            return Err(Refusal::Malformed("a header has no name, or a blank before its colon"));
        }
        if name.contains(&b'_') {
            not_a_lookalike(name)?;
        }
        let Some(index) = ONCE.iter().position(|once| name.eq_ignore_ascii_case(once.as_bytes())) else {
            return Ok(());
        };
        let bit = 1_u8 << index;
        if self.seen & bit != 0 {
            return Err(Refusal::Repeated(ONCE.get(index).copied().unwrap_or_default()));
        }
        self.seen |= bit;
        self.framing(index, value.get(1..).unwrap_or_default().trim_ascii())
    }

    fn framing(&mut self, index: usize, value: &[u8]) -> Result<(), Refusal> {
        match ONCE.get(index).copied() {
            Some("content-length") => {
                let digits =
                    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let length = digits.and_then(|text| text.parse().ok());
                self.length = Some(length.ok_or(Refusal::Malformed("its Content-Length is not a number"))?);
            }
            Some("transfer-encoding") if value.eq_ignore_ascii_case(b"chunked") => self.is_chunked = true,
            Some("transfer-encoding") => {
                return Err(Refusal::Malformed("its Transfer-Encoding is not `chunked`"));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Follows, Refusal> {
        let Self { length, is_chunked, .. } = std::mem::take(self);
        match (length, is_chunked) {
            (Some(_), true) => Err(Refusal::Malformed("it has both a Content-Length and a Transfer-Encoding")),
            (None, true) => Ok(Follows::Chunks),
            (length, false) => Ok(Follows::Bytes(length.unwrap_or(0))),
        }
    }
}

#[cold]
fn not_a_lookalike(name: &[u8]) -> Result<(), Refusal> {
    let plain = String::from_utf8_lossy(name).to_ascii_lowercase().replace('_', "-");
    if DECIDING.iter().any(|beginning| plain.starts_with(beginning)) { Err(Refusal::Lookalike) } else { Ok(()) }
}
