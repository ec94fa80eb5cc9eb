//! Clients hang up at any byte of a call: whatever reached a provider is booked once, at what the provider counted.
//!
//! `TURNPIKE_HANG_UPS` sets how many do (500), `TURNPIKE_HANG_UPS_SEED` which bytes they choose.

use std::collections::BTreeMap;
use std::time::Duration;

use acceptance::database;
use acceptance::planes::{Key, Planes, SPEND_ARRIVES_WITHIN, streamed_chat};
use acceptance::ports;
use acceptance::price::STORY;
use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::endings::meter::Meter;
use crate::world::{MODEL, running};

const CHAT: &str = "/v1/chat/completions";
const AT_ONCE: u64 = 16;
/// So many calls go on without their client (ARCHITECTURE.md, "The endings of a call").
const READ_ON: usize = 100;
/// No read or write of a story takes longer unless something hangs.
const STEP_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn clients_that_hang_up_at_any_byte_are_booked_once_at_what_the_provider_counted() -> anyhow::Result<()> {
    let hang_ups: u64 = set("TURNPIKE_HANG_UPS")?.unwrap_or(500);
    let seed: u64 = set("TURNPIKE_HANG_UPS_SEED")?.unwrap_or(1);
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let address = planes.data[0].base().trim_start_matches("http://").to_owned();
    let workers = (0..AT_ONCE).map(|worker| {
        let (address, secret) = (address.clone(), key.secret.clone());
        tokio::spawn(async move {
            for number in (worker..hang_ups).step_by(usize::try_from(AT_ONCE)?) {
                let plan = HangUp::drawn(seed.wrapping_add(number));
                plan.happen(&address, &secret).await.with_context(|| format!("seed {seed}, {number}: {plan:?}"))?;
            }
            anyhow::Ok(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    // An orderly stop waits for what goes on without its client, and delivers everything.
    ensure!(planes.data[0].stop().await?.success());

    let entries = provider.ledger().entries();
    let booked = planes.booked(entries.len(), SPEND_ARRIVES_WITHIN).await?;
    let mut rows: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for row in &booked {
        rows.entry(&row.request_id).or_default().push(row);
    }
    for entry in &entries {
        let owed = i64::try_from(STORY.of(&entry.tokens.context("the provider refused")?))?;
        let Some([row]) = rows.get(entry.answer_id.as_str()).map(Vec::as_slice) else {
            anyhow::bail!("{} is not booked once: {:#?}", entry.answer_id, rows.get(entry.answer_id.as_str()));
        };
        ensure!(row.usage_source == "reported" && row.cost_nano_usd == owed, "owed {owed}: {row:#?}");
        ensure!(matches!(row.ending.as_str(), "client_left" | "complete"), "{row:#?}");
    }
    ensure!(database::sum(&booked) == provider.ledger().owed(&STORY));
    // That something was tried at all: some left before the provider was called, some after.
    let (called, left) = (entries.len() as u64, booked.iter().filter(|row| row.ending == "client_left").count() as u64);
    println!("{hang_ups} hang-ups: {called} reached the provider, {left} of them left before their answer's end");
    ensure!(called >= hang_ups / 4 && called < hang_ups, "{called} of {hang_ups} reached the provider");
    ensure!(left >= hang_ups / 20, "{left} of {hang_ups} are booked as client_left");
    planes.end()
}

#[tokio::test]
async fn clients_beyond_those_that_are_read_on_for_are_booked_with_an_estimate() -> anyhow::Result<()> {
    const BEYOND: usize = 10;
    let (provider, mut planes) = running(1).await?;
    let port = ports::free()?;
    planes.restart(0, &[("TURNPIKE_METRICS_PORT", &port.to_string())]).await?;
    let key = planes.new_key(json!({})).await?;
    let mut streams = Vec::new();
    for _ in 0..READ_ON + BEYOND {
        streams.push(begun(&planes, &key).await?);
    }
    drop(streams);
    Meter::at(port).detached(READ_ON).await?;
    let guessed = planes.booked(BEYOND, SPEND_ARRIVES_WITHIN).await?;
    ensure!(guessed.iter().all(|row| row.usage_source == "estimated" && row.cost_nano_usd > 0), "{guessed:#?}");
    provider.open_gate();
    let booked = planes.booked(READ_ON + BEYOND, SPEND_ARRIVES_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "client_left" && row.success), "{booked:#?}");
    let reported = booked.iter().filter(|row| row.usage_source == "reported").count();
    ensure!(reported == READ_ON, "{reported} of {READ_ON} are booked as the provider counted");
    planes.end()
}

/// A stream whose first event has come.
async fn begun(planes: &Planes, key: &Key) -> anyhow::Result<acceptance::client::Events> {
    let mut events = planes.at(0, key).stream(CHAT, &streamed_chat(MODEL, "Tell me [[fake chunks=3 gate]]")).await?;
    events.next().await?.context("no first event")?;
    Ok(events)
}

/// One client, and how it leaves.
#[derive(Debug)]
struct HangUp {
    directive: String,
    streamed: bool,
    place: Place,
    manner: Manner,
}

#[derive(Debug)]
enum Place {
    /// After this part of the request's bytes, in 65,536ths.
    Request(u64),
    /// After so many bytes of the answer.
    Answer(usize),
}

#[derive(Debug)]
enum Manner {
    Fin,
    Rst,
}

impl HangUp {
    fn drawn(seed: u64) -> Self {
        let mut random = Random(seed);
        let streamed = random.below(2) == 0;
        let (chunks, gap) = (1 + random.below(20), random.below(4));
        let (latency, slice) = (random.below(8), 1 + random.below(200));
        let tokens = (1 + random.below(500), 1 + random.below(500));
        let place = match random.below(3) {
            0 => Place::Request(random.below(65_537)),
            _ => Place::Answer(usize::try_from(random.below(if streamed { 6_000 } else { 1_200 })).unwrap_or(0)),
        };
        let directive = format!(
            "[[fake chunks={chunks} gap_ms={gap} latency_ms={latency} slice={slice} prompt={} completion={}]]",
            tokens.0, tokens.1
        );
        let manner = if random.below(2) == 0 { Manner::Fin } else { Manner::Rst };
        Self { directive, streamed, place, manner }
    }

    /// Calls, and leaves. An answer that ends earlier than the plan is read to its end.
    async fn happen(&self, address: &str, secret: &str) -> anyhow::Result<()> {
        let request = self.request(address, secret);
        let mut socket = TcpStream::connect(address).await?;
        let sent = match self.place {
            Place::Request(part) => usize::try_from(part * request.len() as u64 / 65_536)?,
            Place::Answer(_) => request.len(),
        };
        socket.write_all(request.get(..sent).unwrap_or_default()).await?;
        if let Place::Answer(bytes) = self.place {
            let mut buffer = vec![0; bytes];
            let mut read = 0;
            while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match tokio::time::timeout(STEP_WITHIN, socket.read(rest)).await.context("nothing came")?? {
                    0 => break,
                    count => read += count,
                }
            }
            ensure!(bytes < 15 || buffer.starts_with(b"HTTP/1.1 200 OK"), "{}", buffer.escape_ascii());
        }
        match self.manner {
            Manner::Fin => socket.shutdown().await.or_else(is_gone)?,
            Manner::Rst => socket.set_zero_linger()?,
        }
        Ok(())
    }

    fn request(&self, address: &str, secret: &str) -> Vec<u8> {
        let message = json!({ "role": "user", "content": format!("Tell me something. {}", self.directive) });
        let body = json!({ "model": MODEL, "messages": [message], "stream": self.streamed }).to_string();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        (head + &body).into_bytes()
    }
}

/// The gateway may have closed first.
fn is_gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}

fn set(variable: &str) -> anyhow::Result<Option<u64>> {
    let value = std::env::var(variable).ok();
    value.map(|value| value.parse().with_context(|| format!("{variable}={value} is no number"))).transpose()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
