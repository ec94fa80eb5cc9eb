//! The whole data plane in one process, alone: it starts from a disk copy, its control plane is never there.

mod panics;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::{KeyHash, v1 as pb};
use tokio_util::sync::CancellationToken;

use crate::ledger::recover::leftovers;
use crate::ledger::segment::{RecordKind, Segment};
use crate::seal::Seal;
use crate::settings::{ForwardAdmin, Settings, SpoolFull};
use crate::snapshot::Version;
use crate::snapshot::disk::Disk;

const ANSWER: &str = r#"{"id":"chatcmpl-7","model":"upstream-name","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15},"odd_field":{"kept":true}}"#;

struct Alone {
    address: SocketAddr,
    state: tempfile::TempDir,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// A provider that answers every call the same way: whole, or as a stream when asked for one.
async fn provider() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper::service::service_fn(|request: Request<Incoming>| async {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["model"], "upstream-name");
                assert!(body.get("metadata").is_none(), "ours stays ours");
                Ok::<_, Infallible>(match body["stream"].as_bool() {
                    Some(true) => {
                        assert_eq!(body["stream_options"]["include_usage"], true);
                        let events = [
                            r#"{"id":"chatcmpl-8","model":"upstream-name","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}"#,
                            r#"{"id":"chatcmpl-8","model":"upstream-name","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                            r#"{"id":"chatcmpl-8","model":"upstream-name","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#,
                            "[DONE]",
                        ];
                        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
                        Response::builder()
                            .header("content-type", "text/event-stream")
                            .body(Full::<Bytes>::from(text))
                            .unwrap()
                    }
                    _ => Response::new(Full::<Bytes>::from(ANSWER)),
                })
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn resources(provider: SocketAddr) -> Vec<pb::Resource> {
    let rate = |unit: pb::Unit, femto_usd| pb::Rate { unit: unit.into(), above_tokens: 0, tier: 0, femto_usd };
    let price = pb::Price {
        state: pb::PriceState::Known.into(),
        rates: vec![rate(pb::Unit::InputToken, 2_000_000_000), rate(pb::Unit::OutputToken, 10_000_000_000)],
        source: "custom".into(),
    };
    let deployment = pb::Deployment {
        id: "d-1".into(),
        model_name: "gpt".into(),
        provider: "openai".into(),
        upstream_model: "upstream-name".into(),
        litellm_model: "openai/upstream-name".into(),
        api_base: format!("http://{provider}/v1"),
        api_key: "provider-secret".into(),
        max_retries: -1,
        price: Some(price),
        ..Default::default()
    };
    let key = pb::Key {
        hash: KeyHash::of("sk-client").as_bytes().to_vec().into(),
        models: vec!["gpt".into()],
        ..Default::default()
    };
    let settings = pb::Settings { num_retries: 0, ..Default::default() };
    [pb::resource::Body::Deployment(deployment), pb::resource::Body::Key(key), pb::resource::Body::Settings(settings)]
        .map(|body| pb::Resource { required_features: Vec::new(), body: Some(body) })
        .to_vec()
}

async fn start() -> Alone {
    start_at(provider().await).await
}

async fn start_at(provider: SocketAddr) -> Alone {
    let state = tempfile::tempdir().unwrap();
    let seal = Seal::of_state(state.path(), None).unwrap();
    let mut disk = Disk::open(state.path().join("snapshot"), seal).unwrap();
    disk.write_base(Version { epoch: [1; 16], revision: 4 }, &resources(provider)).unwrap();

    let listeners = crate::listen::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let settings = Settings {
        control_plane: "unix:/nowhere/control.sock".into(),
        join_token: None,
        state_dir: state.path().to_owned(),
        state_key_file: None,
        forward_admin: ForwardAdmin::On,
        max_body_bytes: 1 << 20,
        spool_max_bytes: 1 << 30,
        spool_full: SpoolFull::Refuse,
        drain: Duration::from_secs(5),
        linger: Duration::ZERO,
        limits: crate::door::limits::tests::given(&[]),
        redis: None,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(crate::run(settings, listeners, stop.clone()));
    Alone { address, state, stop, running }
}

impl Alone {
    async fn post(&self, key: &str, body: &str) -> (http::response::Parts, Bytes) {
        let request = Request::post(format!("http://{}/v1/chat/completions", self.address))
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    }

    /// Stops the data plane and reads what it left to deliver.
    async fn stop(self) -> Vec<pb::UsageEvent> {
        self.stop.cancel();
        let spool = self.state.path().join("spool");
        // Delivery waits for the control plane that never comes: the spool is read while it does.
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let events = loop {
            tick.tick().await;
            let events = closings(&spool);
            if !events.is_empty() || tokio::time::Instant::now() > deadline {
                break events;
            }
        };
        self.running.abort();
        assert!(leftovers(&spool).unwrap().interrupted.is_empty());
        events
    }
}

fn closings(spool: &std::path::Path) -> Vec<pb::UsageEvent> {
    use prost::Message as _;
    let mut events = Vec::new();
    for entry in std::fs::read_dir(spool).unwrap() {
        let segment = Segment::reopen(entry.unwrap().path()).unwrap();
        let records = segment.read(0, 1 << 20).unwrap().records;
        let closings = records.into_iter().filter(|record| record.kind == RecordKind::Closing);
        events.extend(closings.map(|record| pb::UsageEvent::decode(record.payload).unwrap()));
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_served_priced_and_spooled_without_a_control_plane() {
    let alone = start().await;
    let call = r#"{"model":"gpt","messages":[{"role":"user","content":"hello"}],"metadata":{"a":1},"tags":["t"]}"#;
    let (head, body) = alone.post("sk-client", call).await;
    assert_eq!(head.status, 200, "{body:?}");
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["model"], "gpt");
    assert_eq!(answer["odd_field"]["kept"], true);
    assert_eq!(head.headers["x-litellm-model-id"], "d-1");
    assert_eq!(head.headers["x-litellm-response-cost"], "0.000054");

    let events = alone.stop().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].cost_nano_usd, 12 * 2_000 + 3 * 10_000);
    assert_eq!(events[0].ending(), pb::Ending::Complete);
    assert_eq!(events[0].request_id, "chatcmpl-7");
    assert_eq!(events[0].tags, ["t"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_restamped_its_hidden_usage_hidden_and_booked() {
    let alone = start().await;
    let call = r#"{"model":"gpt","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
    let (head, body) = alone.post("sk-client", call).await;
    assert_eq!(head.headers["content-type"], "text/event-stream; charset=utf-8");
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(!text.contains("upstream-name") && !text.contains("usage"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(text.matches(r#""model":"gpt""#).count(), 2);

    let events = alone.stop().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].tokens.unwrap().total, 6);
    assert!(events[0].first_byte_at_ms > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_in_the_envelope() {
    let alone = start().await;
    let hash = KeyHash::of("sk-client").to_string();
    let cases = [
        ("sk-wrong-key", r#"{"model":"gpt","messages":[]}"#, 401, "token_not_found_in_db"),
        (hash.as_str(), r#"{"model":"gpt","messages":[]}"#, 401, "auth_error"),
        ("sk-client", r#"{"model":"gpt","messages":[}"#, 400, "invalid_request_error"),
        ("sk-client", r#"{"model":7,"messages":[]}"#, 400, "invalid_request_error"),
        ("sk-client", r#"{"model":"gpt"}"#, 400, "invalid_request_error"),
        ("sk-client", r#"{"messages":[]}"#, 400, "invalid_request_error"),
        ("sk-client", r#"{"model":"other","messages":[]}"#, 403, "key_model_access_denied"),
        ("sk-client", r#"{"model":"gpt","messages":[],"api_base":"http://evil"}"#, 401, "auth_error"),
    ];
    for (key, body, status, kind) in cases {
        let (head, answer) = alone.post(key, body).await;
        assert_eq!(head.status.as_u16(), status, "{body}: {answer:?}");
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["error"]["type"], kind, "{body}: {answer}");
        assert_eq!(answer["error"]["code"], status.to_string());
        assert!(head.headers.contains_key("x-litellm-call-id"));
    }
    let huge = format!(r#"{{"model":"gpt","messages":["{}"]}}"#, "x".repeat(2 << 20));
    assert_eq!(alone.post("sk-client", &huge).await.0.status, 413);
    alone.running.abort();
}
