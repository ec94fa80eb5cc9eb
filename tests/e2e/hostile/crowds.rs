//! Too many of something at once: connections, calls, idle clients, clients who read nothing.

use std::time::Duration;

use acceptance::metrics::Metrics;
use acceptance::planes::{Planes, streamed_chat};
use acceptance::provider::Sent;
use acceptance::raw::{Raw, post};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use super::{CHAT, SOON, good, serves};
use crate::world::{MODEL, running};

#[tokio::test]
async fn connections_are_counted_and_the_one_too_many_is_told_so() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[("TURNPIKE_MAX_CONNECTIONS", "8")]).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let mut held = fill(&base, &metrics, 8).await?;
    // Who is in is served on; a place that is given back is taken again.
    let first = held.first_mut().context("nobody holds a place")?;
    first.send(good(&key.secret)).await?;
    ensure!(first.reply(SOON).await?.status == 200);
    held.pop().context("nobody to send away")?.reset()?;
    eventually("there is a place again", SOON, async || serves(&base, &key.secret).await.map(Some)).await?;
    drop(held);

    let metrics = Metrics::restarted(&mut planes, 0, &[("TURNPIKE_MAX_CONNECTIONS_PER_IP", "3")]).await?;
    let held = fill(&base, &metrics, 3).await?;
    drop(held);
    eventually("there is a place again", SOON, async || serves(&base, &key.secret).await.map(Some)).await?;
    planes.end()
}

/// Takes `places` connections; the next is refused with 503, and counted.
async fn fill(base: &str, metrics: &Metrics, places: usize) -> anyhow::Result<Vec<Raw>> {
    eventually("all places are taken by us, and one more is refused", SOON, async || {
        let before = metrics.limit("too_many_connections").await?;
        let mut held = Vec::new();
        for _ in 0..places {
            let mut raw = Raw::connect(base).await?;
            ensure!(raw.stays_open(Duration::from_millis(30)).await?, "a connection of ours was refused");
            held.push(raw);
        }
        let said = Raw::connect(base).await?.closed(SOON).await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 1\r\n"), "{said:?}");
        ensure!(metrics.limit("too_many_connections").await? == before + 1);
        Ok(Some(held))
    })
    .await
}

#[tokio::test]
async fn calls_at_once_are_counted_and_the_one_too_many_is_told_when_to_come_back() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let settings = [("TURNPIKE_MAX_IN_FLIGHT", "2"), ("TURNPIKE_THREADS", "1")];
    let metrics = Metrics::restarted(&mut planes, 0, &settings).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let mut first = client.stream(CHAT, &streamed_chat(MODEL, "Hello [[fake gate]]")).await?;
    let second = client.stream(CHAT, &streamed_chat(MODEL, "Hello [[fake gate]]")).await?;

    let reply = client.post(CHAT, &streamed_chat(MODEL, "Hello")).await?;
    reply.refusal(503)?;
    ensure!(reply.must_have("retry-after")? == "1");
    ensure!(metrics.limit("in_flight").await? == 1 && provider.ledger().len() == 2);
    ensure!(client.get("/health/readiness").await?.status == 200, "a probe is no call");
    // Both ends of a call give its place back: the client's hanging up, and the last byte.
    drop(second);
    eventually("a place is free", SOON, async || {
        Ok((client.post(CHAT, &streamed_chat(MODEL, "Hello")).await?.status == 200).then_some(()))
    })
    .await?;
    provider.open_gate();
    first.rest_to_done().await?;
    for _ in 0..3 {
        ensure!(client.post(CHAT, &streamed_chat(MODEL, "Hello")).await?.status == 200);
    }
    planes.end()
}

#[tokio::test]
async fn a_client_who_reads_nothing_is_not_read_ahead_for() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut raw = Raw::narrow(planes.data[0].base(), 4_096).await?;
    // More than all sockets on the way may hold together.
    let call = streamed_chat(MODEL, "Tell me all [[fake chunks=1200 fat=65536]]").to_string();
    raw.send(post(CHAT, &key.secret, "", &call)).await?;
    let mut before = 0;
    let mut quiet = 0;
    let sent = eventually("the provider cannot go on", Duration::from_secs(60), async || {
        let entry = provider.ledger().last()?;
        ensure!(entry.sent == Sent::Underway, "the gateway took the whole stream of {} bytes", entry.bytes_sent);
        quiet = if entry.bytes_sent == before && before > 0 { quiet + 1 } else { 0 };
        before = entry.bytes_sent;
        Ok((quiet >= 50).then_some(before))
    })
    .await?;
    ensure!(sent < 40 << 20, "{sent} bytes were taken for a client who reads nothing");
    drop(raw);
    planes.end()
}

/// By hand: `cargo test --release -p acceptance --test e2e idle_clients -- --ignored --nocapture`; 10,000 by
/// `TURNPIKE_IDLE_CLIENTS=10000` with `ulimit -n 25000`.
#[tokio::test]
#[ignore = "needs many file descriptors; prints what idle clients cost"]
async fn idle_clients_cost_little() -> anyhow::Result<()> {
    let clients = std::env::var("TURNPIKE_IDLE_CLIENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let (_provider, mut planes) = running(1).await?;
    Metrics::restarted(&mut planes, 0, &[("TURNPIKE_IDLE_SECONDS", "3600"), ("TURNPIKE_MAX_CONNECTIONS", "20000")])
        .await?;
    let key = planes.new_key(json!({})).await?;
    serves(planes.data[0].base(), &key.secret).await?;
    let empty = resident_kib(&planes)?;
    let mut held = Vec::new();
    while (held.len() as u64) < clients {
        let mut calling = JoinSet::new();
        for _ in 0..50 {
            let (base, call) = (planes.data[0].base().to_owned(), good(&key.secret));
            calling.spawn(async move {
                let mut raw = Raw::connect(&base).await?;
                raw.send(call).await?;
                ensure!(raw.reply(SOON).await?.status == 200);
                anyhow::Ok(raw)
            });
        }
        while let Some(raw) = calling.join_next().await {
            held.push(raw??);
        }
    }
    let full = resident_kib(&planes)?;
    println!(
        "idle: {clients} clients, {empty} KiB without, {full} KiB with: {} bytes each",
        (full - empty) * 1024 / clients
    );
    ensure!(full <= 400 * 1024, "{full} KiB");
    serves(planes.data[0].base(), &key.secret).await?;
    planes.end()
}

/// By hand, as the one above.
#[tokio::test]
#[ignore = "takes a while; prints what stalled readers cost"]
async fn stalled_readers_cost_little() -> anyhow::Result<()> {
    let readers = std::env::var("TURNPIKE_STALLED_READERS").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    let (provider, mut planes) = running(1).await?;
    Metrics::restarted(&mut planes, 0, &[("TURNPIKE_STALL_SECONDS", "3600")]).await?;
    let key = planes.new_key(json!({})).await?;
    let empty = resident_kib(&planes)?;
    let mut held = Vec::new();
    for _ in 0..readers {
        let mut raw = Raw::narrow(planes.data[0].base(), 4_096).await?;
        let call = streamed_chat(MODEL, "Tell me all [[fake chunks=200 fat=65536]]").to_string();
        raw.send(post(CHAT, &key.secret, "", &call)).await?;
        held.push(raw);
    }
    provider.ledger().reaches(held.len(), Duration::from_secs(120)).await?;
    let (mut before, mut quiet) = (0, 0);
    eventually("no provider can go on", Duration::from_secs(300), async || {
        let sent: usize = provider.ledger().entries().iter().map(|entry| entry.bytes_sent).sum();
        quiet = if sent == before { quiet + 1 } else { 0 };
        before = sent;
        Ok((quiet >= 100).then_some(()))
    })
    .await?;
    let full = resident_kib(&planes)?;
    println!(
        "stalled: {readers} readers, {empty} KiB without, {full} KiB with: {} bytes each",
        (full - empty) * 1024 / readers
    );
    ensure!(full <= 1024 * 1024, "{full} KiB");
    planes.end()
}

/// What the first data plane holds in memory.
fn resident_kib(planes: &Planes) -> anyhow::Result<u64> {
    let id = planes.data.first().context("no data plane")?.process_id()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
