//! An answer in one piece: what it used, and the model name that the client asked for put in.

use bytes::Bytes;

use super::fault::{self, UpstreamError};
use super::tokens::tokens_of;
use crate::Usage;
use crate::json::{self, Head, ScanError, elements, key_is, members, quoted, slice, text_bytes};
use crate::splice::Splices;

/// What the gateway needs of an answer. It belongs to the body it was read from.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub id: Option<String>,
    pub usage: Option<Usage>,
    pub service_tier: Option<String>,
    /// Set where the provider put an error into a reply of status 200.
    pub error: Option<UpstreamError>,
    head: Head,
}

/// Reads an answer of any task. Only its outermost level must be JSON: clients check the rest as they did before.
pub fn read(body: &[u8]) -> Result<Answer, ScanError> {
    let head = json::scan_event(body)?;
    let text = |name| head.string(body, name).ok().flatten().map(|text| text.into_owned());
    let error = head.value(body, "error").filter(|error| !matches!(*error, b"null" | b"{}" | b"\"\""));
    Ok(Answer {
        id: text("id"),
        usage: head.value(body, "usage").and_then(Usage::read),
        service_tier: text("service_tier"),
        error: error.map(fault::read_error),
        head,
    })
}

/// The answer with `model` in the place of the upstream's name; the same `Bytes` if it is there already.
pub fn with_model(body: &Bytes, answer: &Answer, model: &str) -> Bytes {
    let model = quoted(model);
    let mut splices = Splices::new();
    let mut is_stamped = false;
    for member in answer.head.members().iter().filter(|member| key_is(slice(body, &member.key), "model")) {
        is_stamped = true;
        if slice(body, &member.value) != model {
            splices.replace(member.value.clone(), &model);
        }
    }
    if !is_stamped {
        splices.insert_member(&answer.head, "model", &model);
    }
    splices.apply(body)
}

/// How many tokens the answer's text is, where the provider did not say.
pub fn estimate_completion_tokens(body: &[u8]) -> u64 {
    let choices = members(body).filter(|(key, _)| *key == b"choices").flat_map(|(_, choices)| elements(choices));
    let said = choices.flat_map(members).map(|(key, value)| match key {
        b"message" => message_bytes(value),
        b"text" => text_bytes(value),
        _ => 0,
    });
    tokens_of(said.sum())
}

fn message_bytes(message: &[u8]) -> u64 {
    let mut reasoning = 0;
    let mut said = 0;
    for (key, value) in members(message) {
        match key {
            b"content" | b"refusal" | b"tool_calls" | b"function_call" => said += text_bytes(value),
            // Two names for one text.
            b"reasoning" | b"reasoning_content" => reasoning = text_bytes(value).max(reasoning),
            _ => {}
        }
    }
    said + reasoning
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        br#"{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024","choices":[{"index":0,
        "message":{"role":"assistant","content":"1234567","reasoning":"1234567","reasoning_content":"1234567"}}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"service_tier":"flex"}"#;

    #[test]
    fn id_usage_and_tier_are_read() {
        let answer = read(ANSWER).unwrap();
        assert_eq!(answer.id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(answer.usage.unwrap().total, 3);
        assert_eq!(answer.service_tier.as_deref(), Some("flex"));
        assert_eq!(answer.error, None);
    }

    #[test]
    fn only_the_model_changes() {
        let body = Bytes::from_static(ANSWER);
        let answer = read(&body).unwrap();
        let stamped = with_model(&body, &answer, "my \"model\"");
        let expected = std::str::from_utf8(ANSWER).unwrap().replace("\"gpt-4o-2024\"", r#""my \"model\"""#);
        assert_eq!(stamped, expected);
        assert_eq!(with_model(&body, &answer, "gpt-4o-2024").as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_missing_model_is_added() {
        let body = Bytes::from_static(br#"{"id":"x"}"#);
        assert_eq!(with_model(&body, &read(&body).unwrap(), "m"), r#"{"id":"x","model":"m"}"#);
    }

    #[test]
    fn an_error_under_status_200_is_seen() {
        let answer = read(br#"{"error":{"message":"no","code":502},"usage":null}"#).unwrap();
        assert_eq!(answer.error.unwrap().message, "no");
        assert!(read(br#"{"error":null}"#).unwrap().error.is_none());
        assert!(read(b"<html>").is_err());
    }

    #[test]
    fn uncounted_answers_are_estimated_from_their_text() {
        assert_eq!(estimate_completion_tokens(ANSWER), 4);
        assert_eq!(estimate_completion_tokens(br#"{"choices":[{"text":"1234567"},{"text":"1234567"}]}"#), 4);
        assert_eq!(estimate_completion_tokens(b"nonsense"), 0);
    }
}
