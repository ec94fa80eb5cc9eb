//! Goes through one container of a text that was scanned before.

use super::text::string_bytes;
use super::{Cursor, ScanError};

/// The members of an object as (what is between the key's quotes, the raw value), in their order. Ends early where the
/// text is not JSON; empty if it is not an object.
pub fn members(object: &[u8]) -> Members<'_> {
    Members(Items::open(object, b'{', b'}'))
}

/// The raw elements of an array, in their order, with the same leniency.
pub fn elements(array: &[u8]) -> Elements<'_> {
    Elements(Items::open(array, b'[', b']'))
}

#[derive(Clone, Debug)]
pub struct Members<'b>(Items<'b>);

#[derive(Clone, Debug)]
pub struct Elements<'b>(Items<'b>);

#[derive(Clone, Debug)]
struct Items<'b> {
    /// At the next item; none at the end.
    cursor: Option<Cursor<'b>>,
    close: u8,
}

impl<'b> Items<'b> {
    fn open(text: &'b [u8], open: u8, close: u8) -> Self {
        let mut cursor = Cursor::light(text);
        cursor.skip_blanks();
        let is_open = cursor.expect(open, "a container").is_ok();
        cursor.skip_blanks();
        let is_empty = cursor.peek() == Some(close);
        Self { cursor: (is_open && !is_empty).then_some(cursor), close }
    }

    /// Reads one item and goes to the next one.
    fn next<T>(&mut self, read: impl FnOnce(&mut Cursor<'b>) -> Option<T>) -> Option<T> {
        let mut cursor = self.cursor.take()?;
        let item = read(&mut cursor)?;
        cursor.skip_blanks();
        if cursor.peek() != Some(self.close) && cursor.expect(b',', "','").is_ok() {
            cursor.skip_blanks();
            self.cursor = Some(cursor);
        }
        Some(item)
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = (&'b [u8], &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|cursor| {
            let key = cursor.string().ok()?;
            cursor.skip_blanks();
            cursor.expect(b':', "':'").ok()?;
            cursor.skip_blanks();
            let value = cursor.value().ok()?;
            Some((cursor.slice(&key), cursor.slice(&value)))
        })
    }
}

impl<'b> Iterator for Elements<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|cursor| {
            let value = cursor.value().ok()?;
            Some(cursor.slice(&value))
        })
    }
}

/// How many bytes of text the strings in `value` say, keys not counted, however deep.
pub fn text_bytes(value: &[u8]) -> u64 {
    Cursor::light(value).count_text().unwrap_or(0)
}

impl Cursor<'_> {
    /// Passes the value that begins here, and counts the bytes that its strings say, keys not counted.
    pub(crate) fn text_bytes(&mut self) -> Result<u64, ScanError> {
        let value = self.value()?;
        Cursor::light(self.slice(&value)).count_text()
    }

    /// Goes from string to string to the end of the text.
    fn count_text(mut self) -> Result<u64, ScanError> {
        let mut bytes = 0;
        while self.seek_string() {
            let string = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                bytes += string_bytes(self.slice(&string)) as u64;
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_come_in_order() {
        let object = br#" { "a" : 1 , "b":[{"c":"}"}], "d":null } "#;
        let found: Vec<_> = members(object).collect();
        assert_eq!(found, [(&b"a"[..], &b"1"[..]), (b"b", br#"[{"c":"}"}]"#), (b"d", b"null")]);
        let found: Vec<_> = elements(br#"[1, "x,]", [2,3] ,{} ]"#).collect();
        assert_eq!(found, [&b"1"[..], br#""x,]""#, b"[2,3]", b"{}"]);
    }

    #[test]
    fn what_is_no_container_or_ends_early_gives_what_there_is() {
        assert_eq!(members(b"[1]").count() + elements(b"{}").count() + members(b"").count(), 0);
        assert_eq!(members(b"{}").count() + elements(b" [ ] ").count(), 0);
        assert_eq!(members(br#"{"a":1,"b""#).count(), 1);
        assert_eq!(elements(b"[1,2").count(), 2);
    }

    #[test]
    fn text_counts_string_values_and_not_keys() {
        assert_eq!(text_bytes(br#"{"key":"abc","list":["d","\n",{"more":"\u00e9"}],"n":12}"#), 3 + 1 + 1 + 2);
        assert_eq!(text_bytes(br#""plain""#), 5);
        assert_eq!(text_bytes(b"12"), 0);
    }
}
