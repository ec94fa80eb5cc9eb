//! The bodies that a fake provider sends, as OpenAI's look.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::conduct::Conduct;
use crate::price::Tokens;

/// When every answer says that it was made; a constant, so that stories compare whole bodies.
const CREATED: u64 = 1_750_000_000;

/// What is asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Chat,
    Completion,
    Embedding,
}

impl Task {
    /// By the end of the path, whatever lies before it.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            path if path.ends_with("/chat/completions") => Some(Self::Chat),
            path if path.ends_with("/completions") => Some(Self::Completion),
            path if path.ends_with("/embeddings") => Some(Self::Embedding),
            _ => None,
        }
    }
}

/// An answer in the making.
pub(super) struct Answer<'a> {
    pub(super) task: Task,
    pub(super) id: &'a str,
    pub(super) call: &'a Value,
    pub(super) conduct: &'a Conduct,
}

impl Answer<'_> {
    /// The answer in one piece.
    pub(super) fn whole(&self) -> Value {
        let mut body = match self.task {
            Task::Chat => json!({
                "id": self.id, "object": "chat.completion", "created": CREATED, "model": self.model(),
                "choices": [{
                    "index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": { "role": "assistant", "content": self.words(), "refusal": null },
                }],
                "system_fingerprint": "fp_fake",
                "x_provider_extra": { "kept": true },
            }),
            Task::Completion => json!({
                "id": self.id, "object": "text_completion", "created": CREATED, "model": self.model(),
                "choices": [{ "index": 0, "text": self.words(), "finish_reason": "stop", "logprobs": null }],
            }),
            Task::Embedding => json!({ "object": "list", "model": self.model(), "data": self.vectors() }),
        };
        if self.conduct.tells_usage {
            body["usage"] = self.usage();
        }
        body
    }

    /// The answer as events, without the closing `[DONE]`: what comes before the content, the content, what comes after.
    pub(super) fn events(&self) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let opening = match self.task {
            Task::Chat => vec![self.event(json!({ "role": "assistant", "content": "" }), Value::Null)],
            Task::Completion | Task::Embedding => Vec::new(),
        };
        let content = (0..self.conduct.chunks)
            .map(|number| {
                let word = format!("word{number} {}", "x".repeat(self.conduct.fat));
                self.event(json!({ "content": word }), Value::Null)
            })
            .collect();
        let mut closing = vec![self.event(json!({}), json!("stop"))];
        if self.asks_usage() && self.conduct.tells_usage {
            let mut usage = self.event(json!({}), Value::Null);
            usage["choices"] = json!([]);
            usage["usage"] = self.usage();
            closing.push(usage);
        }
        (opening, content, closing)
    }

    /// Whether this answer tells its usage: always in one piece, in a stream when asked.
    pub(super) fn will_tell_usage(&self) -> bool {
        let streamed = self.call["stream"] == json!(true);
        self.conduct.tells_usage && (!streamed || self.asks_usage())
    }

    fn asks_usage(&self) -> bool {
        self.call["stream_options"]["include_usage"] == json!(true)
    }

    /// One event. As OpenAI does, `usage` is there and null in a stream whose usage was asked for.
    fn event(&self, delta: Value, finish: Value) -> Value {
        let (object, choice) = match self.task {
            Task::Chat => (
                "chat.completion.chunk",
                json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }),
            ),
            Task::Completion | Task::Embedding => {
                let text = delta["content"].as_str().unwrap_or_default();
                ("text_completion", json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": finish }))
            }
        };
        let mut event = json!({
            "id": self.id, "object": object, "created": CREATED, "model": self.model(), "choices": [choice],
        });
        if self.asks_usage() {
            event["usage"] = Value::Null;
        }
        event
    }

    fn usage(&self) -> Value {
        let Tokens { prompt, completion, cached, reasoning } = self.conduct.tokens;
        match self.task {
            Task::Chat | Task::Completion => json!({
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
                "prompt_tokens_details": { "cached_tokens": cached, "audio_tokens": 0 },
                "completion_tokens_details": { "reasoning_tokens": reasoning, "audio_tokens": 0 },
            }),
            Task::Embedding => json!({ "prompt_tokens": prompt, "total_tokens": prompt }),
        }
    }

    /// As real ones do, it names a dated version of the model.
    fn model(&self) -> String {
        format!("{}-2026-01-01", self.call["model"].as_str().unwrap_or("unnamed"))
    }

    fn words(&self) -> String {
        (0..self.conduct.chunks).map(|number| format!("word{number} ")).collect()
    }

    /// One vector per input, in the encoding that was asked for. The official SDK asks for base64.
    fn vectors(&self) -> Value {
        let numbers: [f32; 4] = [0.25, -0.5, 0.75, 1.0];
        let vector = match self.call["encoding_format"].as_str() {
            Some("base64") => json!(STANDARD.encode(numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())),
            _ => json!(numbers),
        };
        let count = self.call["input"].as_array().map_or(1, Vec::len);
        (0..count).map(|index| json!({ "object": "embedding", "index": index, "embedding": vector })).collect()
    }
}

/// What an error says.
pub(super) fn error(status: u16) -> Value {
    let (message, kind, code) = match status {
        401 => ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        404 => ("The model does not exist.", "invalid_request_error", "model_not_found"),
        429 => ("Rate limit reached for requests", "requests", "rate_limit_exceeded"),
        500.. => ("The provider has trouble.", "server_error", "internal_error"),
        _ => ("The provider does not like this call.", "invalid_request_error", "bad_value"),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// What a proxy in front of a provider says when it is in trouble.
pub(super) const HTML_PAGE: &str =
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n";
