//! Slow heads, slow bodies, slow readers, and connections that only sit there.

use std::time::Duration;

use acceptance::metrics::Metrics;
use acceptance::planes::{SPEND_ARRIVES_WITHIN, streamed_chat};
use acceptance::raw::{Raw, RawReply, post};
use acceptance::wait::eventually;
use anyhow::ensure;
use serde_json::json;
use tokio::time::{Instant, interval};

use super::{CHAT, SOON, good, serves};
use crate::world::{MODEL, running};

#[tokio::test]
async fn who_is_slow_is_hung_up_on_and_who_is_not_is_served() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let settings = [
        ("TURNPIKE_HEAD_SECONDS", "1"),
        ("TURNPIKE_IDLE_SECONDS", "4"),
        ("TURNPIKE_BODY_SECONDS", "5"),
        ("TURNPIKE_BODY_GRACE_SECONDS", "1"),
    ];
    let metrics = Metrics::restarted(&mut planes, 0, &settings).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let call = good(&key.secret);

    // One byte now and then never makes a head.
    let began = Instant::now();
    let reply = trickled(&base, "", call.as_bytes()).await?;
    ensure!(reply.status == 408, "a slow head: {reply:?}");
    ensure!(began.elapsed() >= Duration::from_secs(1), "it had no time: {:?}", began.elapsed());
    ensure!(metrics.limit("head_too_slow").await? == 1);

    // The head is whole, the body is not: it does not come at all, or at a byte at a time.
    let (head, body) = call.split_once("\r\n\r\n").unwrap_or_default();
    let head = format!("{head}\r\n\r\n");
    for sent in [&body.as_bytes()[..0], body.as_bytes()] {
        let reply = trickled(&base, &head, sent).await?;
        ensure!(reply.status == 408, "a slow body: {reply:?}");
        ensure!(reply.json()?["error"]["message"].as_str().is_some_and(|text| text.contains("slowly")), "{reply:?}");
    }
    ensure!(metrics.limit("body_too_slow").await? == 2);

    // A client who is only unhurried is served: the head in two pieces, the body in two, a pause between calls.
    let mut raw = Raw::connect(&base).await?;
    for _ in 0..2 {
        let (one, other) = call.split_at(call.len() / 3);
        raw.send(one).await?;
        ensure!(raw.stays_open(Duration::from_millis(300)).await?);
        raw.send(other).await?;
        ensure!(raw.reply(SOON).await?.status == 200);
        ensure!(raw.stays_open(Duration::from_secs(2)).await?, "a pause between calls is no slow head");
    }
    // Without a call, a connection ends: without a word, for nobody asked.
    for mut idle in [raw, Raw::connect(&base).await?] {
        ensure!(idle.closed(SOON).await?.is_empty());
    }
    ensure!(provider.ledger().len() == 2, "a call that never came whole reached the provider");
    planes.end()
}

/// Sends `head` at once and `rest` byte by byte, until it is answered.
async fn trickled(base: &str, head: &str, rest: &[u8]) -> anyhow::Result<RawReply> {
    let mut raw = Raw::connect(base).await?;
    raw.send(head).await?;
    let mut ticks = interval(Duration::from_millis(150));
    for byte in rest {
        ticks.tick().await;
        if raw.send([*byte]).await.is_err() || !raw.stays_open(Duration::from_millis(1)).await? {
            break;
        }
    }
    RawReply::only(raw.closed(SOON).await?)
}

#[tokio::test]
async fn a_connection_ends_with_a_call_when_it_is_old() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(1).await?;
    Metrics::restarted(&mut planes, 0, &[("TURNPIKE_CONNECTION_AGE_SECONDS", "2")]).await?;
    let key = planes.new_key(json!({})).await?;
    let mut raw = Raw::connect(planes.data[0].base()).await?;
    let began = Instant::now();
    // Busy as it is, it is told to go: with an answer, or between two.
    loop {
        if raw.send(good(&key.secret)).await.is_err() {
            break;
        }
        match raw.reply(SOON).await {
            Ok(reply) => {
                ensure!(reply.status == 200, "{reply:?}");
                if reply.head.to_ascii_lowercase().contains("connection: close") {
                    break;
                }
            }
            Err(_closed) => break,
        }
        ensure!(began.elapsed() < SOON, "the connection lives on");
    }
    ensure!(began.elapsed() >= Duration::from_millis(1_800), "ended after {:?}", began.elapsed());
    planes.end()
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_given_up_and_its_call_is_booked() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[("TURNPIKE_STALL_SECONDS", "1")]).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();

    let mut raw = Raw::narrow(&base, 4_096).await?;
    let call =
        streamed_chat(MODEL, "Tell me all [[fake chunks=400 fat=65536 prompt=100 completion=60000]]").to_string();
    raw.send(post(CHAT, &key.secret, "", &call)).await?;
    eventually("the reader is given up", SOON, async || {
        ensure!(metrics.limit("client_stalled").await? == 1);
        Ok(Some(()))
    })
    .await?;
    // The provider was read on to its end, so the usage is its own.
    let booked = planes.booked(1, SPEND_ARRIVES_WITHIN).await?;
    let row = booked.first().ok_or_else(|| anyhow::anyhow!("no row"))?;
    ensure!(row.ending == "client_left" && row.usage_source == "reported", "{row:#?}");
    ensure!(row.completion_tokens == 60_000, "{row:#?}");
    ensure!(provider.ledger().len() == 1);
    drop(raw);
    serves(&base, &key.secret).await?;
    planes.end()
}

#[tokio::test]
async fn the_admin_port_gives_up_who_does_not_speak_or_speaks_slowly() -> anyhow::Result<()> {
    let (_provider, planes) = running(0).await?;
    let base = planes.control.base().to_owned();
    let mut silent = Raw::connect(&base).await?;
    let mut preface = Raw::connect(&base).await?;
    preface.send("PRI * HTTP/2.0\r\n").await?;
    let mut head = Raw::connect(&base).await?;
    head.send("GET /key/list HTTP/1.1\r\nHost: x\r\nX: ").await?;
    for (who, raw) in [("silent", &mut silent), ("a preface", &mut preface), ("a head", &mut head)] {
        // 10 s each, at once; the rest is for a busy machine.
        raw.closed(Duration::from_secs(30)).await.map_err(|error| error.context(who))?;
    }
    ensure!(planes.admin().get("/key/list").await?.status == 200);
    planes.end()
}
