//! One chunk of a stream: everything the reader wants to know, in one pass over its text.

use crate::json::{Cursor, ScanError, Span, string_bytes};

/// Spans are positions in the chunk's text.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) id: Option<Span>,
    pub(super) model: Option<Span>,
    pub(super) service_tier: Option<Span>,
    pub(super) error: Option<Span>,
    pub(super) usage: Option<UsageSpan>,
    /// Usage where Groq puts it, beside the standard place or instead of it.
    pub(super) groq: Option<Span>,
    /// The noise that OpenAI pads its chunks with, between its quotes.
    pub(super) obfuscation: Option<Span>,
    pub(super) choices: Choices,
    /// What the model says in this chunk, between its quotes; the last such text if there are several.
    pub(super) said: Option<Span>,
    /// How much it says, tool calls included.
    pub(super) content_bytes: u64,
    pub(super) is_finished: bool,
}

/// A usage member that is not null.
#[derive(Debug, Default)]
pub(super) struct UsageSpan {
    pub(super) value: Span,
    /// What to cut so that the member disappears with one comma.
    pub(super) cut: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Choices {
    #[default]
    Absent,
    Empty,
    Some,
}

impl Chunk {
    /// Reads the text of one chunk. Of what is not looked at, only brackets and strings are checked.
    pub(super) fn read(text: &[u8]) -> Result<Self, ScanError> {
        let mut chunk = Self::default();
        let mut cursor = Cursor::light(text);
        cursor.skip_blanks();
        if cursor.peek() != Some(b'{') {
            return Err(ScanError::NotAnObject);
        }
        let mut previous_end = None;
        let mut usage_needs_next = false;
        cursor.object(|cursor, key| {
            if usage_needs_next {
                if let Some(usage) = &mut chunk.usage {
                    usage.cut.end = key.start - 1;
                }
                usage_needs_next = false;
            }
            match cursor.slice(&key) {
                b"choices" => chunk.read_choices(cursor)?,
                b"model" => chunk.model = Some(cursor.value()?),
                b"id" => chunk.id = Some(cursor.value()?),
                b"service_tier" => chunk.service_tier = Some(cursor.value()?),
                b"error" => chunk.error = not_null(cursor)?,
                b"x_groq" => chunk.groq = Some(cursor.value()?),
                b"obfuscation" if cursor.peek() == Some(b'"') => chunk.obfuscation = Some(cursor.string()?),
                b"usage" => {
                    if let Some(value) = not_null(cursor)? {
                        let start = previous_end.unwrap_or(key.start - 1);
                        usage_needs_next = previous_end.is_none();
                        chunk.usage = Some(UsageSpan { cut: start..value.end, value });
                    }
                }
                _ => cursor.skip()?,
            }
            previous_end = Some(cursor.at());
            Ok(())
        })?;
        cursor.skip_blanks();
        match cursor.peek() {
            None => Ok(chunk),
            Some(_) => cursor.unexpected("nothing more after the object"),
        }
    }

    fn read_choices(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        if cursor.peek() != Some(b'[') {
            cursor.value()?;
            return Ok(());
        }
        self.choices = Choices::Empty;
        cursor.array(|cursor| {
            self.choices = Choices::Some;
            self.read_choice(cursor)
        })
    }

    fn read_choice(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        cursor.object(|cursor, key| {
            match cursor.slice(&key) {
                b"delta" | b"message" if cursor.peek() == Some(b'{') => self.read_delta(cursor)?,
                b"text" => self.content_bytes += self.read_text(cursor)?,
                b"finish_reason" => self.is_finished |= not_null(cursor)?.is_some(),
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }

    fn read_delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        let mut reasoning = 0;
        cursor.object(|cursor, key| {
            match cursor.slice(&key) {
                b"content" => self.content_bytes += self.read_text(cursor)?,
                // Two names for one text.
                b"reasoning" | b"reasoning_content" => reasoning = self.read_text(cursor)?.max(reasoning),
                b"refusal" | b"tool_calls" | b"function_call" => self.content_bytes += cursor.text_bytes()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        self.content_bytes += reasoning;
        Ok(())
    }

    /// Passes a text, or a list of parts with texts in them, and counts its bytes.
    fn read_text(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, ScanError> {
        if cursor.peek() != Some(b'"') {
            return cursor.text_bytes();
        }
        let text = cursor.string()?;
        let bytes = string_bytes(cursor.slice(&text)) as u64;
        self.said = Some(text);
        Ok(bytes)
    }
}

/// Passes a value; its span, unless it is null.
fn not_null(cursor: &mut Cursor<'_>) -> Result<Option<Span>, ScanError> {
    let value = cursor.value()?;
    Ok((cursor.slice(&value) != b"null").then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_read_in_one_pass() {
        let text = br#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a\nb",
            "tool_calls":[{"function":{"arguments":"{}"}}]},"finish_reason":"stop"}],"usage":null}"#;
        let chunk = Chunk::read(text).unwrap();
        assert_eq!(&text[chunk.id.unwrap()], br#""c1""#);
        assert_eq!(&text[chunk.model.unwrap()], br#""m""#);
        assert_eq!((chunk.choices, chunk.content_bytes, chunk.is_finished), (Choices::Some, 5, true));
        assert!(chunk.usage.is_none() && chunk.error.is_none());
    }

    #[test]
    fn usage_can_be_cut_wherever_it_stands() {
        for (text, expected) in [
            (r#"{"usage":{"a":1},"b":2}"#, r#"{"b":2}"#),
            (r#"{"a":1, "usage":{"a":1}, "b":2}"#, r#"{"a":1, "b":2}"#),
            (r#"{"a":1, "usage":{"a":1} }"#, r#"{"a":1 }"#),
            (r#"{"usage":{}}"#, "{}"),
        ] {
            let cut = Chunk::read(text.as_bytes()).unwrap().usage.unwrap().cut;
            assert_eq!(format!("{}{}", &text[..cut.start], &text[cut.end..]), expected);
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "hello", "{\"a\":1", "{} {}", r#"{"choices":[{"delta":{"content":"x}}]}"#] {
            assert!(Chunk::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
