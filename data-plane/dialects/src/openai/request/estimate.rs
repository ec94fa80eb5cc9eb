//! How large a prompt is, without a tokenizer: enough to reserve a budget, and to book a call nobody counted.

use super::Request;
use crate::json::{elements, key_is, members, slice, text_bytes};
use crate::openai::tokens::tokens_of;

/// What the framing of one message costs (role and separators).
const MESSAGE_TOKENS: u64 = 4;

/// An image of 1024 by 1024 at high detail, by OpenAI's formula for its vision models.
const IMAGE_TOKENS: u64 = 765;

/// Sound and files come as base64. A second of sound is about 10 tokens and some 20 kB, a page of a file about 1,500
/// tokens and 100 kB: this errs between the two.
const MEDIA_BYTES_PER_TOKEN: u64 = 256;

#[derive(Default)]
struct Size {
    text_bytes: u64,
    tokens: u64,
}

/// The prompt's size in tokens: text by [`ESTIMATE_METHOD`](crate::openai::ESTIMATE_METHOD), images and other media by
/// flat rates, token ids one by one.
pub fn estimate_prompt_tokens(body: &[u8], request: &Request) -> u64 {
    let mut size = Size::default();
    for member in request.head.members() {
        let value = slice(body, &member.value);
        let key = slice(body, &member.key);
        if key_is(key, "messages") {
            elements(value).for_each(|message| size.add_message(message));
        } else if key_is(key, "prompt") || key_is(key, "input") {
            size.add_input(value);
        } else if ["tools", "functions", "response_format"].iter().any(|name| key_is(key, name)) {
            size.text_bytes += value.len() as u64;
        }
    }
    size.tokens.saturating_add(tokens_of(size.text_bytes))
}

impl Size {
    fn add_message(&mut self, message: &[u8]) {
        self.tokens += MESSAGE_TOKENS;
        for (key, value) in members(message) {
            if key_is(key, "content") && value.starts_with(b"[") {
                elements(value).for_each(|part| self.add_part(part));
            } else if !key_is(key, "role") {
                self.text_bytes += text_bytes(value);
            }
        }
    }

    fn add_part(&mut self, part: &[u8]) {
        for (key, value) in members(part) {
            match key {
                b"type" => {}
                b"image_url" => self.tokens += IMAGE_TOKENS,
                b"input_audio" | b"file" | b"video_url" => {
                    self.tokens += text_bytes(value).div_ceil(MEDIA_BYTES_PER_TOKEN);
                }
                _ => self.text_bytes += text_bytes(value),
            }
        }
    }

    /// A string, or a list of strings, token ids, or lists of token ids.
    fn add_input(&mut self, input: &[u8]) {
        self.text_bytes += text_bytes(input);
        self.tokens += elements(input)
            .map(|element| match element.first() {
                Some(b'0'..=b'9') => 1,
                Some(b'[') => elements(element).count() as u64,
                _ => 0,
            })
            .sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::openai::request::read;

    #[track_caller]
    fn check(task: Task, body: &str, expected: u64) {
        let request = read(task, body.as_bytes()).unwrap();
        assert_eq!(estimate_prompt_tokens(body.as_bytes(), &request), expected, "{body}");
    }

    #[test]
    fn messages_count_their_text_and_their_framing() {
        check(Task::Chat, r#"{"messages":[{"role":"user","content":"1234567"},{"role":"user","content":""}]}"#, 2 + 8);
        let parts = r#"{"messages":[{"content":[{"type":"text","text":"1234567"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
        check(Task::Chat, parts, 2 + 4 + 765);
        check(Task::Chat, r#"{"messages":[],"tools":[{}]}"#, 2);
    }

    #[test]
    fn token_ids_count_one_each() {
        check(Task::Embedding, r#"{"input":[1,2,3]}"#, 3);
        check(Task::Embedding, r#"{"input":[[1,2],[3]]}"#, 3);
        check(Task::Embedding, r#"{"input":["1234567","1234567"]}"#, 4);
        check(Task::Completion, r#"{"prompt":"1234567"}"#, 2);
    }
}
