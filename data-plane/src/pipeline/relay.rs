//! The answer as the client gets it: LiteLLM's headers, and the provider's own under `llm_provider-`.

use std::rc::Rc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use proto::price::Cost;

use super::attempt::{Answer, AttemptError, Content};
use crate::api::body::AnswerBody;
use crate::gateway::Core;
use crate::snapshot::Deployment;

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => { $(static $constant: HeaderName = HeaderName::from_static($name);)* };
}

names! {
    MODEL_ID = "x-litellm-model-id";
    MODEL_NAME = "x-litellm-model-name";
    MODEL_GROUP = "x-litellm-model-group";
    API_BASE = "x-litellm-model-api-base";
    COST = "x-litellm-response-cost";
    DURATION = "x-litellm-response-duration-ms";
    OVERHEAD = "x-litellm-overhead-duration-ms";
    RETRIES = "x-litellm-attempted-retries";
    MAX_RETRIES = "x-litellm-max-retries";
    FALLBACKS = "x-litellm-attempted-fallbacks";
    CALL_ID = "x-litellm-call-id";
    PRICE_STATE = "x-turnpike-price";
    NO_BUFFERING = "x-accel-buffering";
    REQUEST_ID = "request-id";
    X_REQUEST_ID = "x-request-id";
}

/// Provider headers that are not shown: hop by hop, credentials, or plainly the provider's own.
const HIDDEN: [&str; 7] = [
    "connection",
    "transfer-encoding",
    "keep-alive",
    "set-cookie",
    "www-authenticate",
    "proxy-authenticate",
    "upgrade",
];

/// Makes the response of an answer.
pub(crate) fn relay(core: Rc<Core>, answer: Answer) -> Response<AnswerBody> {
    let Answer {
        call,
        group,
        deployment,
        shown_base,
        headers: upstream_headers,
        retries,
        max_retries,
        began,
        upstream,
        content,
    } = answer;
    let mut headers = HeaderMap::with_capacity(16 + upstream_headers.len());
    set(&mut headers, &CALL_ID, &call.call_id);
    deployment_headers(&mut headers, &deployment, &group);
    if !shown_base.is_empty() {
        set(&mut headers, &API_BASE, &shown_base);
    }
    headers.insert(RETRIES.clone(), HeaderValue::from(retries));
    headers.insert(FALLBACKS.clone(), HeaderValue::from_static("0"));
    if retries > 0 {
        headers.insert(MAX_RETRIES.clone(), HeaderValue::from(max_retries));
    }
    provider_headers(&core, &deployment, &upstream_headers, &mut headers);

    let body = match content {
        Content::Whole { body, cost } => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            cost_headers(&mut headers, cost);
            let total = began.elapsed();
            set(&mut headers, &DURATION, &milliseconds(total));
            set(&mut headers, &OVERHEAD, &milliseconds(total.saturating_sub(upstream)));
            AnswerBody::Whole(Some(body))
        }
        Content::Stream(stream) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(NO_BUFFERING.clone(), HeaderValue::from_static("no"));
            AnswerBody::Stream(stream)
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// What a client learns beside the error itself.
pub(crate) fn error_headers(error: &AttemptError, headers: &mut HeaderMap) {
    if let Some(deployment) = &error.deployment {
        deployment_headers(headers, deployment, &error.group);
    }
    headers.insert(RETRIES.clone(), HeaderValue::from(error.retries));
    if error.retries > 0 {
        headers.insert(MAX_RETRIES.clone(), HeaderValue::from(error.max_retries));
    }
    headers.insert(FALLBACKS.clone(), HeaderValue::from_static("0"));
    headers.insert(COST.clone(), HeaderValue::from_static("0"));
    if let Some(after) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    let deployment = error.deployment.as_deref();
    for (name, value) in error.headers.iter().filter(|(name, value)| is_shown(name) && !quotes_key(deployment, value)) {
        if let Ok(name) = HeaderName::try_from(format!("llm_provider-{name}")) {
            headers.append(name, value.clone());
        }
    }
}

fn deployment_headers(headers: &mut HeaderMap, deployment: &Deployment, group: &str) {
    set(headers, &MODEL_ID, &deployment.id);
    set(headers, &MODEL_NAME, &deployment.litellm_model);
    set(headers, &MODEL_GROUP, group);
}

/// A price that nobody knows is said, never shown as zero.
fn cost_headers(headers: &mut HeaderMap, cost: Cost) {
    match cost {
        Cost::Known(amount) => set(headers, &COST, &amount.to_usd().to_string()),
        Cost::Free => set(headers, &COST, "0.0"),
        Cost::Unknown => set(headers, &PRICE_STATE, "unknown"),
    }
}

fn provider_headers(core: &Core, deployment: &Deployment, from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from.iter().filter(|(name, value)| is_shown(name) && !quotes_key(Some(deployment), value)) {
        if name.as_str().starts_with("x-ratelimit-") {
            to.append(name.clone(), value.clone());
        }
        if let Some(prefixed) = core.prefixed(name) {
            to.append(prefixed, value.clone());
        }
    }
    let id = from.get(&REQUEST_ID).or_else(|| from.get(&X_REQUEST_ID));
    if let Some(id) = id.filter(|id| !quotes_key(Some(deployment), id)) {
        to.insert(REQUEST_ID.clone(), id.clone());
    }
}

fn is_shown(name: &HeaderName) -> bool {
    !HIDDEN.contains(&name.as_str())
}

/// Whether a provider repeats the credential that it was called with. Nearly every value is too short to.
fn quotes_key(deployment: Option<&Deployment>, value: &HeaderValue) -> bool {
    let key = deployment.and_then(|deployment| deployment.api_key.as_ref()).map_or("", |key| key.expose());
    let is_long = value.len() >= key.len() && !key.is_empty();
    is_long && memchr::memmem::find(value.as_bytes(), key.as_bytes()).is_some()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1_000.0)
}

fn set(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name.clone(), value);
    }
}
