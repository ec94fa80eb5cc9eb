//! The members of a request that the gateway reads, found in one pass.

use std::ops::Range;

use super::RequestError;
use crate::Task;
use crate::json::{
    BOOLEAN, Head, Member, NUMBER, STRING, UNSIGNED, WrongType, as_boolean, as_number, as_string, as_unsigned, slice,
    typed, unescape,
};

/// Everything that is read. A key among these that stands twice could mean one thing here and another upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    ApiKey,
    DisableFallbacks,
    ExtraBody,
    Fallbacks,
    Input,
    LitellmMetadata,
    LitellmSessionId,
    LitellmTraceId,
    MaxCompletionTokens,
    MaxTokens,
    Messages,
    Metadata,
    MockResponse,
    Model,
    N,
    NumRetries,
    Prompt,
    RequestTimeout,
    ServiceTier,
    Stream,
    StreamOptions,
    StreamTimeout,
    Tags,
    Timeout,
    User,
}

const NAMES: [(Name, &str); 25] = [
    (Name::ApiKey, "api_key"),
    (Name::DisableFallbacks, "disable_fallbacks"),
    (Name::ExtraBody, "extra_body"),
    (Name::Fallbacks, "fallbacks"),
    (Name::Input, "input"),
    (Name::LitellmMetadata, "litellm_metadata"),
    (Name::LitellmSessionId, "litellm_session_id"),
    (Name::LitellmTraceId, "litellm_trace_id"),
    (Name::MaxCompletionTokens, "max_completion_tokens"),
    (Name::MaxTokens, "max_tokens"),
    (Name::Messages, "messages"),
    (Name::Metadata, "metadata"),
    (Name::MockResponse, "mock_response"),
    (Name::Model, "model"),
    (Name::N, "n"),
    (Name::NumRetries, "num_retries"),
    (Name::Prompt, "prompt"),
    (Name::RequestTimeout, "request_timeout"),
    (Name::ServiceTier, "service_tier"),
    (Name::Stream, "stream"),
    (Name::StreamOptions, "stream_options"),
    (Name::StreamTimeout, "stream_timeout"),
    (Name::Tags, "tags"),
    (Name::Timeout, "timeout"),
    (Name::User, "user"),
];

impl Name {
    /// The name of that text. Nearly all comparisons end at the length.
    pub(super) fn find(text: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == text).map(|(name, _)| *name)
    }

    pub(super) fn text(self) -> &'static str {
        NAMES.get(self as usize).map_or("", |(_, text)| text)
    }

    /// What the task cannot do without; see [`Task::required`].
    pub(super) fn content_of(task: Task) -> Self {
        match task {
            Task::Chat => Self::Messages,
            Task::Completion => Self::Prompt,
            Task::Embedding => Self::Input,
        }
    }
}

/// One slot for each [`Name`].
pub(super) struct Found<'b> {
    body: &'b [u8],
    members: [Option<&'b Member>; NAMES.len()],
}

impl<'b> Found<'b> {
    pub(super) fn new(head: &'b Head, body: &'b [u8]) -> Result<Self, RequestError> {
        let mut members = [None; NAMES.len()];
        for member in head.members() {
            let text = unescape(slice(body, &member.key)).unwrap_or_default();
            let Some(name) = Name::find(&text) else { continue };
            if members.get_mut(name as usize).is_some_and(|slot| slot.replace(member).is_some()) {
                return Err(RequestError::Duplicate { name: name.text() });
            }
        }
        Ok(Self { body, members })
    }

    /// Where the value stands and what it is, unless the member is absent or null.
    pub(super) fn value(&self, name: Name) -> Option<(&'b Range<usize>, &'b [u8])> {
        let member = (*self.members.get(name as usize)?)?;
        let value = slice(self.body, &member.value);
        (value != b"null").then_some((&member.value, value))
    }

    pub(super) fn string(&self, name: Name) -> Result<Option<String>, WrongType> {
        self.read(name, |value| as_string(value).map(|text| text.into_owned()), STRING)
    }

    pub(super) fn boolean(&self, name: Name) -> Result<Option<bool>, WrongType> {
        self.read(name, as_boolean, BOOLEAN)
    }

    pub(super) fn unsigned(&self, name: Name) -> Result<Option<u64>, WrongType> {
        self.read(name, as_unsigned, UNSIGNED)
    }

    pub(super) fn number(&self, name: Name) -> Result<Option<f64>, WrongType> {
        self.read(name, as_number, NUMBER)
    }

    /// A member whose value begins with one of `opens`.
    pub(super) fn container(
        &self,
        name: Name,
        opens: &[u8],
        expected: &'static str,
    ) -> Result<Option<Range<usize>>, WrongType> {
        let Some((range, value)) = self.value(name) else { return Ok(None) };
        match value.first() {
            Some(open) if opens.contains(open) => Ok(Some(range.clone())),
            _ => Err(WrongType { name: name.text().to_owned(), expected }),
        }
    }

    fn read<T>(
        &self,
        name: Name,
        read: impl FnOnce(&'b [u8]) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, WrongType> {
        self.value(name).map_or(Ok(None), |(_, value)| typed(name.text(), value, read, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_in_its_own_slot() {
        for (index, (name, text)) in NAMES.iter().enumerate() {
            assert_eq!((*name as usize, name.text(), Name::find(text)), (index, *text, Some(*name)));
        }
        assert_eq!(Name::find("seed"), None);
    }

    #[test]
    fn the_content_of_a_task_is_what_it_requires() {
        for task in Task::ALL {
            assert_eq!(Name::content_of(task).text(), task.required());
        }
    }
}
