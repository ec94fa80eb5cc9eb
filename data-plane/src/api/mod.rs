//! The HTTP surface: which path is what. Handlers are a few lines; the work is in `pipeline`.

pub(crate) mod admin;
pub(crate) mod body;
#[cfg(test)]
pub(crate) mod fault;
pub(crate) mod health;
pub(crate) mod model_calls;
pub(crate) mod models;
mod path;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use dialects::Task;
use futures_util::FutureExt as _;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::door::Turn;
use crate::error::ProxyError;
use crate::gateway::{Core, InFlight};
use crate::telemetry::{limits, metrics};
use body::{AnswerBody, Outgoing};

static CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
static VERSION: HeaderName = HeaderName::from_static("x-litellm-version");

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Endpoint<'p> {
    ModelCall {
        task: Task,
        path_model: Option<Cow<'p, str>>,
    },
    Models,
    Model(Cow<'p, str>),
    Liveliness,
    Readiness,
    /// Not ours: the control plane's, or nobody's.
    Other,
}

/// Answers one request. The connection's turn ends when the answer has gone out.
pub(crate) async fn answer(
    core: Rc<Core>,
    client_ip: Rc<str>,
    request: Request<Incoming>,
    turn: Turn,
) -> Response<Outgoing> {
    let call_id = call_id(&core, &request);
    let mut place = None;
    let answered = dispatch(&core, client_ip, request, &call_id, &mut place);
    let answered = AssertUnwindSafe(answered).catch_unwind().await.unwrap_or(Err(ProxyError::Panicked));
    let mut response = answered.unwrap_or_else(|error| {
        metrics::refusal();
        refuse(&core, &error)
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(call_id) {
        headers.insert(&CALL_ID, value);
    }
    headers.entry(&VERSION).or_insert(HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    response.map(|body| Outgoing { body, _turn: turn, _place: place })
}

async fn dispatch(
    core: &Rc<Core>,
    client_ip: Rc<str>,
    request: Request<Incoming>,
    call_id: &str,
    place: &mut Option<InFlight>,
) -> Result<Response<AnswerBody>, ProxyError> {
    let method = request.method();
    let endpoint = path::checked(request.uri().path()).map(endpoint)?;
    if matches!(endpoint, Endpoint::ModelCall { .. } | Endpoint::Other) {
        *place = Some(core.take_call().ok_or_else(busy)?);
    }
    match endpoint {
        Endpoint::ModelCall { task, path_model } if method == Method::POST => {
            let path_model = path_model.map(Cow::into_owned);
            model_calls::call(core, client_ip, request, task, path_model, call_id.to_owned()).await
        }
        Endpoint::Models if method == Method::GET => models::list(core, &client_ip, &request.into_parts().0),
        Endpoint::Model(id) if method == Method::GET => {
            let id = id.into_owned();
            models::one(core, &client_ip, &request.into_parts().0, &id)
        }
        Endpoint::Liveliness if method == Method::GET => Ok(health::liveliness()),
        Endpoint::Readiness if method == Method::GET => Ok(health::readiness(core)),
        // Rare, and large: in a box it does not make every call's future larger.
        Endpoint::Other => Box::pin(admin::forward(core, &client_ip, request)).await,
        Endpoint::ModelCall { .. }
        | Endpoint::Models
        | Endpoint::Model(_)
        | Endpoint::Liveliness
        | Endpoint::Readiness => {
            let (method, path) = (method.to_string(), request.uri().path().to_owned());
            Err(ProxyError::Method { method, path })
        }
    }
}

#[cold]
fn busy() -> ProxyError {
    limits::reached("in_flight");
    ProxyError::Busy
}

/// The response that tells `error`.
pub(crate) fn refuse(core: &Core, error: &ProxyError) -> Response<AnswerBody> {
    let told = error.tell();
    let mut response = body::json(told.status, told.body());
    match error {
        ProxyError::Busy => drop(response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"))),
        ProxyError::Panicked => limits::reached("panic"),
        ProxyError::Attempt(error) => crate::pipeline::relay::error_headers(core, error, response.headers_mut()),
        ProxyError::Admit(error) => error.headers(response.headers_mut()),
        _ => {}
    }
    response
}

/// Finds what `path` asks for, with and without `/v1`.
pub(crate) fn endpoint(path: &str) -> Endpoint<'_> {
    match path {
        "/health/liveliness" | "/health/liveness" => return Endpoint::Liveliness,
        "/health/readiness" => return Endpoint::Readiness,
        "/v1/models" | "/models" => return Endpoint::Models,
        _ => {}
    }
    let task_of = |rest: &str| match rest {
        "chat/completions" => Some(Task::Chat),
        "completions" => Some(Task::Completion),
        "embeddings" => Some(Task::Embedding),
        _ => None,
    };
    let plain = path.strip_prefix("/v1/").or_else(|| path.strip_prefix('/')).unwrap_or(path);
    if let Some(task) = task_of(plain) {
        return Endpoint::ModelCall { task, path_model: None };
    }
    if let Some(id) = plain.strip_prefix("models/").filter(|id| !id.is_empty()) {
        return Endpoint::Model(unescape(id));
    }
    let with_model =
        ["/engines/", "/openai/deployments/", "/v1/engines/"].iter().find_map(|prefix| path.strip_prefix(prefix));
    let Some(rest) = with_model else { return Endpoint::Other };
    for (suffix, task) in
        [("/chat/completions", Task::Chat), ("/completions", Task::Completion), ("/embeddings", Task::Embedding)]
    {
        if let Some(model) = rest.strip_suffix(suffix).filter(|model| !model.is_empty()) {
            return Endpoint::ModelCall { task, path_model: Some(unescape(model)) };
        }
    }
    Endpoint::Other
}

/// A path segment with its `%XX` read; what is not UTF-8 afterwards stays as it is.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The caller's own id for the call where it has a sane length, else a random one.
fn call_id(core: &Core, request: &Request<Incoming>) -> String {
    let own = request.headers().get(&CALL_ID).and_then(|id| id.to_str().ok());
    match own.filter(|id| (1..=256).contains(&id.len())) {
        Some(own) => own.to_owned(),
        None => uuid::Builder::from_random_bytes(core.random(rand::RngExt::random)).into_uuid().to_string(),
    }
}

/// A time-ordered id for something that is booked.
pub(crate) fn event_id(core: &Core, now_ms: i64) -> Uuid {
    let random: [u8; 10] = core.random(rand::RngExt::random);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now_ms).unwrap_or(0), &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(task: Task, model: Option<&str>) -> Endpoint<'_> {
        Endpoint::ModelCall { task, path_model: model.map(Cow::from) }
    }

    #[test]
    fn every_spelling_of_a_route_is_found() {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            assert_eq!(endpoint(path), call(Task::Chat, None));
        }
        assert_eq!(endpoint("/v1/completions"), call(Task::Completion, None));
        assert_eq!(endpoint("/embeddings"), call(Task::Embedding, None));
        assert_eq!(endpoint("/engines/gpt-4o/completions"), call(Task::Completion, Some("gpt-4o")));
        assert_eq!(
            endpoint("/openai/deployments/meta/llama-3/chat/completions"),
            call(Task::Chat, Some("meta/llama-3"))
        );
        assert_eq!(endpoint("/openai/deployments/my%20model/embeddings"), call(Task::Embedding, Some("my model")));
        assert_eq!(endpoint("/v1/models"), Endpoint::Models);
        assert_eq!(endpoint("/v1/models/a/b"), Endpoint::Model("a/b".into()));
        assert_eq!(endpoint("/key/generate"), Endpoint::Other);
        assert_eq!(endpoint("/engines//completions"), Endpoint::Other);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(unescape("a%2Fb"), "a/b");
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz%2"), "%zz%2");
        assert_eq!(unescape("%ff"), "%ff");
    }
}
