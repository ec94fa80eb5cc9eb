//! A panic in one call is that call's alone: it ends in words, it is booked, and others go on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::api::fault;

const CALL: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hello"}]}"#;
const STREAM: &str = r#"{"model":"gpt","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

/// A provider whose streams come piece by piece; the second piece has the text that makes the relay panic.
async fn slow_provider() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                let here = std::str::from_utf8(fault::TEXT).unwrap();
                let event =
                    |text: &str| format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
                let usage =
                    r#"{"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;
                for data in [event("first"), event(here), usage.to_owned(), "[DONE]".to_owned()] {
                    let data = format!("data: {data}\n\n");
                    let chunk = format!("{:x}\r\n{data}\r\n", data.len());
                    // Whoever has hung up need not hear the rest.
                    if stream.write_all(chunk.as_bytes()).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let _ = stream.write_all(b"0\r\n\r\n").await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_a_500_for_its_call_and_the_next_one_is_served() {
    let alone = start().await;
    let request = Request::post(format!("http://{}/v1/chat/completions", alone.address))
        .header("authorization", "Bearer sk-client")
        .header("x-litellm-call-id", fault::CALL)
        .body(Full::new(Bytes::from_static(CALL.as_bytes())))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.status(), 500);
    let body: serde_json::Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["error"]["message"], "Internal server error");
    assert_eq!(alone.post("sk-client", CALL).await.0.status, 200);
    let events = alone.stop().await;
    assert_eq!(events.len(), 2, "the provider was paid for both");
    assert!(events.iter().all(|event| event.ending() == pb::Ending::Complete));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_middle_of_a_stream_ends_it_in_words_and_books_what_the_provider_did() {
    let alone = start_at(slow_provider().await).await;
    let (head, body) = alone.post("sk-client", STREAM).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(head.status, 200);
    assert!(text.contains("first") && !text.contains("panic-here"), "{text}");
    let last = text.trim_end().rsplit("data: ").next().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["message"], "Internal server error");

    // The same thread goes on serving.
    let (head, _) = alone.post("sk-client", "{}").await;
    assert_eq!(head.status, 400);
    let events = alone.stop().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].ending(), pb::Ending::ClientLeft);
    assert_eq!((events[0].usage_source(), events[0].tokens.unwrap().total), (pb::UsageSource::Reported, 6));
}
