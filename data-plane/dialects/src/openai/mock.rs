//! Answers that no provider gave: `mock_response` of a deployment, or of a client that may.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::stream::event;
use crate::Task;

/// What LiteLLM reports for a mock whose prompt was not counted.
pub const PROMPT_TOKENS: u64 = 10;

/// What LiteLLM reports for every mock's answer.
pub const COMPLETION_TOKENS: u64 = 20;

/// The length of a mock embedding, that of OpenAI's smaller models.
const EMBEDDING_LENGTH: usize = 1536;

/// What `mock_response` says.
#[derive(Clone, Debug, PartialEq)]
pub enum MockResponse {
    /// The text of the answer.
    Text(String),
    /// A whole answer; what it lacks of id, model, usage and the like is added.
    Answer(Map<String, Value>),
    /// The numbers of an embedding.
    Embedding(Vec<Value>),
    Fault(MockFault),
}

/// A fault that a test asks for, with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MockFault {
    RateLimit,
    ContextWindowExceeded,
    InternalServer,
    /// Refused by a content filter, in the words of the mock.
    ContentPolicy(String),
    /// A stream that breaks after it began; in one piece, an internal error.
    Stream(String),
}

impl MockFault {
    pub fn message(&self) -> &str {
        match self {
            Self::RateLimit => "this is a mock rate limit error",
            Self::ContextWindowExceeded => "this is a mock context window exceeded error",
            Self::InternalServer => "this is a mock internal server error",
            Self::ContentPolicy(message) | Self::Stream(message) => message,
        }
    }
}

impl MockResponse {
    /// Reads the JSON of a `mock_response`. `None` for null, and for what is neither text, object nor list.
    pub fn read(json: &[u8]) -> Option<Self> {
        match serde_json::from_slice(json).ok()? {
            Value::String(text) => Some(Self::from_text(text)),
            Value::Object(answer) => Some(Self::Answer(answer)),
            Value::Array(numbers) => Some(Self::Embedding(numbers)),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    /// A text, or one of LiteLLM's names for a fault.
    pub fn from_text(text: String) -> Self {
        match text.as_str() {
            "litellm.RateLimitError" => Self::Fault(MockFault::RateLimit),
            "litellm.ContextWindowExceededError" => Self::Fault(MockFault::ContextWindowExceeded),
            "litellm.InternalServerError" => Self::Fault(MockFault::InternalServer),
            fault if fault.starts_with("Exception: content_filter_policy") => {
                Self::Fault(MockFault::ContentPolicy(text))
            }
            fault if fault.starts_with("Exception: mock_streaming_error") => Self::Fault(MockFault::Stream(text)),
            _ => Self::Text(text),
        }
    }

    /// The text that is streamed, or put into a choice.
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Answer(answer) => {
                let choice = answer.get("choices").and_then(|choices| choices.get(0));
                let said = choice.and_then(|choice| choice.pointer("/message/content").or_else(|| choice.get("text")));
                said.and_then(Value::as_str).unwrap_or_default()
            }
            Self::Fault(fault) => fault.message(),
            Self::Embedding(_) => "",
        }
    }
}

/// The answer in one piece. A [`MockResponse::Fault`] is not an answer: the caller raises it before it asks for one.
pub fn answer(task: Task, model: &str, id: &str, created: u64, mock: &MockResponse, prompt_tokens: u64) -> Bytes {
    let usage = usage(task, prompt_tokens);
    let mut answer = match task {
        Task::Chat => json!({
            "id": id, "created": created, "model": model, "object": "chat.completion", "system_fingerprint": null,
            "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": mock.text(), "role": "assistant"}}],
            "usage": usage,
        }),
        Task::Completion => json!({
            "id": id, "created": created, "model": model, "object": "text_completion",
            "choices": [{"finish_reason": "stop", "index": 0, "logprobs": null, "text": mock.text()}],
            "usage": usage,
        }),
        Task::Embedding => {
            let embedding = match mock {
                MockResponse::Embedding(numbers) => numbers.clone(),
                MockResponse::Text(_) | MockResponse::Answer(_) | MockResponse::Fault(_) => {
                    vec![json!(0.0); EMBEDDING_LENGTH]
                }
            };
            json!({
                "object": "list", "model": model, "usage": usage,
                "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
            })
        }
    };
    if let (MockResponse::Answer(given), Some(answer)) = (mock, answer.as_object_mut()) {
        answer.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Bytes::from(answer.to_string())
}

/// The events of a stream: the role, the text word by word, the finish, and the usage where its prompt tokens are given.
/// `[DONE]` is not among them. For embeddings there is no such thing as a stream: the list is empty.
pub fn stream(
    task: Task,
    model: &str,
    id: &str,
    created: u64,
    mock: &MockResponse,
    usage_of_prompt: Option<u64>,
) -> Vec<Bytes> {
    let object = match task {
        Task::Chat => "chat.completion.chunk",
        Task::Completion => "text_completion",
        Task::Embedding => return Vec::new(),
    };
    let chunk =
        |choices: Value| json!({"id": id, "created": created, "model": model, "object": object, "choices": choices});
    let choice = |text: &str, finish: Option<&str>| match task {
        Task::Chat if finish.is_some() => json!([{"index": 0, "delta": {}, "finish_reason": finish}]),
        Task::Chat => json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]),
        Task::Completion | Task::Embedding => {
            json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}])
        }
    };
    let mut chunks = Vec::new();
    if task == Task::Chat {
        chunks.push(chunk(json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}])));
    }
    chunks.extend(mock.text().split_inclusive(' ').map(|word| chunk(choice(word, None))));
    chunks.push(chunk(choice("", Some("stop"))));
    if let Some(prompt_tokens) = usage_of_prompt {
        let mut last = chunk(json!([]));
        if let Some(last) = last.as_object_mut() {
            last.insert("usage".to_owned(), usage(task, prompt_tokens));
        }
        chunks.push(last);
    }
    chunks.iter().map(|chunk| event(chunk.to_string().as_bytes())).collect()
}

fn usage(task: Task, prompt_tokens: u64) -> Value {
    let completion_tokens = if task == Task::Embedding { 0 } else { COMPLETION_TOKENS };
    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
    match task {
        Task::Embedding => json!({"prompt_tokens": prompt_tokens, "total_tokens": total_tokens}),
        Task::Chat | Task::Completion => {
            json!({"completion_tokens": completion_tokens, "prompt_tokens": prompt_tokens, "total_tokens": total_tokens})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_faults_are_recognised() {
        let read = |json: &str| MockResponse::read(json.as_bytes());
        assert_eq!(read(r#""litellm.RateLimitError""#), Some(MockResponse::Fault(MockFault::RateLimit)));
        assert_eq!(read(r#""hello""#), Some(MockResponse::Text("hello".to_owned())));
        let filtered = read(r#""Exception: content_filter_policy: bad""#);
        assert!(matches!(filtered, Some(MockResponse::Fault(MockFault::ContentPolicy(_)))));
        assert_eq!(read("null"), None);
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn an_answer_says_the_text_and_counts_as_litellm_does() {
        let mock = MockResponse::Text("Hi there".to_owned());
        let answer: Value = serde_json::from_slice(&answer(Task::Chat, "m", "id-1", 7, &mock, PROMPT_TOKENS)).unwrap();
        assert_eq!(answer.pointer("/choices/0/message/content"), Some(&json!("Hi there")));
        assert_eq!(answer["usage"], json!({"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30}));
        assert_eq!((&answer["id"], &answer["created"], &answer["model"]), (&json!("id-1"), &json!(7), &json!("m")));
    }

    #[test]
    fn a_given_answer_wins_over_what_would_be_made_up() {
        let mock = MockResponse::read(br#"{"id":"mine","choices":[{"message":{"content":"x"}}]}"#).unwrap();
        let answer: Value = serde_json::from_slice(&answer(Task::Chat, "m", "id-1", 7, &mock, 10)).unwrap();
        assert_eq!((&answer["id"], &answer["model"]), (&json!("mine"), &json!("m")));
        assert_eq!(answer["choices"], json!([{"message": {"content": "x"}}]));
    }

    #[test]
    fn an_embedding_may_be_given_or_is_all_zeros() {
        let body = |json: &str| answer(Task::Embedding, "m", "", 0, &MockResponse::read(json.as_bytes()).unwrap(), 3);
        let given: Value = serde_json::from_slice(&body("[0.5,1]")).unwrap();
        assert_eq!(given.pointer("/data/0/embedding"), Some(&json!([0.5, 1])));
        assert_eq!(given["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
        let zeros: Value = serde_json::from_slice(&body("\"x\"")).unwrap();
        assert_eq!(zeros.pointer("/data/0/embedding").and_then(Value::as_array).map(Vec::len), Some(1536));
    }

    #[test]
    fn a_stream_has_role_words_finish_and_usage() {
        let mock = MockResponse::Text("a b".to_owned());
        let events = stream(Task::Chat, "m", "i", 1, &mock, Some(10));
        let deltas: Vec<Value> = events
            .iter()
            .map(|event| serde_json::from_slice(event.strip_prefix(b"data: ").unwrap()).unwrap())
            .map(|mut chunk: Value| chunk["choices"].take())
            .collect();
        assert_eq!(deltas[1].pointer("/0/delta/content"), Some(&json!("a ")));
        assert_eq!(deltas[2].pointer("/0/delta/content"), Some(&json!("b")));
        assert_eq!(deltas[3].pointer("/0/finish_reason"), Some(&json!("stop")));
        assert_eq!(deltas[4], json!([]));
        assert_eq!(events.len(), 5);
        assert_eq!(stream(Task::Completion, "m", "i", 1, &mock, None).len(), 3);
        assert!(stream(Task::Embedding, "m", "i", 1, &mock, None).is_empty());
    }
}
