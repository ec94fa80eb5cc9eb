//! Data planes restart one after the other under load, and no call fails, streams included.
//!
//! The clients keep their connections, and repeat a call as sane HTTP clients do: at the other data plane where one cannot
//! be connected to, and on a new connection where a kept one was closed before any byte of an answer. That this repeats
//! nothing is shown by the provider's ledger, which has each call once.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use acceptance::database;
use acceptance::planes::{SPEND_ARRIVES_WITHIN, chat, streamed_chat};
use acceptance::price::STORY;
use acceptance::wait::eventually;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use crate::world::{MODEL, running};

const CLIENTS: usize = 6;

/// How often every data plane is restarted.
const ROUNDS: usize = 3;

/// Calls that are answered before the next restart begins.
const BETWEEN: usize = 20;

/// No call of a sane client meets more closed connections than this in a row.
const TRIES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_data_planes_one_by_one_fails_no_call_and_loses_no_spend() -> anyhow::Result<()> {
    let (provider, mut planes) = running(2).await?;
    let key = planes.new_key(json!({})).await?;
    for plane in &planes.data {
        let client = plane.client().with_key(&key.secret);
        eventually("the key works", Duration::from_secs(10), async || {
            client.get("/v1/models").await?.ok()?;
            Ok(Some(()))
        })
        .await?;
    }
    let bases = planes.data.iter().map(|plane| plane.base().to_owned()).collect();
    let crowd = Arc::new(Crowd { bases, key: key.secret, answered: AtomicUsize::new(0), over: AtomicBool::new(false) });
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(without_end(Arc::clone(&crowd), number))).collect();

    let restarted = async {
        for _ in 0..ROUNDS {
            for plane in &mut planes.data {
                crowd.goes_on().await?;
                let status = plane.stop().await?;
                ensure!(status.success(), "it ended with {status}");
                plane.start().await?;
            }
        }
        crowd.goes_on().await
    }
    .await;
    crowd.over.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for client in clients {
        // Their failures come first: a client that failed is why calls do not go on.
        calls += client.await??;
    }
    restarted?;

    ensure!(provider.ledger().len() == calls, "{calls} calls reached the provider {} times", provider.ledger().len());
    let booked = planes.booked(calls, SPEND_ARRIVES_WITHIN).await?;
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) == owed, "booked {}, owed {owed}", database::sum(&booked));
    let odd = booked.iter().find(|row| row.ending != "complete" || row.usage_source != "reported");
    ensure!(odd.is_none(), "{odd:#?}");
    planes.end()
}

/// What all clients share.
struct Crowd {
    bases: Vec<String>,
    key: String,
    answered: AtomicUsize,
    over: AtomicBool,
}

impl Crowd {
    async fn goes_on(&self) -> anyhow::Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + BETWEEN;
        eventually("calls go on", Duration::from_secs(30), async || {
            Ok((self.answered.load(Ordering::Relaxed) >= wanted).then_some(()))
        })
        .await
    }

    fn request(&self, at: usize, call: &Bytes) -> anyhow::Result<http::Request<Full<Bytes>>> {
        let base = self.bases.get(at % self.bases.len()).context("no data plane")?;
        let request = http::Request::post(format!("{base}/v1/chat/completions"))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json");
        Ok(request.body(Full::new(call.clone()))?)
    }
}

/// Calls until it is over, on kept connections, plain and streamed in turn; gives how many calls were answered.
async fn without_end(crowd: Arc<Crowd>, number: usize) -> anyhow::Result<usize> {
    let connections = Client::builder(TokioExecutor::new()).build_http();
    let mut calls = 0;
    while !crowd.over.load(Ordering::Relaxed) {
        let words = format!("Client {number} [[fake prompt={} chunks=6 gap_ms={}]]", 1 + calls % 50, 5 * (calls % 20));
        let call = match calls % 2 {
            0 => chat(MODEL, &words),
            _ => streamed_chat(MODEL, &words),
        };
        let call = Bytes::from(serde_json::to_vec(&call)?);
        let answer = answered(&crowd, &connections, number + calls, &call).await;
        let answer = answer.with_context(|| format!("call {calls} of client {number}"))?;
        ensure!(calls % 2 == 0 || answer.ends_with(b"data: [DONE]\n\n"), "a stream without its end: {answer:?}");
        calls += 1;
        crowd.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(calls)
}

async fn answered(
    crowd: &Crowd,
    connections: &Client<HttpConnector, Full<Bytes>>,
    mut at: usize,
    call: &Bytes,
) -> anyhow::Result<Bytes> {
    for _ in 0..TRIES {
        match connections.request(crowd.request(at, call)?).await {
            Ok(answer) => {
                let status = answer.status();
                let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
                ensure!(status == 200, "{status} {body:?}");
                return Ok(body);
            }
            Err(error) if error.is_connect() => at += 1,
            Err(error) if was_closed_before_any_byte(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("{TRIES} connections in a row were closed")
}

/// Whether a connection ended before its answer began, as the end of a kept connection does.
fn was_closed_before_any_byte(error: &Error) -> bool {
    let mut causes = anyhow::Chain::new(error);
    causes.any(|cause| {
        let closed = cause.downcast_ref::<hyper::Error>();
        let broken = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        closed.is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed())
            || matches!(broken, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected))
    })
}
