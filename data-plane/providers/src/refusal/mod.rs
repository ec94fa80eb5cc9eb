//! What a provider's refusal means: the words of its body first, its status where the words say nothing.
//!
//! `words` knows the phrases; this page says which phrases count for whom, in which order, and what statuses mean.
//! The rules are LiteLLM's, so that retries and fallbacks fire for the same refusals.

mod words;

use std::time::Duration;

use http::HeaderMap;
use wire::Reply;

use crate::fault::{Fault, FaultClass};
use words::Words;

/// The longest wait that a provider can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose way of refusing it is.
#[derive(Clone, Copy)]
pub(crate) enum Rules {
    Azure,
    /// Everybody who speaks OpenAI and has no rules of their own.
    Compatible,
    HuggingFace,
    Ollama,
    OpenAi,
    Together,
}

impl Rules {
    /// Reads a refusal; `exception` is the provider's name inside the text.
    pub(crate) fn explain(self, exception: &str, refusal: &Reply) -> Fault {
        let status = refusal.status.as_u16();
        let words = Words::of(&refusal.body);
        let class = self.by_words(status, &words).unwrap_or_else(|| self.by_status(status));
        let said = dialects::openai::fault::read_upstream(&refusal.body).message;
        let mut fault = if said.trim().is_empty() {
            Fault::new(class, exception, &format!("status {status} with an empty body"))
        } else {
            Fault::new(class, exception, &said)
        };
        fault.retry_after = retry_after(&refusal.headers);
        fault
    }

    fn by_words(self, status: u16, words: &Words) -> Option<FaultClass> {
        if words.timeout() {
            return Some(FaultClass::Timeout);
        }
        match self {
            Self::Azure => azure(status, words),
            Self::HuggingFace if words.say("length limit exceeded") => Some(FaultClass::ContextWindowExceeded),
            Self::HuggingFace if words.say("rate limit reached") => Some(FaultClass::RateLimit),
            Self::Ollama => ollama(words).or_else(|| openai(status, words)),
            Self::Compatible | Self::HuggingFace | Self::OpenAi | Self::Together => openai(status, words),
        }
    }

    fn by_status(self, status: u16) -> FaultClass {
        match self {
            Self::Azure if status == 500 => FaultClass::Api(500),
            Self::Azure | Self::OpenAi => match status {
                402 | 403 | 405..=407 | 410..=421 | 423..=428 | 430..=499 => FaultClass::Api(status),
                _ => common_status(status),
            },
            Self::HuggingFace => match status {
                402..=407 | 409..=428 | 430..=502 | 504..=599 => FaultClass::Api(status),
                _ => common_status(status),
            },
            Self::Together if status == 524 => FaultClass::Timeout,
            Self::Compatible | Self::Ollama | Self::Together => common_status(status),
        }
    }
}

fn common_status(status: u16) -> FaultClass {
    match status {
        401 => FaultClass::Authentication,
        402 => FaultClass::PaymentRequired,
        403 => FaultClass::PermissionDenied,
        404 => FaultClass::NotFound,
        408 => FaultClass::Timeout,
        409 => FaultClass::Conflict,
        429 => FaultClass::RateLimit,
        // 422 among them: what a provider cannot process, the caller got wrong.
        400 | 405..=407 | 410..=428 | 430..=499 => FaultClass::BadRequest,
        500 => FaultClass::InternalServer,
        502 => FaultClass::BadGateway,
        503 => FaultClass::ServiceUnavailable,
        504 => FaultClass::GatewayTimeout,
        501 | 505..=599 => FaultClass::Api(status),
        // Neither success nor refusal, such as a redirect: no answer that a client could use.
        _ => FaultClass::BadGateway,
    }
}

fn openai(status: u16, words: &Words) -> Option<FaultClass> {
    if words.rate_limit() {
        return Some(FaultClass::RateLimit);
    }
    if words.context_window() {
        return Some(FaultClass::ContextWindowExceeded);
    }
    if words.say("model_not_found") {
        return Some(FaultClass::NotFound);
    }
    if words.say("a timeout occurred") {
        return Some(FaultClass::Timeout);
    }
    if words.content_policy() {
        return Some(FaultClass::ContentPolicyViolation);
    }
    if words.say("invalid_request_error") && !wrong_key(status, words) {
        return Some(FaultClass::BadRequest);
    }
    if words.say("the server had an error") || words.say("web server is returning an unknown error") {
        return Some(FaultClass::InternalServer);
    }
    words.say("request too large").then_some(FaultClass::RateLimit)
}

fn azure(status: u16, words: &Words) -> Option<FaultClass> {
    if words.say("internal server error") {
        return Some(FaultClass::InternalServer);
    }
    if words.context_window() {
        return Some(FaultClass::ContextWindowExceeded);
    }
    if words.say("deploymentnotfound") {
        return Some(FaultClass::NotFound);
    }
    if words.azure_content_policy() {
        return Some(FaultClass::ContentPolicyViolation);
    }
    (words.say("invalid_request_error") && !wrong_key(status, words)).then_some(FaultClass::BadRequest)
}

fn ollama(words: &Words) -> Option<FaultClass> {
    if words.say("no such file or directory") || words.say("invalid response object") {
        return Some(FaultClass::BadRequest);
    }
    if words.say("connection refused") {
        return Some(FaultClass::ServiceUnavailable);
    }
    words.say("read timed out").then_some(FaultClass::Timeout)
}

/// Wrong keys carry `invalid_request_error` too, and must not look like the caller's mistake.
fn wrong_key(status: u16, words: &Words) -> bool {
    status == 401 || words.say("incorrect api key provided") || words.say("invalid_api_key")
}

/// The wait that the headers ask for: `retry-after-ms`, else `retry-after` in seconds. A date is not read, since there
/// is no clock here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| -> Option<f64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
