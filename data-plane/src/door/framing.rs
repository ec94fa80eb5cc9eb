//! Where one request ends and the next begins, followed along as the bytes come. Nothing is kept but half lines.

use super::head::{Follows, Head};
use super::refusal::Refusal;
use crate::door::limits::Limits;

/// The longest line with a chunk's size; what follows the size there says nothing to us.
const CHUNK_LINE: usize = 1024;

/// Follows the requests of one connection.
pub(super) struct Framing {
    part: Part,
    head: Head,
    /// The beginning of a line whose end did not come yet.
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk, with the end of its line.
    Chunk(u64),
    Trailers,
}

/// What came cannot be let through, but for what was before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// So many of the bytes belong to requests that are well.
    pub(super) well: usize,
    /// Whether it is the body of the call that is being served, not the head of the next.
    pub(super) is_in_body: bool,
    pub(super) refusal: Refusal,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self { part: Part::Head, head: Head::default(), line: Vec::new(), trailers: 0 }
    }

    /// Whether a head has begun and is not over.
    pub(super) fn is_in_head(&self) -> bool {
        self.part == Part::Head && !self.head.is_fresh()
    }

    /// Follows `bytes`.
    pub(super) fn see(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Refused> {
        let mut rest = bytes;
        let mut well = 0;
        while !rest.is_empty() {
            rest = match self.part {
                Part::Body(left) => self.pass(rest, left, Part::Head, Part::Body),
                Part::Chunk(left) => self.pass(rest, left, Part::ChunkSize, Part::Chunk),
                Part::Head | Part::ChunkSize | Part::Trailers => {
                    let is_in_body = self.part != Part::Head;
                    self.lines(rest, limits).map_err(|refusal| Refused { well, is_in_body, refusal })?
                }
            };
            if self.part != Part::Head || self.head.is_fresh() {
                well = bytes.len() - rest.len();
            }
        }
        Ok(())
    }

    fn pass<'b>(&mut self, rest: &'b [u8], left: u64, then: Part, more: impl Fn(u64) -> Part) -> &'b [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left - taken as u64;
        self.part = if left == 0 { then } else { more(left) };
        rest.get(taken..).unwrap_or_default()
    }

    /// One line, or what is there of it.
    fn lines<'b>(&mut self, rest: &'b [u8], limits: &Limits) -> Result<&'b [u8], Refusal> {
        let end = memchr::memchr(b'\n', rest);
        let (taken, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        self.grow(taken.len(), limits)?;
        if end.is_none() {
            self.line.extend_from_slice(taken);
            return Ok(after);
        }
        if self.line.is_empty() {
            self.line_ended(taken, limits)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(taken);
            self.line_ended(&line, limits)?;
        }
        Ok(after)
    }

    fn grow(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        match self.part {
            Part::Head => self.head.grow(bytes, limits),
            Part::ChunkSize if self.line.len() + bytes > CHUNK_LINE => Err(BAD_CHUNK),
            Part::Trailers => {
                self.trailers += bytes;
                if self.trailers > limits.max_head_bytes() { Err(Refusal::HeadTooLarge) } else { Ok(()) }
            }
            Part::ChunkSize | Part::Body(_) | Part::Chunk(_) => Ok(()),
        }
    }

    fn line_ended(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(Refusal::Malformed("a line does not end with CR LF"));
        };
        match self.part {
            Part::Head => {
                if let Some(follows) = self.head.line(line, limits)? {
                    self.part = match follows {
                        Follows::Bytes(0) => Part::Head,
                        Follows::Bytes(length) => Part::Body(length),
                        Follows::Chunks => Part::ChunkSize,
                    };
                }
            }
            Part::ChunkSize => {
                self.trailers = 0;
                self.part = match chunk_size(line).ok_or(BAD_CHUNK)? {
                    0 => Part::Trailers,
                    size => Part::Chunk(size + 2),
                };
            }
            Part::Trailers if line.is_empty() => self.part = Part::Head,
            Part::Trailers | Part::Body(_) | Part::Chunk(_) => {}
        }
        Ok(())
    }
}

const BAD_CHUNK: Refusal = Refusal::Malformed("a chunk's size is not a hexadecimal number");

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let is_hex = (1..=15).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::door::limits::tests::given;

    const PLAIN: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab\ncd";
    const CHUNKED: &str =
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nc\r\n0\r\nt: 1\r\n\r\n";

    fn follow(text: &str) -> Result<(), Refused> {
        Framing::new().see(text.as_bytes(), &given(&[]))
    }

    #[track_caller]
    fn refused(text: &str, expected: Refusal) {
        assert_eq!(follow(text).map_err(|refused| refused.refusal), Err(expected), "{text:?}");
    }

    #[test]
    fn requests_one_after_another_are_followed_to_the_end() {
        let many = [PLAIN, CHUNKED, "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat();
        let mut framing = Framing::new();
        framing.see(many.as_bytes(), &given(&[])).unwrap();
        assert!(framing.part == Part::Head && framing.head.is_fresh());
        framing.see(b"G", &given(&[])).unwrap();
        assert!(framing.is_in_head());
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let head = |lines: &str| format!("POST /a HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n");
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length: 0x5",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding : chunked",
            "X: a\r\n b",
            "X: a\nTransfer-Encoding: chunked",
            "no colon",
            ": no name",
        ] {
            let refusal = follow(&head(lines)).unwrap_err().refusal;
            assert!(matches!(refusal, Refusal::Malformed(_)), "{lines:?}: {refusal:?}");
        }
        refused("GET / HTTP/1.1\nHost: x\n\n", Refusal::Malformed("a line does not end with CR LF"));
        refused(&head("Content-Length: 5\r\ncontent-length: 5"), Refusal::Repeated("content-length"));
        refused(&head("authorization: a\r\nAuthorization: b"), Refusal::Repeated("authorization"));
        refused(&head("host: y"), Refusal::Repeated("host"));
        refused(&head("X_LiteLLM_Api_Key: a"), Refusal::Lookalike);
        refused(&head("content_length: 5"), Refusal::Lookalike);
        assert_eq!(follow(&head("my_header: a")), Ok(()));
        refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Http2);
        let chunks = |body: &str| head("Transfer-Encoding: chunked") + body;
        for body in ["x\r\n", "-1\r\n", "\r\n", "1 1\r\na", "ffffffffffffffff1\r\n", "3\nabc"] {
            let refusal = follow(&chunks(body)).unwrap_err().refusal;
            assert!(matches!(refusal, Refusal::Malformed(_)), "{body:?}: {refusal:?}");
        }
    }

    #[test]
    fn sizes_are_refused_before_they_are_kept() {
        let limits = given(&[]);
        refused(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(8_192)), Refusal::UriTooLong);
        refused(&format!("GET /{}", "a".repeat(9_000)), Refusal::UriTooLong);
        refused(&format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(101)), Refusal::TooManyHeaders);
        assert_eq!(follow(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100))), Ok(()));
        refused(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(65_536)), Refusal::HeadTooLarge);
        let mut framing = Framing::new();
        framing.see(b"GET / HTTP/1.1\r\na: ", &limits).unwrap();
        let mut kept = 0;
        while framing.see(&[b'b'; 1_000], &limits).is_ok() {
            kept = framing.line.len();
        }
        assert!(kept <= 65_536, "{kept}");
    }

    #[test]
    fn what_was_well_before_is_let_through() {
        let text = format!("{PLAIN}GET / HTTP/1.1\r\nX: a\n");
        assert_eq!(follow(&text).unwrap_err().well, PLAIN.len());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(cuts in prop::collection::vec(0usize..200, 0..12), bad in any::<bool>()) {
            let tail = if bad { "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" } else { PLAIN };
            let text = [PLAIN, CHUNKED, tail].concat();
            let limits = given(&[]);
            let whole = follow(&text).map_err(|refused| refused.refusal);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut framing = Framing::new();
            let pieces = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]);
            let cut = pieces.map(|piece| framing.see(piece, &limits)).find(Result::is_err).unwrap_or(Ok(()));
            prop_assert_eq!(cut.map_err(|refused| refused.refusal), whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(Framing::new().see(&bytes, &given(&[])));
            drop(Framing::new().see(&[CHUNKED.as_bytes(), &bytes].concat(), &given(&[])));
        }
    }
}
