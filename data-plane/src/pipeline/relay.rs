//! The answer as the client gets it: LiteLLM's headers, and the provider's own under `llm_provider-`.

use std::rc::Rc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use proto::price::Cost;

use super::admit::Permit;
use super::attempt::{Answer, AttemptError, Content};
use super::figures;
use super::provider_headers::quotes;
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
    PRICE_STATE = "x-turnpike-price";
    NO_BUFFERING = "x-accel-buffering";
    REQUEST_ID = "request-id";
    X_REQUEST_ID = "x-request-id";
}

/// Makes the response of an answer.
pub(crate) fn relay(core: Rc<Core>, answer: Answer, permit: &Permit) -> Response<AnswerBody> {
    let Answer {
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
    deployment_headers(&mut headers, &deployment, &group);
    if let Some(shown_base) = shown_base {
        headers.insert(&API_BASE, shown_base);
    }
    headers.insert(&RETRIES, HeaderValue::from(retries));
    headers.insert(&FALLBACKS, HeaderValue::from_static("0"));
    if retries > 0 {
        headers.insert(&MAX_RETRIES, HeaderValue::from(max_retries));
    }
    provider_headers(&core, &deployment, &upstream_headers, &mut headers);
    permit.show(&mut headers, core.gateway.clock.now_ms());

    let body = match content {
        Content::Whole { body, cost } => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            cost_headers(&mut headers, cost);
            let total = began.elapsed();
            headers.insert(&DURATION, figures::milliseconds(total));
            headers.insert(&OVERHEAD, figures::milliseconds(total.saturating_sub(upstream)));
            AnswerBody::Whole(Some(body))
        }
        Content::Stream(stream) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(&NO_BUFFERING, HeaderValue::from_static("no"));
            AnswerBody::Stream(stream)
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// What a client learns beside the error itself.
pub(crate) fn error_headers(core: &Core, error: &AttemptError, headers: &mut HeaderMap) {
    if let Some(deployment) = &error.deployment {
        deployment_headers(headers, deployment, &error.group);
    }
    headers.insert(&RETRIES, HeaderValue::from(error.retries));
    if error.retries > 0 {
        headers.insert(&MAX_RETRIES, HeaderValue::from(error.max_retries));
    }
    headers.insert(&FALLBACKS, HeaderValue::from_static("0"));
    headers.insert(&COST, HeaderValue::from_static("0"));
    if let Some(after) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    let key = error.deployment.as_deref().and_then(|deployment| deployment.api_key.as_ref());
    core.provider_headers.show(&error.headers, key, headers);
}

fn deployment_headers(headers: &mut HeaderMap, deployment: &Deployment, group: &str) {
    for (name, value) in [(&MODEL_ID, &deployment.shown.id), (&MODEL_NAME, &deployment.shown.litellm_model)] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    let group = match group == deployment.model_name.as_ref() {
        true => deployment.shown.model_name.clone(),
        false => HeaderValue::try_from(group).ok(),
    };
    if let Some(group) = group {
        headers.insert(&MODEL_GROUP, group);
    }
}

/// A price that nobody knows is said, never shown as zero.
fn cost_headers(headers: &mut HeaderMap, cost: Cost) {
    match cost {
        Cost::Known(amount) => headers.insert(&COST, figures::dollars(amount)),
        Cost::Free => headers.insert(&COST, HeaderValue::from_static("0.0")),
        Cost::Unknown => headers.insert(&PRICE_STATE, HeaderValue::from_static("unknown")),
    };
}

fn provider_headers(core: &Core, deployment: &Deployment, from: &HeaderMap, to: &mut HeaderMap) {
    let key = deployment.api_key.as_ref();
    core.provider_headers.show(from, key, to);
    let id = from.get(&REQUEST_ID).or_else(|| from.get(&X_REQUEST_ID));
    if let Some(id) = id.filter(|id| !quotes(key, id)) {
        to.insert(&REQUEST_ID, id.clone());
    }
}
