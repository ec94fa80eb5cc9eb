//! Where a call goes and what it carries to be let in.
//!
//! Providers compose an [`Address`] from the pieces here: [`base`] reads configured addresses, [`headers`] collects
//! headers. Bodies are not known here.

pub(crate) mod base;
pub(crate) mod headers;

use std::fmt;

use dialects::Task;
use http::{HeaderMap, Uri};

pub(crate) use base::Base;
pub(crate) use headers::Headers;

/// One upstream's address for one task.
#[derive(Clone)]
pub struct Address {
    /// The absolute URL to post to. Its query may hold secrets that an admin put there.
    pub uri: Uri,
    /// Credentials and the provider's own headers; values that may be secret are marked sensitive. Content type and
    /// length are the caller's to add.
    pub headers: HeaderMap,
    /// The configured base as an admin wrote it, without its query: for `x-litellm-model-api-base`.
    pub shown_base: String,
    /// Where this upstream looks for the model's name.
    pub model_in: ModelIn,
}

/// Where an upstream looks for the model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelIn {
    /// In the body's `model` member.
    Body,
    /// In the URL, which holds it already; the body's member is ignored.
    Path,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("base", &self.shown_base)
            .field("path", &self.uri.path())
            .field("headers", &self.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>())
            .field("model_in", &self.model_in)
            .finish()
    }
}

/// Why a deployment has no address. No text quotes a configured value, since any of them may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The provider does not do this.
    #[error("`{provider}` does not offer {}", task_name(*task))]
    TaskNotOffered { provider: &'static str, task: Task },
    /// There is no address to call.
    #[error("`{provider}` has no address of its own: set `api_base`{}", or_env(env))]
    BaseMissing { provider: &'static str, env: &'static [&'static str] },
    /// The configured address cannot be called.
    #[error("provider `{provider}`: `api_base` {problem}")]
    Base { provider: &'static str, problem: &'static str },
    /// There is no credential.
    #[error("`{provider}` needs a key: set `api_key`{}", or_env(env))]
    KeyMissing { provider: &'static str, env: &'static [&'static str] },
    /// The credential must first be exchanged for another, which takes a call.
    #[error(
        "an `azure_ad_token` that starts with `oidc/` has to be exchanged first, which is not built yet: set `api_key` or a ready token"
    )]
    TokenExchange,
    /// A configured value does not fit where it must go.
    #[error("provider `{provider}`: `{field}` {problem}")]
    Value { provider: &'static str, field: &'static str, problem: &'static str },
    /// An entry of `extra_headers` cannot be sent.
    #[error("provider `{provider}`: `{header}` of `extra_headers` {problem}")]
    Header { provider: &'static str, header: String, problem: &'static str },
}

/// The end of the URL for `task`, the same at everybody who speaks OpenAI.
pub(crate) fn task_path(task: Task) -> &'static str {
    match task {
        Task::Chat => "/chat/completions",
        Task::Completion => "/completions",
        Task::Embedding => "/embeddings",
    }
}

/// Whether `text` can stand in a path as it is and stay where it stands. Anything that would have to be encoded is
/// refused, since some servers decode `%2F` before they look at a path.
pub(crate) fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().all(plain) && !matches!(text, "" | "." | "..")
}

fn task_name(task: Task) -> &'static str {
    match task {
        Task::Chat => "chat completions",
        Task::Completion => "text completions",
        Task::Embedding => "embeddings",
    }
}

fn or_env(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!(", or the environment variable {}", names.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::is_segment;

    #[test]
    fn a_name_that_could_leave_its_place_in_a_path_is_no_segment() {
        for name in ["gpt-4o", "chatgpt-v-2", "a_1.5~x", "..."] {
            assert!(is_segment(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "..%2Fb", "a?b", "a#b", "a\\b", "a b", "ä", "a\n"] {
            assert!(!is_segment(name), "{name}");
        }
    }
}
