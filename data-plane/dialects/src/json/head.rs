//! The top level of one object: where its members stand, and typed views of their values.

use std::borrow::Cow;

use super::cursor::DEPTH_MAX;
use super::text::{key_is, unescape};
use super::{Cursor, ScanError, Span, WrongType};

/// How many members an object may have at its top level. No dialect has a hundred.
pub const MEMBERS_MAX: usize = 4096;

pub(crate) const STRING: &str = "a string";
pub(crate) const BOOLEAN: &str = "true or false";
pub(crate) const UNSIGNED: &str = "a whole number, 0 or more";
pub(crate) const NUMBER: &str = "a number";

/// What a strict scan accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of containers, the outermost object included; 128 at most.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: DEPTH_MAX }
    }
}

/// One member; all ranges are positions in the scanned text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Between the quotes, escapes as they stand.
    pub key: Span,
    /// The raw JSON of the value.
    pub value: Span,
    /// From the opening quote of the key to the end of the value.
    pub whole: Span,
}

/// Positions only: it borrows nothing, and must be asked together with the text it was made from. With another text
/// it answers nonsense, but never panics.
#[derive(Clone, Debug, Default)]
pub struct Head {
    members: Vec<Member>,
    open: usize,
}

/// Checks that the whole of `body` is one JSON object (UTF-8, grammar, at most 128 levels, nothing after it) and notes
/// its members. Duplicate keys are kept: see [`Head::duplicate`].
pub fn scan(body: &[u8]) -> Result<Head, ScanError> {
    scan_within(body, Limits::default())
}

/// [`scan`] with other limits.
pub fn scan_within(body: &[u8], limits: Limits) -> Result<Head, ScanError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(ScanError::NotUtf8 { at: error.valid_up_to() });
    }
    if limits.depth == 0 {
        return Err(ScanError::TooDeep { at: 0, limit: 0 });
    }
    read(Cursor::strict(body, limits.depth))
}

/// Notes the members of an object without looking into their values, further than to find where they end. For answers
/// of providers, which are handed on as they are.
pub fn scan_event(json: &[u8]) -> Result<Head, ScanError> {
    read(Cursor::light(json))
}

fn read(mut cursor: Cursor<'_>) -> Result<Head, ScanError> {
    cursor.skip_blanks();
    if cursor.peek() != Some(b'{') {
        return Err(ScanError::NotAnObject);
    }
    let mut head = Head { members: Vec::with_capacity(16), open: cursor.at() };
    cursor.object(|cursor, key| {
        if head.members.len() == MEMBERS_MAX {
            return Err(ScanError::TooLarge { members: MEMBERS_MAX });
        }
        let value = cursor.value()?;
        head.members.push(Member { whole: key.start - 1..value.end, key, value });
        Ok(())
    })?;
    cursor.skip_blanks();
    match cursor.peek() {
        None => Ok(head),
        Some(_) => cursor.unexpected("nothing more after the object"),
    }
}

impl Head {
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where the object's opening brace stands.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The first member of that name; keys with escapes compare by what they say.
    pub fn member(&self, body: &[u8], name: &str) -> Option<&Member> {
        self.members.iter().find(|member| key_is(slice(body, &member.key), name))
    }

    /// The raw JSON of that member's value.
    pub fn value<'b>(&self, body: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.member(body, name).map(|member| slice(body, &member.value))
    }

    /// A string member; null counts as absent.
    pub fn string<'b>(&self, body: &'b [u8], name: &str) -> Result<Option<Cow<'b, str>>, WrongType> {
        self.read(body, name, as_string, STRING)
    }

    /// A true or false member; null counts as absent.
    pub fn boolean(&self, body: &[u8], name: &str) -> Result<Option<bool>, WrongType> {
        self.read(body, name, as_boolean, BOOLEAN)
    }

    /// A whole number from 0 to 2^64 - 1; null counts as absent.
    pub fn unsigned(&self, body: &[u8], name: &str) -> Result<Option<u64>, WrongType> {
        self.read(body, name, as_unsigned, UNSIGNED)
    }

    /// A finite number; null counts as absent.
    pub fn number(&self, body: &[u8], name: &str) -> Result<Option<f64>, WrongType> {
        self.read(body, name, as_number, NUMBER)
    }

    /// The first of `names` that occurs twice.
    pub fn duplicate<'n>(&self, body: &[u8], names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| {
            let mut found = self.members.iter().filter(|member| key_is(slice(body, &member.key), name));
            found.next().is_some() && found.next().is_some()
        })
    }

    fn read<'b, T>(
        &self,
        body: &'b [u8],
        name: &str,
        read: impl FnOnce(&'b [u8]) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, WrongType> {
        self.value(body, name).map_or(Ok(None), |value| typed(name, value, read, expected))
    }
}

/// Reads the raw `value` of the member `name`; null counts as absent.
pub(crate) fn typed<'b, T>(
    name: &str,
    value: &'b [u8],
    read: impl FnOnce(&'b [u8]) -> Option<T>,
    expected: &'static str,
) -> Result<Option<T>, WrongType> {
    if value == b"null" {
        return Ok(None);
    }
    read(value).map(Some).ok_or_else(|| WrongType { name: name.to_owned(), expected })
}

pub(crate) fn slice<'b>(body: &'b [u8], span: &Span) -> &'b [u8] {
    body.get(span.clone()).unwrap_or_default()
}

/// What a raw JSON string says.
pub(crate) fn as_string(value: &[u8]) -> Option<Cow<'_, str>> {
    unescape(value.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
}

pub(crate) fn as_boolean(value: &[u8]) -> Option<bool> {
    match value {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

pub(crate) fn as_unsigned(value: &[u8]) -> Option<u64> {
    // `parse` would take a plus sign, which JSON does not have.
    value.first().filter(|byte| byte.is_ascii_digit())?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

pub(crate) fn as_number(value: &[u8]) -> Option<f64> {
    value.first().filter(|byte| byte.is_ascii_digit() || **byte == b'-')?;
    std::str::from_utf8(value).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#" {"model" : "gpt-\u0034", "stream":true,"n":3,"t":-0.5e1,"none":null,"mod\u0065l":1} "#;

    #[test]
    fn members_are_found_where_they_stand() {
        let head = scan(BODY).unwrap();
        let member = head.member(BODY, "model").unwrap();
        assert_eq!(&BODY[member.key.clone()], b"model");
        assert_eq!(&BODY[member.value.clone()], br#""gpt-\u0034""#);
        assert_eq!(&BODY[member.whole.clone()], br#""model" : "gpt-\u0034""#);
        assert_eq!(head.members().len(), 6);
        assert_eq!(head.open(), 1);
    }

    #[test]
    fn values_are_read_by_type_and_null_is_absent() {
        let head = scan(BODY).unwrap();
        assert_eq!(head.string(BODY, "model").unwrap().as_deref(), Some("gpt-4"));
        assert_eq!(head.boolean(BODY, "stream"), Ok(Some(true)));
        assert_eq!(head.unsigned(BODY, "n"), Ok(Some(3)));
        assert_eq!(head.number(BODY, "t"), Ok(Some(-5.0)));
        assert_eq!(head.string(BODY, "none"), Ok(None));
        assert_eq!(head.string(BODY, "absent"), Ok(None));
        assert_eq!(head.string(BODY, "n").unwrap_err().to_string(), "'n' must be a string.");
        assert!(head.boolean(BODY, "n").is_err() && head.unsigned(BODY, "t").is_err());
    }

    #[test]
    fn numbers_past_their_type_are_refused() {
        let body = br#"{"big":18446744073709551616,"huge":1e999,"half":1.5}"#;
        let head = scan(body).unwrap();
        assert!(head.unsigned(body, "big").is_err() && head.unsigned(body, "half").is_err());
        assert!(head.number(body, "huge").is_err());
    }

    #[test]
    fn a_key_that_occurs_twice_is_found_through_its_escapes() {
        let head = scan(BODY).unwrap();
        assert_eq!(head.duplicate(BODY, &["stream", "model"]), Some("model"));
        assert_eq!(head.duplicate(BODY, &["stream", "n", "absent"]), None);
    }

    #[track_caller]
    fn refused(text: &[u8], expected: &str) {
        assert_eq!(scan(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn refusals_say_where_and_what() {
        refused(b"", "a JSON object is expected: the text must begin with '{'");
        refused(b"[]", "a JSON object is expected: the text must begin with '{'");
        refused(b"{\"a\":\"\xff\"}", "the text is not UTF-8: byte 6 does not belong there");
        refused(b"{\"a\" 1}", "at byte 5: ':' after a key expected");
        refused(b"{\"a\":01}", "at byte 6: ',' or '}' after a member expected");
        refused(b"{\"a\":tru}", "at byte 5: true, false or null expected");
        refused(b"{\"a\":[1,]}", "at byte 8: a value expected");
        refused(b"{\"a\":1,}", "at byte 7: a key in '\"' expected");
        refused(b"{} x", "at byte 3: nothing more after the object expected");
        refused(b"{\"a\":\"x\ny\"}", "at byte 7: no control character inside a string, but its escape expected");
        refused(b"{\"a\":{\"b\":[}}", "at byte 11: a value expected");
        refused(b"{\"a\":{]}", "at byte 6: a key in '\"' expected");
        refused(b"{\"a\":[1}", "at byte 7: ',' or ']' after an element expected");
    }

    #[test]
    fn depth_is_bounded_without_using_the_stack() {
        let nested = |levels: usize| [b"{\"a\":".repeat(levels), b"1".to_vec(), b"}".repeat(levels)].concat();
        assert!(scan(&nested(128)).is_ok());
        assert_eq!(scan(&nested(129)).unwrap_err(), ScanError::TooDeep { at: 128 * 5, limit: 128 });
        let deep = [b"{\"a\":".to_vec(), b"[".repeat(1_000_000)].concat();
        assert!(matches!(scan(&deep), Err(ScanError::TooDeep { .. })));
        assert!(scan_event(&deep).is_err());
        assert!(scan_within(b"{\"a\":[]}", Limits { depth: 1 }).is_err());
        assert!(scan_within(b"{\"a\":[]}", Limits { depth: 2 }).is_ok());
    }

    #[test]
    fn members_are_bounded() {
        let object = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(",")).into_bytes();
        assert!(scan(&object(MEMBERS_MAX)).is_ok());
        assert_eq!(scan(&object(MEMBERS_MAX + 1)).unwrap_err(), ScanError::TooLarge { members: MEMBERS_MAX });
    }

    #[test]
    fn the_light_scan_finds_ends_and_does_not_judge() {
        let body = b"{\"a\":[01,{x}],\"b\":\"\\\"]\",\"c\":\"\xff\"}";
        let head = scan_event(body).unwrap();
        assert_eq!(head.value(body, "b"), Some(&b"\"\\\"]\""[..]));
        assert!(head.string(body, "c").is_err());
        assert!(scan_event(b"{\"a\":[1,2").is_err() && scan_event(b"<html>").is_err());
    }
}
