//! The provider's HTTP side: takes a call, notes it, and sends the answer that the conduct asks for.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answers::{self, Answer, HTML_PAGE, Task};
use super::conduct::{self, Conduct, Fault};
use super::ledger::{Entry, Ledger, Sent};

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shop {
    /// Its port: keeps answer ids of several providers apart.
    pub(super) name: u16,
    pub(super) ledger: Ledger,
    pub(super) usual: Conduct,
    pub(super) gate: watch::Receiver<bool>,
    pub(super) connections: Arc<AtomicUsize>,
}

/// Serves until stopped; then every connection is dropped where it stands.
pub(super) async fn until(stop: CancellationToken, listener: TcpListener, shop: Shop) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let serve = async {
        while let Ok((socket, _)) = listener.accept().await {
            shop.connections.fetch_add(1, Ordering::Relaxed);
            let shop = shop.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(shop.clone(), request));
                // A gateway that hangs up is noted in the ledger.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = serve => {}
    }
}

async fn answer(shop: Shop, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let Some(task) = Task::of(&path) else {
        return Ok(plain(&shop, note(&shop, &path, head.headers, &body, 404), 404, "no such path"));
    };
    let conduct = match shop.usual.asked_by(&text_of(&call)) {
        Ok(conduct) => conduct,
        // A story with a typo: 418 is no status that any story expects.
        Err(error) => {
            return Ok(plain(&shop, note(&shop, &path, head.headers, &body, 418), 418, &format!("{error:#}")));
        }
    };
    let number = note(&shop, &path, head.headers, &body, conduct.status);
    let id = id_of(&shop, number);
    let answer = Answer { task, id: &id, call: &call, conduct: &conduct };
    if conduct.status == 200 && conduct.body == conduct::Body::Json {
        shop.ledger.amend(number, |entry| {
            entry.tokens = Some(conduct.tokens);
            entry.usage_told = answer.will_tell_usage();
        });
    }
    sleep(Duration::from_millis(conduct.latency_ms)).await;

    let (sender, pieces) = mpsc::channel(1);
    let (kind, script) = script(&answer);
    tokio::spawn(play(script, conduct.clone(), shop.gate.clone(), sender));
    let mut response = Response::new(Pieces { pieces, ledger: shop.ledger.clone(), number, ended: false });
    *response.status_mut() = StatusCode::from_u16(conduct.status).unwrap_or(StatusCode::IM_A_TEAPOT);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert("x-request-id", id.parse().unwrap_or(header::HeaderValue::from_static("unnamed")));
    if let Some(seconds) = conduct.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// One step of an answer.
enum Step {
    Send(Bytes),
    WaitAtGate,
    Stall,
    Cut,
}

fn script(answer: &Answer<'_>) -> (&'static str, Vec<Step>) {
    let conduct = answer.conduct;
    match conduct.body {
        conduct::Body::Html => return ("text/html", vec![Step::Send(Bytes::from_static(HTML_PAGE.as_bytes()))]),
        conduct::Body::Empty => return ("application/json", Vec::new()),
        conduct::Body::Json => {}
    }
    if conduct.status >= 400 {
        return ("application/json", vec![Step::Send(answers::error(conduct.status).to_string().into())]);
    }
    if answer.call["stream"] == Value::Bool(true) {
        return ("text/event-stream; charset=utf-8", streamed(answer));
    }
    let whole = Bytes::from(answer.whole().to_string());
    let half = whole.slice(..whole.len() / 2);
    let steps = match conduct.fault {
        None if conduct.gate => vec![Step::WaitAtGate, Step::Send(whole)],
        None => vec![Step::Send(whole)],
        Some(Fault::Cut { .. }) => vec![Step::Send(half), Step::Cut],
        Some(Fault::Stall { .. }) => vec![Step::Send(half), Step::Stall],
        Some(Fault::Garble { .. }) => vec![Step::Send(half)],
    };
    ("application/json", steps)
}

fn streamed(answer: &Answer<'_>) -> Vec<Step> {
    let conduct = answer.conduct;
    let event = |event: &Value| Step::Send(format!("data: {event}\n\n").into());
    let (opening, content, closing) = answer.events();
    let mut steps: Vec<Step> = opening.iter().map(event).collect();
    for (sent, piece) in content.iter().chain([&Value::Null]).enumerate() {
        match conduct.fault {
            Some(Fault::Cut { after }) if after == sent => return with(steps, Step::Cut),
            Some(Fault::Stall { after }) if after == sent => return with(steps, Step::Stall),
            Some(Fault::Garble { after }) if after == sent => {
                return with(steps, Step::Send(Bytes::from_static(b"data: {\"id\": \"chatcmpl-\n\n")));
            }
            _ => {}
        }
        if !piece.is_null() {
            steps.push(event(piece));
        }
        if sent == 0 && conduct.gate {
            steps.push(Step::WaitAtGate);
        }
    }
    steps.extend(closing.iter().map(event));
    if conduct.says_done {
        steps.push(Step::Send(Bytes::from_static(b"data: [DONE]\n\n")));
    }
    steps
}

fn with(mut steps: Vec<Step>, last: Step) -> Vec<Step> {
    steps.push(last);
    steps
}

/// Sends the steps one by one. Ends early when nobody listens any more.
async fn play(
    steps: Vec<Step>,
    conduct: Conduct,
    mut gate: watch::Receiver<bool>,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
) {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                for piece in bytes.chunks(conduct.slice_bytes.unwrap_or(usize::MAX)) {
                    if sender.send(Ok(bytes.slice_ref(piece))).await.is_err() {
                        return;
                    }
                }
                sleep(Duration::from_millis(conduct.gap_ms)).await;
            }
            Step::WaitAtGate => {
                tokio::select! {
                    _ = gate.wait_for(|open| *open) => {}
                    () = sender.closed() => return,
                }
            }
            Step::Stall => return sender.closed().await,
            Step::Cut => {
                // Fails only where the gateway has hung up already.
                let _ = sender.send(Err(io::Error::other("cut on purpose"))).await;
                return;
            }
        }
    }
}

fn note(shop: &Shop, path: &str, headers: HeaderMap, body: &Bytes, status: u16) -> usize {
    shop.ledger.open(|number| Entry {
        number,
        arrived: Instant::now(),
        path: path.to_owned(),
        headers,
        body: body.clone(),
        answer_id: id_of(shop, number),
        status,
        tokens: None,
        usage_told: false,
        bytes_sent: 0,
        sent: Sent::Underway,
    })
}

fn id_of(shop: &Shop, number: usize) -> String {
    format!("chatcmpl-fake-{}-{number}", shop.name)
}

fn plain(shop: &Shop, number: usize, status: u16, text: &str) -> Response<Pieces> {
    let (sender, pieces) = mpsc::channel(1);
    // The channel is empty and open.
    let _ = sender.try_send(Ok(Bytes::from(text.to_owned())));
    let mut response = Response::new(Pieces { pieces, ledger: shop.ledger.clone(), number, ended: false });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    response
}

/// All text of a call in which a directive may stand: messages, prompt, input.
fn text_of(call: &Value) -> String {
    let mut text = String::new();
    for value in [&call["messages"], &call["prompt"], &call["input"]] {
        collect_text(value, &mut text);
    }
    text
}

fn collect_text(value: &Value, text: &mut String) {
    match value {
        Value::String(said) => {
            text.push_str(said);
            text.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| collect_text(value, text)),
        Value::Object(members) => members.values().for_each(|value| collect_text(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A body that notes in the ledger what left, and how it ended.
struct Pieces {
    pieces: mpsc::Receiver<Result<Bytes, io::Error>>,
    ledger: Ledger,
    number: usize,
    ended: bool,
}

impl Pieces {
    fn end(&mut self, sent: Sent) {
        self.ended = true;
        self.ledger.amend(self.number, |entry| entry.sent = sent);
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let next = std::task::ready!(this.pieces.poll_recv(cx));
        match &next {
            Some(Ok(bytes)) => this.ledger.amend(this.number, |entry| entry.bytes_sent += bytes.len()),
            Some(Err(_)) => this.end(Sent::BrokenOff),
            None => this.end(Sent::Whole),
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Sent::HungUpOn);
        }
    }
}
