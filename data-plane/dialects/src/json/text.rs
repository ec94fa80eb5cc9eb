//! Strings between their escaped form in JSON text and what they say.

use std::borrow::Cow;

/// Whether what stands between quotes has no escapes: then it is what it says.
#[inline]
fn is_plain(raw: &[u8]) -> bool {
    memchr::memchr(b'\\', raw).is_none()
}

/// What the text between two quotes says. `None` if it is not UTF-8 or an escape is broken. A surrogate without its
/// partner, which JSON allows and Unicode does not, becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if is_plain(raw) {
        return Some(Cow::Borrowed(text));
    }
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        said.push_str(plain);
        let kind = escaped.chars().next()?;
        let mut after = escaped.get(kind.len_utf8()..)?;
        said.push(match kind {
            '"' | '\\' | '/' => kind,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => code_point(&mut after)?,
            _ => return None,
        });
        rest = after;
    }
    said.push_str(rest);
    Some(Cow::Owned(said))
}

/// The character whose `\u` was just read; `after` moves past its digits, and past the second half of a pair.
fn code_point(after: &mut &str) -> Option<char> {
    let first = unit(after)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let Some(mut partner) = after.strip_prefix("\\u") else { return Some(char::REPLACEMENT_CHARACTER) };
    let second = unit(&mut partner)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Some(char::REPLACEMENT_CHARACTER);
    }
    *after = partner;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

fn unit(after: &mut &str) -> Option<u32> {
    let (digits, rest) = after.split_at_checked(4)?;
    *after = rest;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Whether the text between a key's quotes says `name`, escaped or not.
#[inline]
pub fn key_is(raw: &[u8], name: &str) -> bool {
    // An escape is longer than what it stands for.
    raw == name.as_bytes() || (raw.len() > name.len() && !is_plain(raw) && unescape(raw).is_some_and(|key| key == name))
}

/// How many bytes the text between two quotes says, in UTF-8. Each half of a surrogate pair counts as 2.
pub fn string_bytes(raw: &[u8]) -> usize {
    let mut bytes = raw.len();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let digits = match rest.get(at + 1) {
            Some(b'u') => rest.get(at + 2..at + 6),
            _ => None,
        };
        let length = match digits {
            Some([b'0', b'0', b'0'..=b'7', _]) => 1,
            Some([b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) => 2,
            Some(_) => 3,
            None => 1,
        };
        let escape = if digits.is_some() { 6 } else { 2 };
        bytes = bytes.saturating_sub(escape) + length;
        rest = rest.get(at + escape..).unwrap_or_default();
    }
    bytes
}

/// `text` as a JSON string, in quotes.
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

/// Appends `text` as a JSON string, in quotes.
pub fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..0x20 => {
                const DIGITS: [u8; 16] = *b"0123456789abcdef";
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend(*b"\\u00");
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_say_what_json_says_they_do() {
        assert_eq!(unescape(br#"a\"\\\/\b\f\n\r\tb"#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tb"));
        assert_eq!(unescape(br"\u00e9\ud83d\ude00").as_deref(), Some("é😀"));
        assert_eq!(unescape(br"\ud83dx").as_deref(), Some("\u{fffd}x"));
        assert_eq!(unescape(br"\ud83d\u0041").as_deref(), Some("\u{fffd}A"));
        assert_eq!(unescape(br"\x"), None);
        assert_eq!(unescape(br"\u12"), None);
        assert_eq!(unescape(b"\xff"), None);
    }

    #[test]
    fn a_key_is_recognised_through_its_escapes() {
        assert!(key_is(b"model", "model") && key_is(br"mod\u0065l", "model"));
        assert!(!key_is(b"models", "model") && !key_is(br"mod\u0066l", "model"));
    }

    proptest! {
        #[test]
        fn quoting_and_reading_gives_the_same_text(text in any::<String>()) {
            let quoted = quoted(&text);
            prop_assert_eq!(&serde_json::from_slice::<String>(&quoted).unwrap(), &text);
            let inner = &quoted[1..quoted.len() - 1];
            prop_assert_eq!(unescape(inner).unwrap(), text.as_str());
            prop_assert_eq!(string_bytes(inner), text.len());
        }

        #[test]
        fn escapes_are_read_as_serde_reads_them(raw in r#"(\\u[0-9a-d][0-9a-f]{3}|\\[nrtbf"/\\]|[a-zé]){0,12}"#) {
            if let Ok(said) = serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                prop_assert_eq!(unescape(raw.as_bytes()).unwrap(), said);
            }
        }
    }
}
