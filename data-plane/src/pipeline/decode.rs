//! The body, read once: bytes stay bytes, and only the top level is looked at.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use dialects::Task;
use dialects::openai::request::{self, Request, RequestError};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

use super::Inbound;
use super::authenticate::{Caller, Identity};
use super::customer::{self, customer};
use crate::api::body::RequestBody;
use crate::door::limits::Limits;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::telemetry::limits;

static TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
static STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");
static NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
static TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
static SESSION_ID: HeaderName = HeaderName::from_static("x-litellm-session-id");
static TRACE_ID: HeaderName = HeaderName::from_static("x-litellm-trace-id");

/// Texts that are only noted are cut to this many characters, and there are no more tags than that many.
const NOTED_CHARS: usize = 256;
const NOTED_TAGS: usize = 100;

/// A call that was read: what its body and headers ask for.
pub(crate) struct Call {
    pub(crate) task: Task,
    pub(crate) body: Bytes,
    pub(crate) request: Request,
    /// What the client called the model; answers carry the same name.
    pub(crate) asked: String,
    pub(crate) call_id: String,
    pub(crate) client_ip: Rc<str>,
    pub(crate) user_agent: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) end_user: Option<String>,
    pub(crate) tags: Vec<String>,
}

impl Call {
    /// Tokens of the prompt, guessed by its size: no look at the text.
    pub(super) fn prompt_by_size(&self) -> u64 {
        (self.body.len() as u64 * 2).div_ceil(7)
    }
}

/// Why a body cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the request body broke off: {0}")]
    Broken(#[source] hyper::Error),
    #[error(
        "the request body came too slowly: it may take {whole_s} s, and from {grace_s} s on it must have come at \
         {pace} bytes per second"
    )]
    TooSlow { whole_s: u64, grace_s: u64, pace: u32 },
    #[error("a request body with content-encoding `{0}` is not read: send it as it is")]
    Encoded(String),
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error(
        "Authentication Error, Rejected Request: {0} is not allowed in request body. The admin may allow it with \
         `general_settings.allow_client_side_credentials` or `configurable_clientside_auth_params`; this gateway does not yet."
    )]
    Forbidden(String),
    #[error("{0} is only for testing: an admin would have to allow it, which this gateway does not offer yet")]
    MockTesting(String),
    #[error("{route}: Missing required parameter: '{param}'.")]
    Missing { route: &'static str, param: &'static str },
    #[error("`{name}` must be a number of {unit}, not `{value}`")]
    Header { name: &'static str, unit: &'static str, value: String },
}

/// Reads and checks the body.
pub(crate) async fn decode(
    snapshot: &Snapshot,
    caller: &Caller,
    inbound: Inbound,
    settings: &Settings,
) -> Result<Call, DecodeError> {
    let Inbound { head, body, task, path_model, client_ip, call_id } = inbound;
    let body = read(&head.headers, body, settings).await?;
    understand(snapshot, caller, Inbound { head, body, task, path_model, client_ip, call_id })
}

/// Checks the body that came, and notes what the call asks for.
fn understand(snapshot: &Snapshot, caller: &Caller, inbound: Inbound<Bytes>) -> Result<Call, DecodeError> {
    let Inbound { head, body, task, path_model, client_ip, call_id } = inbound;
    let body = if body.trim_ascii().is_empty() { Bytes::from_static(b"{}") } else { body };
    let mut request = request::read(task, &body)?;
    if let Some(name) = request::forbidden_param(&body, &request) {
        return Err(DecodeError::Forbidden(name));
    }
    if request.api_key.is_some() {
        return Err(DecodeError::Forbidden("api_key".to_owned()));
    }
    if let Some(name) = request::mock_testing_param(&body, &request) {
        return Err(DecodeError::MockTesting(name));
    }
    // One look at the names spares nearly every call a search for each of ours.
    let has_ours = head.headers.keys().any(|name| name.as_str().starts_with("x-litellm-"));
    if has_ours {
        headers_to_parameters(&head.headers, &mut request)?;
    }
    if !may_mock(caller) {
        request.mock_response = None;
    }
    let fixed = match task {
        Task::Chat | Task::Completion => snapshot.settings.default_chat_model.as_deref().map(str::to_owned),
        Task::Embedding => None,
    };
    let named_by_operator = snapshot.settings.gate.as_ref().map_or(&[][..], |gate| &gate.customer_headers);
    let ours_and_theirs = if has_ours { &customer::OURS[..] } else { &[] }.iter().chain(named_by_operator);
    let end_user = customer(ours_and_theirs, &head.headers, &request, &body);
    let asked = fixed.or(path_model).or_else(|| request.model.clone());
    let asked = asked.or_else(|| customer::default_model(snapshot, end_user.as_deref()?));
    let asked = asked.ok_or(DecodeError::Missing { route: task.route(), param: "model" })?;
    request.require_content(task)?;
    let noted = |text: &str| short(text).to_owned();
    let text = |name: &HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(noted);
    let ours = |name: &HeaderName| has_ours.then(|| text(name)).flatten();
    Ok(Call {
        task,
        asked,
        call_id,
        client_ip,
        user_agent: text(&USER_AGENT),
        session_id: ours(&TRACE_ID)
            .or_else(|| ours(&SESSION_ID))
            .or_else(|| request.litellm_trace_id.as_deref().map(noted))
            .or_else(|| request.litellm_session_id.as_deref().map(noted)),
        end_user,
        tags: tags(&head.headers, &request, caller),
        body,
        request,
    })
}

/// The text as far as it is worth noting.
pub(crate) fn short(text: &str) -> &str {
    let end = if text.len() <= NOTED_CHARS { None } else { text.char_indices().nth(NOTED_CHARS) };
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// [`short`], of a text that is kept.
pub(crate) fn noted(mut text: String) -> String {
    let end = short(&text).len();
    text.truncate(end);
    text
}

async fn read(headers: &HeaderMap, mut body: RequestBody, settings: &Settings) -> Result<Bytes, DecodeError> {
    let limit = settings.max_body_bytes;
    let too_large = || {
        limits::reached("body_too_large");
        DecodeError::TooLarge { limit }
    };
    if let Some(encoding) = headers.get_all(CONTENT_ENCODING).iter().find(|encoding| *encoding != "identity") {
        limits::reached("encoded_body");
        return Err(DecodeError::Encoded(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
    }
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > limit) {
        return Err(too_large());
    }
    let began = Instant::now();
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    loop {
        let until = began + settings.limits.body_until(first.len().max(more.len()));
        let chunk = tokio::time::timeout_at(until, body.chunk()).await.map_err(|_late| too_slow(settings))?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(DecodeError::Broken)?;
        if first.len().max(more.len()) + chunk.len() > limit {
            return Err(too_large());
        }
        match (first.is_empty(), more.is_empty()) {
            (true, true) => first = chunk,
            (false, _) => {
                // What the client promises is trusted for no more than a mebibyte ahead of what came.
                more.reserve(said.unwrap_or(0).min(first.len() + chunk.len() + (1 << 20)));
                more.extend_from_slice(&std::mem::take(&mut first));
                more.extend_from_slice(&chunk);
            }
            (true, false) => more.extend_from_slice(&chunk),
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

#[cold]
fn too_slow(settings: &Settings) -> DecodeError {
    limits::reached("body_too_slow");
    let Limits { body, body_grace, body_pace, .. } = &settings.limits;
    DecodeError::TooSlow { whole_s: body.as_secs(), grace_s: body_grace.as_secs(), pace: *body_pace }
}

/// Headers that stand for body parameters; where both are given the header counts (llm_path.md 2.5).
fn headers_to_parameters(headers: &HeaderMap, request: &mut Request) -> Result<(), DecodeError> {
    if let Some(timeout) = number(headers, &TIMEOUT, "x-litellm-timeout", "seconds")? {
        request.timeout_ms = Some(milliseconds(timeout));
    }
    if let Some(timeout) = number(headers, &STREAM_TIMEOUT, "x-litellm-stream-timeout", "seconds")? {
        request.stream_timeout_ms = Some(milliseconds(timeout));
    }
    if let Some(retries) = number(headers, &NUM_RETRIES, "x-litellm-num-retries", "retries")? {
        request.num_retries = u32::try_from(milliseconds(retries) / 1_000).ok();
    }
    Ok(())
}

fn number(
    headers: &HeaderMap,
    header: &HeaderName,
    name: &'static str,
    unit: &'static str,
) -> Result<Option<f64>, DecodeError> {
    let Some(value) = headers.get(header) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
        _ => Err(DecodeError::Header { name, unit, value: text.chars().take(64).collect() }),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "finite and not negative; the cast saturates"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}

fn may_mock(caller: &Caller) -> bool {
    match &caller.identity {
        Identity::Master { .. } => false,
        Identity::Key { key, .. } => {
            key.rights.mock_response || caller.team.as_ref().is_some_and(|(_, team)| team.rights.mock_response)
        }
    }
}

/// Tags of the request, then of the key, then of the team; each once, in order of first occurrence.
fn tags(headers: &HeaderMap, request: &Request, caller: &Caller) -> Vec<String> {
    let mut tags: Vec<String> = request.tags.clone();
    if !request.has_tags_list
        && let Some(header) = headers.get(&TAGS).and_then(|value| value.to_str().ok())
    {
        tags.extend(header.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    // However many the client or the key's holder says, those of the key and of its team stay: they have budgets.
    let of_key = |key: &crate::snapshot::Key| key.tags().iter().map(str::to_owned).collect();
    let of_key: Vec<String> = match &caller.identity {
        Identity::Key { key, .. } => of_key(key),
        Identity::Master { .. } => Vec::new(),
    };
    let of_team: Vec<String> =
        caller.team.iter().flat_map(|(_, team)| team.tags.iter().map(ToString::to_string)).collect();
    let room = NOTED_TAGS.saturating_sub(of_team.len());
    tags.truncate(room.saturating_sub(of_key.len()));
    tags.extend(of_key);
    tags.truncate(room);
    tags.extend(of_team);
    if tags.len() > 1 {
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
    }
    tags.into_iter().map(noted).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A chat call as it would be read.
    pub(in crate::pipeline) fn call_of(snapshot: &Snapshot, caller: &Caller, body: &str) -> Call {
        let (head, ()) = http::Request::post("/v1/chat/completions").body(()).unwrap().into_parts();
        let body = Bytes::from(body.to_owned());
        let (client_ip, call_id) = ("10.1.1.1".into(), "call".to_owned());
        let inbound = Inbound { head, body, task: Task::Chat, path_model: None, client_ip, call_id };
        understand(snapshot, caller, inbound).unwrap()
    }
}
