//! Finds where an event ends, over reads that may be cut anywhere, looking at each byte once.

/// Remembers, between reads, where in the grammar of lines the last byte left us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Boundary(At);

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// Before the first byte of a line.
    #[default]
    LineStart,
    InLine,
    /// A line ended with CR; an LF would still belong to its end.
    AfterCr,
    /// The blank line ended with CR: the event is over, but an LF would still belong to it.
    AfterBlankCr,
}

impl Boundary {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. `Some(end)`: the event ends before `bytes[end]`, and the rest is to be fed
    /// again, as the beginning of the next one. `None`: all bytes belong to an event that is not complete yet.
    ///
    /// A blank line that ends with CR completes its event only with the byte after it, because an LF there belongs to
    /// the same line end. `end` may be 0 then.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            match self.0 {
                At::LineStart => match bytes.get(at)? {
                    b'\n' => return Some(at + 1),
                    b'\r' => {
                        at += 1;
                        self.0 = At::AfterBlankCr;
                    }
                    _ => self.0 = At::InLine,
                },
                At::InLine => {
                    let rest = bytes.get(at..)?;
                    at += memchr::memchr2(b'\n', b'\r', rest)?;
                    self.0 = if bytes.get(at) == Some(&b'\n') { At::LineStart } else { At::AfterCr };
                    at += 1;
                }
                At::AfterCr => {
                    if bytes.get(at)? == &b'\n' {
                        at += 1;
                    }
                    self.0 = At::LineStart;
                }
                At::AfterBlankCr => {
                    let end = if bytes.get(at)? == &b'\n' { at + 1 } else { at };
                    self.0 = At::LineStart;
                    return Some(end);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &[u8], expected: Option<usize>) {
        assert_eq!(Boundary::new().feed(stream), expected, "{:?}", String::from_utf8_lossy(stream));
    }

    #[test]
    fn an_event_ends_after_its_blank_line_whatever_ends_the_lines() {
        check(b"data: a\n\ndata: b\n\n", Some(9));
        check(b"data: a\r\n\r\ndata: b", Some(11));
        check(b"data: a\r\rdata: b", Some(9));
        check(b"data: a\n\r\ndata: b", Some(10));
        check(b"data: a\r\n\nx", Some(10));
        check(b"a: 1\nb: 2\n\n", Some(11));
    }

    #[test]
    fn a_blank_line_alone_is_an_event_of_its_own() {
        check(b"\n\n", Some(1));
        check(b"\r\nx", Some(2));
    }

    #[test]
    fn an_unfinished_event_has_no_end() {
        check(b"", None);
        check(b"data: a", None);
        check(b"data: a\n", None);
        check(b"data: a\r\n\r", None);
    }

    #[test]
    fn a_line_end_cut_in_two_is_one_line_end() {
        let mut boundary = Boundary::new();
        assert_eq!(boundary.feed(b"data: a\r"), None);
        assert_eq!(boundary.feed(b"\n\r"), None);
        assert_eq!(boundary.feed(b"\ndata: b"), Some(1));
        assert_eq!(boundary.feed(b"data: b\r\r"), None);
        assert_eq!(boundary.feed(b"data: c"), Some(0));
    }
}
