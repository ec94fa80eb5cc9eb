//! Reads a request: types are checked for what the gateway acts on, and for nothing else.

use std::ops::Range;
use std::time::Duration;

use super::found::{Found, Name};
use super::params::{is_forbidden, is_gateway_param};
use super::{Nested, Request, RequestError};
use crate::Task;
use crate::json::{self, Head, WrongType, as_string, slice, unescape};

/// More tags than any policy has: past this, the list is an attack or a mistake.
const TAGS_MAX: usize = 256;

/// More members than `extra_body` can sensibly have.
const EXTRA_MAX: usize = 256;

/// Checks that `body` is one JSON object and reads what the gateway acts on. An empty body counts as `{}`.
pub fn read(task: Task, body: &[u8]) -> Result<Request, RequestError> {
    let head = if body.trim_ascii().is_empty() { Head::default() } else { json::scan(body)? };
    let request = read_members(task, body, &Found::new(&head, body)?)?;
    Ok(Request { head, ..request })
}

fn read_members(task: Task, body: &[u8], found: &Found<'_>) -> Result<Request, RequestError> {
    let mut request = Request {
        head: Head::default(),
        model: found.string(Name::Model)?,
        stream: found.boolean(Name::Stream)?.unwrap_or(false),
        include_usage: include_usage(found, body)?,
        user: found.string(Name::User)?,
        max_output_tokens: match found.unsigned(Name::MaxCompletionTokens)? {
            Some(tokens) => Some(tokens),
            None => found.unsigned(Name::MaxTokens)?,
        },
        n: found.unsigned(Name::N)?,
        service_tier: found.string(Name::ServiceTier)?,
        tags: Vec::new(),
        has_tags_list: false,
        num_retries: retries(found)?,
        timeout_ms: match milliseconds(found, Name::Timeout)? {
            Some(timeout) => Some(timeout),
            None => milliseconds(found, Name::RequestTimeout)?,
        },
        stream_timeout_ms: milliseconds(found, Name::StreamTimeout)?,
        disable_fallbacks: found.boolean(Name::DisableFallbacks)?.unwrap_or(false),
        litellm_session_id: found.string(Name::LitellmSessionId)?,
        litellm_trace_id: found.string(Name::LitellmTraceId)?,
        api_key: found.string(Name::ApiKey)?.map(Into::into),
        metadata: nested(found, body, Name::Metadata)?,
        litellm_metadata: nested(found, body, Name::LitellmMetadata)?,
        content: content(task, found)?,
        mock_response: found.value(Name::MockResponse).map(|(range, _)| range.clone()),
        extra_body: extra_body(found, body)?,
        fallbacks: found.container(Name::Fallbacks, b"[", "a list")?,
    };
    read_tags(found, body, &mut request)?;
    Ok(request)
}

fn content(task: Task, found: &Found<'_>) -> Result<Option<Range<usize>>, WrongType> {
    match task {
        Task::Chat => found.container(Name::content_of(task), b"[", "a list"),
        Task::Completion | Task::Embedding => found.container(Name::content_of(task), b"[\"", "a string or a list"),
    }
}

fn nested(found: &Found<'_>, body: &[u8], name: Name) -> Result<Option<Nested>, RequestError> {
    let Some((range, _)) = found.value(name) else { return Ok(None) };
    let nested = Nested::read(body, range).ok_or(RequestError::NotAnObject { name: name.text() })?;
    if json::members(nested.json(body)).nth(json::MEMBERS_MAX).is_some() {
        return Err(WrongType { name: name.text().to_owned(), expected: "an object of at most 4096 members" }.into());
    }
    match nested.repeated(body) {
        Some(key) => Err(RequestError::NestedDuplicate { name: name.text(), key }),
        None => Ok(Some(nested)),
    }
}

fn include_usage(found: &Found<'_>, body: &[u8]) -> Result<Option<bool>, RequestError> {
    let Some(range) = found.container(Name::StreamOptions, b"{", "an object")? else { return Ok(None) };
    let options = slice(body, &range);
    let head = json::scan_event(options)?;
    match head.duplicate(options, &["include_usage"]) {
        Some(name) => Err(RequestError::Duplicate { name }),
        None => Ok(head.boolean(options, "include_usage")?),
    }
}

fn retries(found: &Found<'_>) -> Result<Option<u32>, WrongType> {
    let Some(retries) = found.unsigned(Name::NumRetries)? else { return Ok(None) };
    let wrong = |_| WrongType { name: "num_retries".to_owned(), expected: "a whole number below 2^32" };
    u32::try_from(retries).map(Some).map_err(wrong)
}

/// A time in seconds, rounded up to whole milliseconds.
fn milliseconds(found: &Found<'_>, name: Name) -> Result<Option<u64>, WrongType> {
    let Some(seconds) = found.number(name)? else { return Ok(None) };
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero());
    let milliseconds = duration.and_then(|duration| u64::try_from(duration.as_nanos().div_ceil(1_000_000)).ok());
    milliseconds
        .map(Some)
        .ok_or_else(|| WrongType { name: name.text().to_owned(), expected: "a number of seconds, above 0" })
}

/// What is in `extra_body` goes to the root of the upstream's body: nothing there may undo what the gateway acted on.
fn extra_body(found: &Found<'_>, body: &[u8]) -> Result<Option<Range<usize>>, RequestError> {
    let Some(range) = found.container(Name::ExtraBody, b"{", "an object")? else { return Ok(None) };
    for (count, (key, _)) in json::members(slice(body, &range)).enumerate() {
        let name = unescape(key).unwrap_or_default();
        // `model` is left out without a word, as LiteLLM does, and so is what never goes upstream.
        let is_left_out = name == "model" || is_gateway_param(&name) || is_forbidden(&name);
        if Name::find(&name).is_some() && !is_left_out {
            return Err(RequestError::InExtraBody { name: name.into_owned() });
        }
        if count == EXTRA_MAX {
            return Err(
                WrongType { name: "extra_body".to_owned(), expected: "an object of at most 256 members" }.into()
            );
        }
    }
    Ok(Some(range))
}

fn read_tags(found: &Found<'_>, body: &[u8], request: &mut Request) -> Result<(), WrongType> {
    if let Some((_, tags)) = found.value(Name::Tags) {
        request.has_tags_list = true;
        add_tags(&mut request.tags, tags, "tags")?;
    }
    let metadata = [(&request.metadata, "metadata.tags"), (&request.litellm_metadata, "litellm_metadata.tags")];
    for (metadata, name) in metadata {
        let Some(metadata) = metadata else { continue };
        for (_, value) in json::members(metadata.json(body)).filter(|(key, _)| json::key_is(key, "tags")) {
            add_tags(&mut request.tags, value, name)?;
        }
    }
    Ok(())
}

fn add_tags(tags: &mut Vec<String>, value: &[u8], name: &str) -> Result<(), WrongType> {
    let wrong = || WrongType { name: name.to_owned(), expected: "a list of at most 256 strings" };
    match value.first() {
        Some(b'[') => {}
        _ if value == b"null" => return Ok(()),
        _ => return Err(wrong()),
    }
    for element in json::elements(value) {
        let tag = as_string(element).ok_or_else(wrong)?;
        if !tags.iter().any(|known| *known == tag) {
            if tags.len() == TAGS_MAX {
                return Err(wrong());
            }
            tags.push(tag.into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Request, RequestError> {
        read(Task::Chat, body.as_bytes())
    }

    #[track_caller]
    fn refused(body: &str, expected: &str) {
        assert_eq!(chat(body).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_the_gateway_acts_on_is_read() {
        let request = chat(
            r#"{"model":"gpt-4o","messages":[],"stream":true,"stream_options":{"include_usage":true},"user":"u1",
                "max_tokens":5,"max_completion_tokens":7,"n":2,"num_retries":0,"timeout":1.5,"stream_timeout":0.0001,
                "tags":["a","b"],"metadata":{"tags":["b","c"]},"litellm_metadata":"{\"tags\":[\"d\"]}",
                "api_key":"sk-mine","mock_response":"hi","disable_fallbacks":true,"unknown":1}"#,
        )
        .unwrap();
        assert_eq!(request.model.as_deref(), Some("gpt-4o"));
        assert!(request.stream && request.disable_fallbacks && request.has_tags_list);
        assert_eq!(request.include_usage, Some(true));
        assert_eq!(request.max_output_tokens, Some(7));
        assert_eq!((request.n, request.num_retries), (Some(2), Some(0)));
        assert_eq!((request.timeout_ms, request.stream_timeout_ms), (Some(1500), Some(1)));
        assert_eq!(request.tags, ["a", "b", "c", "d"]);
        assert!(!format!("{request:?}").contains("sk-mine"));
        assert_eq!(request.require_content(Task::Chat), Ok(()));
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        let request = chat(" \n").unwrap();
        let missing = request.require_content(Task::Chat).unwrap_err();
        assert_eq!(missing.to_string(), "/chat/completions: Missing required parameter: 'messages'.");
        assert_eq!(missing.param(), Some("messages"));
    }

    #[test]
    fn nulls_count_as_absent() {
        let request = chat(
            r#"{"model":null,"stream":null,"stream_options":null,"metadata":null,"tags":null,"timeout":null,
                "messages":null,"mock_response":null,"fallbacks":null,"extra_body":null,"max_tokens":null}"#,
        )
        .unwrap();
        assert!(request.model.is_none() && !request.stream && request.metadata.is_none());
        assert!(request.require_content(Task::Chat).is_err());
    }

    #[test]
    fn wrong_types_are_refused_by_name() {
        refused(r#"{"model":3}"#, "'model' must be a string.");
        refused(r#"{"stream":"yes"}"#, "'stream' must be true or false.");
        refused(r#"{"stream_options":[]}"#, "'stream_options' must be an object.");
        refused(r#"{"messages":"hi"}"#, "'messages' must be a list.");
        refused(r#"{"max_tokens":-1}"#, "'max_tokens' must be a whole number, 0 or more.");
        refused(r#"{"timeout":-1}"#, "'timeout' must be a number of seconds, above 0.");
        refused(r#"{"timeout":1e300}"#, "'timeout' must be a number of seconds, above 0.");
        refused(r#"{"tags":"a"}"#, "'tags' must be a list of at most 256 strings.");
        refused(r#"{"metadata":{"tags":[1]}}"#, "'metadata.tags' must be a list of at most 256 strings.");
        let no_object = "Invalid type for 'metadata': expected an object or a string that holds one.";
        refused(r#"{"metadata":[]}"#, no_object);
        refused(r#"{"metadata":"[]"}"#, no_object);
        refused("[]", "Invalid JSON payload: a JSON object is expected: the text must begin with '{'");
    }

    #[test]
    fn a_key_that_is_read_must_not_stand_twice_even_in_disguise() {
        refused(r#"{"model":"a","mod\u0065l":"b"}"#, "'model' is given twice.");
        refused(
            r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "'include_usage' is given twice.",
        );
        refused(r#"{"metadata":{"tags":["a"],"a":1,"t\u0061gs":["b"]}}"#, "'metadata.tags' is given twice.");
        refused(r#"{"litellm_metadata":"{\"a\":1,\"b\":2,\"a\":3}"}"#, "'litellm_metadata.a' is given twice.");
        assert!(chat(r#"{"seed":1,"seed":2,"metadata":{"a":{"b":1,"b":2}}}"#).is_ok());
    }

    #[test]
    fn extra_body_cannot_undo_what_the_gateway_acted_on() {
        refused(
            r#"{"extra_body":{"stream":true}}"#,
            "'extra_body' must not contain 'stream': set it in the body itself.",
        );
        assert!(chat(r#"{"extra_body":{"stre\u0061m":true}}"#).is_err());
        assert!(chat(r#"{"extra_body":{"top_k":4,"model":"x","metadata":{}}}"#).is_ok());
        refused(r#"{"extra_body":[]}"#, "'extra_body' must be an object.");
    }

    #[test]
    fn prompts_and_inputs_may_be_strings_or_lists() {
        for (task, body) in [
            (Task::Completion, r#"{"prompt":"a"}"#),
            (Task::Completion, r#"{"prompt":["a"]}"#),
            (Task::Embedding, r#"{"input":[1,2]}"#),
        ] {
            assert!(read(task, body.as_bytes()).unwrap().content.is_some());
        }
        let wrong = read(Task::Embedding, br#"{"input":{}}"#).unwrap_err();
        assert_eq!(wrong.to_string(), "'input' must be a string or a list.");
    }
}
