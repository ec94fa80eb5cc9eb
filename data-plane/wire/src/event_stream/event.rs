//! One event: its raw bytes and what its lines say.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

/// The data of an event: borrowed when it is one line, joined with LF when it is several.
pub type Data<'a> = Cow<'a, [u8]>;

/// An event that owns its bytes, blank line included. See [`View`] for what can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Bytes);

/// The same questions over borrowed bytes, for readers that keep the stream in larger pieces.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(&'a [u8]);

impl Event {
    /// Takes `raw` as one event; it may lack the blank line, as the last one of a body may.
    pub fn new(raw: Bytes) -> Self {
        Self(raw)
    }

    pub fn view(&self) -> View<'_> {
        View(&self.0)
    }

    /// The bytes as they came, blank line included.
    pub fn raw(&self) -> &Bytes {
        &self.0
    }

    pub fn into_raw(self) -> Bytes {
        self.0
    }

    /// See [`View::data`].
    pub fn data(&self) -> Data<'_> {
        self.view().data()
    }

    /// See [`View::data_range`].
    pub fn data_range(&self) -> Option<Range<usize>> {
        self.view().data_range()
    }

    /// See [`View::name`].
    pub fn name(&self) -> Option<&[u8]> {
        self.view().name()
    }

    /// See [`View::is_comment`].
    pub fn is_comment(&self) -> bool {
        self.view().is_comment()
    }

    /// See [`View::is_done`].
    pub fn is_done(&self) -> bool {
        self.view().is_done()
    }
}

impl<'a> View<'a> {
    pub fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The values of all `data` lines; empty where there is none.
    pub fn data(self) -> Data<'a> {
        let mut lines = self.lines().filter(|line| line.field == b"data");
        let Some(first) = lines.next() else { return Cow::Borrowed(&[]) };
        let mut data = Cow::Borrowed(first.value);
        for line in lines {
            let joined = data.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(line.value);
        }
        data
    }

    /// Where in the raw bytes the data stand, if they are exactly one line.
    pub fn data_range(self) -> Option<Range<usize>> {
        let mut lines = self.lines().filter(|line| line.field == b"data");
        let found = lines.next()?;
        match lines.next() {
            None => Some(found.value_at..found.value_at + found.value.len()),
            Some(_) => None,
        }
    }

    /// The value of the (last) `event` line.
    pub fn name(self) -> Option<&'a [u8]> {
        self.lines().filter(|line| line.field == b"event").last().map(|line| line.value)
    }

    /// Whether there is nothing in it but comments, as in the `: ping` that keeps a connection open.
    pub fn is_comment(self) -> bool {
        let mut lines = self.lines().peekable();
        lines.peek().is_some() && lines.all(|line| line.is_comment)
    }

    /// Whether the data are `[DONE]`, with which OpenAI's dialect ends a stream.
    pub fn is_done(self) -> bool {
        self.data_range().and_then(|range| self.0.get(range)).is_some_and(|data| data.trim_ascii() == b"[DONE]")
    }

    /// Whether any line belongs to the grammar: a comment, or a field the standard knows. An HTML page does not.
    pub fn is_known(self) -> bool {
        self.lines().any(|line| line.is_comment || matches!(line.field, b"data" | b"event" | b"id" | b"retry"))
    }

    /// Whether there is no line in it but blank ones.
    pub fn is_blank(self) -> bool {
        self.lines().next().is_none()
    }

    fn lines(self) -> Lines<'a> {
        let byte_order_mark = self.0.starts_with(b"\xEF\xBB\xBF");
        Lines { raw: self.0, at: if byte_order_mark { 3 } else { 0 } }
    }
}

struct Line<'a> {
    field: &'a [u8],
    value: &'a [u8],
    value_at: usize,
    is_comment: bool,
}

/// The lines that are not blank.
struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let rest = self.raw.get(self.at..).filter(|rest| !rest.is_empty())?;
            let start = self.at;
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            self.at = start + length + 1;
            let line = rest.get(..length).unwrap_or_default();
            if !line.is_empty() {
                return Some(split(line, start));
            }
        }
    }
}

/// Field name and value of the line that starts at `start`; one space after the colon is not part of the value.
fn split(line: &[u8], start: usize) -> Line<'_> {
    let Some(colon) = memchr::memchr(b':', line) else {
        return Line { field: line, value: &[], value_at: start + line.len(), is_comment: false };
    };
    let (field, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or(value);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Line { field, value, value_at: start + line.len() - value.len(), is_comment: colon == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_data_line_is_borrowed_and_located() {
        let event = Event::new(Bytes::from_static(b"event: chunk\r\ndata: {\"a\":1}\r\n\r\n"));
        assert!(matches!(event.data(), Cow::Borrowed(b"{\"a\":1}")));
        assert_eq!(event.data_range(), Some(20..27));
        assert_eq!(event.name(), Some(&b"chunk"[..]));
        assert!(!event.is_comment() && !event.is_done());
    }

    #[test]
    fn several_data_lines_are_joined_with_a_line_feed() {
        let event = Event::new(Bytes::from_static(b"data: a\ndata:b\ndata\n\n"));
        assert_eq!(event.data().as_ref(), b"a\nb\n");
        assert_eq!(event.data_range(), None);
    }

    #[test]
    fn only_one_space_after_the_colon_is_dropped() {
        assert_eq!(View::new(b"data:  x\n\n").data().as_ref(), b" x");
        assert_eq!(View::new(b"data:x\n\n").data().as_ref(), b"x");
        assert_eq!(View::new(b"data: a:b\n\n").data().as_ref(), b"a:b");
    }

    #[test]
    fn comments_done_and_blanks_are_told_apart() {
        assert!(View::new(b": ping\n\n").is_comment());
        assert!(!View::new(b": ping\ndata: x\n\n").is_comment());
        assert!(!View::new(b"\n").is_comment() && View::new(b"\n").is_blank());
        assert!(View::new(b"data: [DONE]\n\n").is_done() && View::new(b"data:[DONE] ").is_done());
        assert!(!View::new(b"data: [DONE]x\n\n").is_done());
        assert!(!View::new(b"<html>\n<p>\n\n").is_known() && View::new(b"id: 7\n\n").is_known());
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_not_part_of_it() {
        assert_eq!(View::new(b"\xEF\xBB\xBFdata: x\n\n").data_range(), Some(9..10));
    }
}
