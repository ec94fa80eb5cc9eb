//! The shape of the last plain chunk, by which the next ones are recognised without reading them.
//!
//! The chunks of one answer are the same text, but for the few bytes the model says and the noise that OpenAI pads them
//! with. Comparing the rest with the last chunk is several times faster than reading it again. What matches is JSON of the
//! same shape, because it differs inside of strings only.

use super::chunk::{Choices, Chunk};
use crate::json::{Cursor, Span, slice, string_bytes};

#[derive(Debug, Default)]
pub(super) struct Template {
    /// The event it was learned from; empty: nothing was.
    raw: Vec<u8>,
    /// Where the model speaks in it, and where the noise stands; in their order, empty if there is none.
    said: Span,
    noise: Option<Span>,
    stamp: Option<Span>,
}

/// An event that has the shape of the last one.
pub(super) struct Match<'t> {
    pub(super) content_bytes: u64,
    /// What to replace with the model's name; before everything that differs, so it is where it was.
    pub(super) stamp: Option<&'t Span>,
}

impl Template {
    /// Learns the shape of an event, if there is nothing in it but words: `offset` is where its chunk begins, `stamp`
    /// what is replaced in it.
    pub(super) fn learn(&mut self, raw: &[u8], offset: usize, chunk: &Chunk, stamp: Option<&Span>) {
        self.raw.clear();
        let Some(said) = chunk.said.as_ref().filter(|_| is_plain(chunk)) else { return };
        let noise = chunk.obfuscation.as_ref();
        let words_alone = string_bytes(slice(raw, &moved(said, offset))) as u64 == chunk.content_bytes;
        let facts = [&chunk.id, &chunk.model, &chunk.service_tier];
        let facts_end = facts.into_iter().flatten().map(|fact| fact.end).max().unwrap_or(0);
        if words_alone && facts_end < said.start && noise.is_none_or(|noise| said.end < noise.start) {
            self.raw.extend_from_slice(raw);
            self.said = moved(said, offset);
            self.noise = noise.map(|noise| moved(noise, offset));
            self.stamp = stamp.cloned();
        }
    }

    /// Compares an event with the one learned last.
    #[inline]
    pub(super) fn recognise(&self, raw: &[u8]) -> Option<Match<'_>> {
        if self.raw.is_empty() {
            return None;
        }
        let said = self.string_after(0..self.said.start, raw, 0)?;
        let mut from = self.said.end;
        let mut at = said.end;
        if let Some(noise) = &self.noise {
            at = self.string_after(from..noise.start, raw, at)?.end;
            from = noise.end;
        }
        let is_same = raw.get(at..)? == self.raw.get(from..)?;
        is_same.then(|| Match { content_bytes: string_bytes(slice(raw, &said)) as u64, stamp: self.stamp.as_ref() })
    }

    /// What stands between the quotes of the string whose beginning is the last byte of `literal`, if that text of the
    /// template stands at `at` in `raw`.
    #[inline]
    fn string_after(&self, literal: Span, raw: &[u8], at: usize) -> Option<Span> {
        let literal = self.raw.get(literal)?;
        if !raw.get(at..)?.starts_with(literal) {
            return None;
        }
        Cursor::light_at(raw, (at + literal.len()).checked_sub(1)?).string().ok()
    }
}

/// Whether nothing in the chunk would have to be noted but what it says.
fn is_plain(chunk: &Chunk) -> bool {
    let is_silent = chunk.usage.is_none() && chunk.error.is_none() && chunk.groq.is_none();
    chunk.choices == Choices::Some && is_silent && !chunk.is_finished
}

fn moved(span: &Span, by: usize) -> Span {
    span.start + by..span.end + by
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(said: &str, noise: &str) -> String {
        format!(
            "data: {{\"model\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"{said}\"}}}}],\"obfuscation\":\"{noise}\"}}\n\n"
        )
    }

    fn learned(raw: &str) -> Template {
        let text = raw.trim_start_matches("data: ").trim_end();
        let mut template = Template::default();
        template.learn(raw.as_bytes(), 6, &Chunk::read(text.as_bytes()).unwrap(), Some(&(15..18)));
        template
    }

    #[test]
    fn events_that_differ_in_words_and_noise_are_recognised() {
        let template = learned(&event("a", "xyz"));
        for (said, bytes) in [("", 0), ("longer \\n text", 13), ("\\\"", 1)] {
            let found = template.recognise(event(said, "").as_bytes()).map(|found| found.content_bytes);
            assert_eq!(found, Some(bytes), "{said}");
        }
        let raw = event("b", "n");
        assert_eq!(template.recognise(raw.as_bytes()).unwrap().stamp, Some(&(15..18)));
    }

    #[test]
    fn events_that_differ_elsewhere_are_not() {
        let template = learned(&event("a", "xyz"));
        for other in [
            event("a\\", "x"),
            event("a\",\"role\":\"x", "x"),
            event("a", "x\",\"usage\":\"x"),
            event("a", "x").replace("\"m\"", "\"n\""),
            event("a", "x").replace("\n\n", "\r\n\r\n"),
            String::new(),
        ] {
            assert!(template.recognise(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn what_must_be_noted_is_not_learned() {
        for raw in [
            r#"data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
            r#"data: {"choices":[{"delta":{"content":"a"}}],"usage":{}}"#,
            r#"data: {"choices":[{"delta":{"content":"a"}}],"model":"m"}"#,
            r#"data: {"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#,
            r#"data: {"choices":[{"delta":{"content":"a","tool_calls":[{"id":"x"}]}}]}"#,
        ] {
            assert!(learned(raw).recognise(raw.as_bytes()).is_none(), "{raw}");
        }
    }
}
