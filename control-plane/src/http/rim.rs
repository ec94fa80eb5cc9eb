//! What happens around every admin call: a request id in the log, a time limit, a panic that ends one call only, and a
//! body that is JSON before anybody asks who sent it.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use uuid::Uuid;

use super::body::{collect, parse};
use super::caller::ClientAddress;
use super::pace::{self, Pace};
use super::path;
use crate::error::{Envelope, InputError};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names a call in our log.
const REQUEST_ID: &str = "x-turnpike-request-id";

/// Headers that decide something, and that therefore stand in a call once.
const ONCE: [&str; 6] = ["authorization", "x-litellm-api-key", "api-key", "x-api-key", "host", "content-length"];

/// The router with everything that belongs around it.
pub(super) fn around(router: Router, calls_per_second: Option<NonZeroU32>) -> Router {
    let router = router.layer(middleware::from_fn(read_whole));
    let router = match calls_per_second.map(Pace::new) {
        Some(pace) => {
            router.layer(middleware::from_fn(move |request, next| pace::keep(Arc::clone(&pace), request, next)))
        }
        None => router,
    };
    router
        .layer(middleware::from_fn(unambiguous))
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(broken))
        .layer(middleware::from_fn(traced))
}

/// Reads the body and refuses what is no JSON. LiteLLM does this before authentication, so clients that send both a bad
/// body and a bad key expect to hear of the body.
async fn read_whole(request: Request, next: Next) -> Result<Response, InputError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = collect(body).await?;
    parse(&bytes)?;
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

/// Refuses a call that says twice who sends it: a proxy in front may have looked at the other one.
async fn unambiguous(request: Request, next: Next) -> Response {
    let headers = request.headers();
    match ONCE.iter().find(|name| headers.get_all(**name).iter().nth(1).is_some()) {
        None => next.run(request).await,
        Some(name) => {
            let message = format!("The header `{name}` is given twice.");
            Envelope::error(StatusCode::BAD_REQUEST, "invalid_request_error", Some(name), message).into_response()
        }
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!("The control plane did not answer within {} seconds. Try again.", PATIENCE.as_secs());
            Envelope::error(StatusCode::GATEWAY_TIMEOUT, "timeout_error", None, message).into_response()
        }
    }
}

fn broken(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("(no text)"), "a call panicked");
    Envelope::broken().into_response()
}

/// Logs the call under an id that the caller gets too. The query stays out of the log: keys may be in it.
async fn traced(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    let client = request.extensions().get::<ClientAddress>().and_then(|client| client.0);
    let span = tracing::info_span!(
        "admin",
        %id,
        method = %request.method(),
        path = %path::shown(request.uri().path()),
        client = client.map(tracing::field::display),
    );
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), took_ms, "answered"));
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::body::BODY_BYTES;

    #[allow(clippy::unused_async, reason = "handlers are async")]
    async fn panics() -> &'static str {
        panic!("on purpose")
    }

    async fn call(method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let router = Router::new().route("/echo", post(async |text: String| text)).route("/panic", get(panics));
        let router = around(router, None);
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert!(response.headers().contains_key(REQUEST_ID));
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_is_a_400_and_one_too_large_a_413() {
        let (status, body) = call("POST", "/echo", "{\"a\": }").await;
        assert_eq!((status, &body["error"]["type"]), (400, &"invalid_request_error".into()));
        assert_eq!(body["error"]["param"], "request_body");
        assert_eq!(call("POST", "/echo", vec![b' '; BODY_BYTES + 1]).await.0, 413);
        assert_eq!(call("POST", "/echo", "{\"a\": 1}").await, (200, serde_json::json!({"a": 1})));
    }

    #[tokio::test]
    async fn a_panic_ends_one_call_and_tells_nothing() {
        let (status, body) = call("GET", "/panic", "").await;
        assert_eq!(status, 500);
        assert_eq!(body["error"]["message"], "Internal server error");
    }
}
