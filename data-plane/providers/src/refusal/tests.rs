//! Refusals as they come, and what they must be understood as.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use wire::Reply;

use crate::fault::{Fault, FaultClass, Retry};
use crate::table::find;

fn refusal(status: u16, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_owned()),
    }
}

fn explain(provider: &str, status: u16, body: &str) -> Fault {
    find(provider).expect("a provider").explain(&refusal(status, body))
}

/// An error as OpenAI writes it.
fn error(kind: &str, code: &str, message: &str) -> String {
    serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}

#[test]
fn statuses_mean_what_litellm_says_they_mean() {
    use FaultClass as F;
    for (status, openai, azure, groq, huggingface) in [
        (400, F::BadRequest, F::BadRequest, F::BadRequest, F::BadRequest),
        (401, F::Authentication, F::Authentication, F::Authentication, F::Authentication),
        (402, F::Api(402), F::Api(402), F::PaymentRequired, F::Api(402)),
        (403, F::Api(403), F::Api(403), F::PermissionDenied, F::Api(403)),
        (404, F::NotFound, F::NotFound, F::NotFound, F::Api(404)),
        (408, F::Timeout, F::Timeout, F::Timeout, F::Timeout),
        (409, F::Conflict, F::Conflict, F::Conflict, F::Api(409)),
        (413, F::Api(413), F::Api(413), F::BadRequest, F::Api(413)),
        (422, F::BadRequest, F::BadRequest, F::BadRequest, F::Api(422)),
        (429, F::RateLimit, F::RateLimit, F::RateLimit, F::RateLimit),
        (500, F::InternalServer, F::Api(500), F::InternalServer, F::Api(500)),
        (501, F::Api(501), F::Api(501), F::Api(501), F::Api(501)),
        (502, F::BadGateway, F::BadGateway, F::BadGateway, F::Api(502)),
        (503, F::ServiceUnavailable, F::ServiceUnavailable, F::ServiceUnavailable, F::ServiceUnavailable),
        (504, F::GatewayTimeout, F::GatewayTimeout, F::GatewayTimeout, F::Api(504)),
        (529, F::Api(529), F::Api(529), F::Api(529), F::Api(529)),
    ] {
        for (provider, class) in [("openai", openai), ("azure", azure), ("groq", groq), ("huggingface", huggingface)] {
            assert_eq!(explain(provider, status, r#"{"detail":"no"}"#).class, class, "{provider} {status}");
        }
    }
    assert_eq!(explain("together_ai", 524, "").class, F::Timeout);
    assert_eq!(explain("openai", 302, "").class, F::BadGateway);
}

#[test]
fn words_come_before_statuses_at_openai_and_all_who_speak_like_it() {
    use FaultClass as F;
    let invalid = "invalid_request_error";
    for (status, body, class) in [
        (400, "Request timed out.".to_owned(), F::Timeout),
        (500, "The read operation timed out".to_owned(), F::Timeout),
        (400, error("", "", "Rate limit reached for gpt-4"), F::RateLimit),
        (400, error("rate_limit_exceeded", "", "slow down"), F::RateLimit),
        (400, error("", "", "Service tier capacity exceeded for this model."), F::RateLimit),
        (400, error(invalid, "", "the tokens 1, 429, 7 are too many"), F::BadRequest),
        (
            400,
            error(invalid, "context_length_exceeded", "This model's maximum context length is 8192 tokens."),
            F::ContextWindowExceeded,
        ),
        (400, error("", "", "Input tokens exceed the configured limit of 10"), F::ContextWindowExceeded),
        (500, error("", "", "the request exceeds the available context size"), F::ContextWindowExceeded),
        (400, error("", "", "Current length is 9000 while limit is 8192"), F::ContextWindowExceeded),
        (
            400,
            error(invalid, "string_above_max_length", "String too long. Expected a string with maximum length 64"),
            F::BadRequest,
        ),
        (
            400,
            error(invalid, "", "Invalid 'user': string too long. Expected a string with maximum length 64"),
            F::BadRequest,
        ),
        (400, error(invalid, "model_not_found", "The model `x` does not exist"), F::NotFound),
        (500, error("", "", "A timeout occurred"), F::Timeout),
        (400, error(invalid, "content_policy_violation", "no"), F::ContentPolicyViolation),
        (400, error("", "", "Your request was rejected as a result of the safety system."), F::ContentPolicyViolation),
        (
            400,
            error("", "", "Invalid prompt: flagged as potentially violating our usage policy"),
            F::ContentPolicyViolation,
        ),
        (403, error(invalid, "", "no"), F::BadRequest),
        (401, error(invalid, "invalid_api_key", "Incorrect API key provided: sk-abcdefghijklmnop"), F::Authentication),
        (401, error(invalid, "", "You didn't provide an API key."), F::Authentication),
        (400, error("server_error", "", "The server had an error while processing your request"), F::InternalServer),
        (413, error("", "", "Request too large for gpt-4o"), F::RateLimit),
        (429, error("insufficient_quota", "insufficient_quota", "You exceeded your current quota"), F::RateLimit),
    ] {
        for provider in ["openai", "mistral", "together_ai", "ollama"] {
            assert_eq!(explain(provider, status, &body).class, class, "{provider} {status} {body}");
        }
    }
}

#[test]
fn azure_has_words_of_its_own() {
    use FaultClass as F;
    let invalid = "invalid_request_error";
    for (status, body, class) in [
        (400, error("", "", "Internal server error"), F::InternalServer),
        (400, error("", "", "This model's maximum context length is 8192"), F::ContextWindowExceeded),
        (400, error("", "DeploymentNotFound", "The API deployment for this resource does not exist."), F::NotFound),
        (
            400,
            r#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#.to_owned(),
            F::ContentPolicyViolation,
        ),
        (
            400,
            error(
                "",
                "",
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            ),
            F::ContentPolicyViolation,
        ),
        (422, error(invalid, "", "no"), F::BadRequest),
        (401, error(invalid, "401", "Access denied due to invalid subscription key"), F::Authentication),
        (429, error("", "429", "Requests have exceeded the call rate limit"), F::RateLimit),
    ] {
        assert_eq!(explain("azure", status, &body).class, class, "{status} {body}");
    }
}

#[test]
fn hugging_face_and_ollama_have_words_of_their_own() {
    assert_eq!(explain("huggingface", 400, "length limit exceeded").class, FaultClass::ContextWindowExceeded);
    assert_eq!(explain("huggingface", 400, "Rate limit reached").class, FaultClass::RateLimit);
    assert_eq!(explain("ollama", 500, "open /x: no such file or directory").class, FaultClass::BadRequest);
    assert_eq!(explain("ollama_chat", 500, "dial tcp: connection refused").class, FaultClass::ServiceUnavailable);
    assert_eq!(explain("ollama", 500, "read timed out").class, FaultClass::Timeout);
    assert_eq!(explain("groq", 500, "dial tcp: connection refused").class, FaultClass::InternalServer);
}

#[test]
fn texts_name_the_provider_and_quote_it() {
    let body = error("invalid_request_error", "", "`n` is too large");
    assert_eq!(explain("openai", 400, &body).message, "litellm.BadRequestError: OpenAIException - `n` is too large");
    let body = error("", "", "slow down");
    assert_eq!(
        explain("azure", 429, &body).message,
        "litellm.RateLimitError: AzureException RateLimitError - slow down"
    );
    assert_eq!(
        explain("together_ai", 429, &body).message,
        "litellm.RateLimitError: RateLimitError: Together_aiException - slow down"
    );
}

#[test]
fn a_page_of_html_is_not_passed_on() {
    let page =
        format!("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>{}</html>", "<p>x</p>".repeat(9000));
    let fault = explain("openai", 502, &page);
    assert_eq!(fault.class, FaultClass::BadGateway);
    assert!(fault.message.len() < 1000, "{}", fault.message);
    assert!(!fault.message.contains("<p>"), "{}", fault.message);
}

#[test]
fn an_empty_body_says_so() {
    let fault = explain("openai", 503, " \n");
    assert_eq!(fault.class, FaultClass::ServiceUnavailable);
    assert!(fault.message.ends_with("OpenAIException - status 503 with an empty body"), "{}", fault.message);
}

#[test]
fn a_quoted_key_is_not_passed_on() {
    let body =
        error("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-proj-0123456789abcdef.");
    let fault = explain("openai", 401, &body);
    assert!(!fault.message.contains("0123456789"), "{}", fault.message);
}

#[test]
fn bodies_of_any_bytes_and_size_are_understood_as_far_as_they_go() {
    let mut body = vec![0xff_u8; 3 << 20];
    body.extend_from_slice(b"rate limit");
    let reply = Reply { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Bytes::from(body) };
    let fault = find("openai").expect("openai").explain(&reply);
    assert_eq!(fault.class, FaultClass::BadRequest);
    assert!(fault.message.len() < 5000);
}

#[test]
fn the_wait_a_provider_asks_for_is_bounded() {
    let wait = |name: &'static str, value: &'static str| {
        let mut reply = refusal(429, "");
        reply.headers.insert(name, HeaderValue::from_static(value));
        find("openai").expect("openai").explain(&reply).retry_after
    };
    assert_eq!(wait("retry-after", "20"), Some(Duration::from_secs(20)));
    assert_eq!(wait("retry-after", "0.5"), Some(Duration::from_millis(500)));
    assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
    assert_eq!(wait("retry-after", "99999999999"), Some(Duration::from_secs(86_400)));
    for odd in ["-1", "soon", "NaN", "inf", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        assert_eq!(wait("retry-after", odd), None, "{odd}");
    }
}

#[test]
fn only_what_may_pass_is_retried() {
    for (provider, status, retry) in [
        ("openai", 400, Retry::Never),
        ("openai", 401, Retry::Elsewhere),
        ("groq", 403, Retry::Elsewhere),
        ("openai", 404, Retry::Never),
        ("openai", 413, Retry::Never),
        ("openai", 409, Retry::Anywhere),
        ("openai", 429, Retry::Anywhere),
        ("openai", 529, Retry::Anywhere),
    ] {
        assert_eq!(explain(provider, status, "").class.retry(), retry, "{provider} {status}");
    }
}
