//! A small HTTP client for admin and model calls: whole answers, and event streams read as they come.
//!
//! Every call has its own connection: a plane that was killed and started again never meets a stale one, and calls spread
//! over the listeners of all its threads.

mod events;

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub use self::events::Events;

/// No call of a story takes longer unless something hangs.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Calls one address with one key.
#[derive(Clone)]
pub struct Client {
    base: String,
    headers: HeaderMap,
    connections: Connections<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// Calls `base` (such as `http://127.0.0.1:4000`) without a key.
    pub fn of(base: impl Into<String>) -> Self {
        let connections = Connections::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { base: base.into(), headers: HeaderMap::new(), connections }
    }

    /// The same address with this key.
    pub fn with_key(&self, key: &str) -> Self {
        let mut client = self.clone();
        client.headers.remove(header::AUTHORIZATION);
        client.with_header("authorization", &format!("Bearer {key}"))
    }

    /// The same with one more header. A header that HTTP cannot carry is left out.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            client.headers.insert(name, value);
        }
        client
    }

    /// The address called.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.whole(Method::GET, path, Bytes::new()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.post_bytes(path, serde_json::to_vec(body)?).await
    }

    /// PATCH with JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.whole(Method::PATCH, path, serde_json::to_vec(body)?.into()).await
    }

    /// POST of anything, said to be JSON.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Reply> {
        self.whole(Method::POST, path, body.into()).await
    }

    /// POST whose answer is read event by event. The answer's head has arrived when this returns.
    pub async fn stream(&self, path: &str, body: &Value) -> anyhow::Result<Events> {
        let request = self.request(Method::POST, path, serde_json::to_vec(body)?.into())?;
        let answer = tokio::time::timeout(CALL_DEADLINE, self.connections.request(request)).await;
        let (head, body) = answer.with_context(|| format!("no answer from POST {path}"))??.into_parts();
        Ok(Events::new(head.status.as_u16(), head.headers, body))
    }

    async fn whole(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Reply> {
        let what = format!("{method} {}{path}", self.base);
        let request = self.request(method, path, body)?;
        let call = async {
            let (head, body) = self.connections.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        let reply = tokio::time::timeout(CALL_DEADLINE, call).await;
        reply.with_context(|| format!("{what}: no answer within {CALL_DEADLINE:?}"))?.context(what)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).body(Full::new(body))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

/// A whole answer.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON in {self}"))
    }

    /// The body as JSON of an answer that must be 200.
    pub fn ok(&self) -> anyhow::Result<Value> {
        ensure!(self.status == StatusCode::OK.as_u16(), "expected 200, got {self}");
        self.json()
    }

    /// A header's value, where there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header's value, where there must be one.
    pub fn must_have(&self, name: &str) -> anyhow::Result<&str> {
        self.header(name).with_context(|| format!("no header `{name}` in {self}; has {:?}", self.headers))
    }

    /// The error in the envelope that this answer must be: `{"error": {message, type, param, code}}`, with the status as
    /// text in `code` and the call's id beside it.
    pub fn refusal(&self, status: u16) -> anyhow::Result<Refusal> {
        ensure!(self.status == status, "expected {status}, got {self}");
        Refusal::read(&self.json()?, status).with_context(|| format!("the envelope of {self}"))
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(self.body.get(..600).unwrap_or(&self.body)))
    }
}

/// What LiteLLM's error envelope says.
#[derive(Debug)]
pub struct Refusal {
    pub message: String,
    pub kind: String,
    pub param: Value,
}

impl Refusal {
    /// Reads the envelope, all four members of which must be there.
    pub fn read(body: &Value, status: u16) -> anyhow::Result<Self> {
        let error = body.get("error").context("no member `error`")?;
        let message = error["message"].as_str().context("`message` is no text")?.to_owned();
        let kind = error["type"].as_str().context("`type` is no text")?.to_owned();
        let param = error.get("param").context("no member `param`")?.clone();
        let code = error["code"].as_str().context("`code` is no text")?;
        ensure!(!message.is_empty() && !kind.is_empty(), "`message` or `type` is empty");
        ensure!(code == status.to_string(), "`code` is {code}, the status {status}");
        Ok(Self { message, kind, param })
    }
}
