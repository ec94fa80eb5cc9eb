//! What a client asks for: the few members the gateway needs, read once; the rest stays bytes.

mod encode;
mod estimate;
mod forbidden;
mod found;
mod names;
mod nested;
mod params;
mod read;

use std::ops::Range;

use wire::Secret;

pub use encode::{Upstream, encode, encode_pieces};
pub use estimate::estimate_prompt_tokens;
pub use forbidden::{forbidden_param, mock_testing_param};
pub use nested::Nested;
pub use params::{GATEWAY_PARAMS, is_gateway_param};
pub use read::read;

use crate::Task;
use crate::json::{Head, ScanError, WrongType};

/// A request whose shape was checked. Ranges are positions in the body it was read from.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub head: Head,
    pub model: Option<String>,
    pub stream: bool,
    /// `stream_options.include_usage`, where the client said anything about it.
    pub include_usage: Option<bool>,
    /// The customer on whose behalf the client asks.
    pub user: Option<String>,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_output_tokens: Option<u64>,
    pub n: Option<u64>,
    pub service_tier: Option<String>,
    /// `tags`, then those of `metadata` and `litellm_metadata`, each once.
    pub tags: Vec<String>,
    /// Whether `tags` stands in the body: then those of the header `x-litellm-tags` do not count.
    pub has_tags_list: bool,
    pub num_retries: Option<u32>,
    /// `timeout`, else `request_timeout`.
    pub timeout_ms: Option<u64>,
    pub stream_timeout_ms: Option<u64>,
    pub disable_fallbacks: bool,
    pub litellm_session_id: Option<String>,
    pub litellm_trace_id: Option<String>,
    /// A provider key that the client brought along. It never goes upstream in the body.
    pub api_key: Option<Secret>,
    pub metadata: Option<Nested>,
    pub litellm_metadata: Option<Nested>,
    /// The raw JSON of `messages`, `prompt` or `input`, whichever the task requires.
    pub content: Option<Range<usize>>,
    /// The raw JSON of each; absent where the client sent null.
    pub mock_response: Option<Range<usize>>,
    pub extra_body: Option<Range<usize>>,
    pub fallbacks: Option<Range<usize>>,
}

/// What is wrong with a request, in words for the client. All of these are the caller's fault (400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("Invalid JSON payload: {0}")]
    Malformed(#[from] ScanError),
    #[error(transparent)]
    WrongType(#[from] WrongType),
    #[error("'{name}' is given twice.")]
    Duplicate { name: &'static str },
    #[error("'{name}.{key}' is given twice.")]
    NestedDuplicate { name: &'static str, key: String },
    #[error("Invalid type for '{name}': expected an object or a string that holds one.")]
    NotAnObject { name: &'static str },
    #[error("'extra_body' must not contain '{name}': set it in the body itself.")]
    InExtraBody { name: String },
    #[error("{}: Missing required parameter: '{}'.", task.route(), task.required())]
    Missing { task: Task },
}

impl RequestError {
    /// What goes into the `param` field of the error.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Malformed(_) => Some("request_body"),
            Self::WrongType(WrongType { name, .. }) | Self::InExtraBody { name } => Some(name),
            Self::Duplicate { name } | Self::NestedDuplicate { name, .. } | Self::NotAnObject { name } => Some(name),
            Self::Missing { task } => Some(task.required()),
        }
    }
}

impl Request {
    /// Fails if the client sent no `messages`, `prompt` or `input`. Not part of reading, because a deployment may be
    /// configured with one.
    pub fn require_content(&self, task: Task) -> Result<(), RequestError> {
        if self.content.is_some() { Ok(()) } else { Err(RequestError::Missing { task }) }
    }
}
