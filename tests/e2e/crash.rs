//! `kill -9` loses no cent: what was answered is booked, and what was cut is booked once, estimated.

use std::time::Duration;

use acceptance::database;
use acceptance::planes::{SPEND_ARRIVES_WITHIN, chat, streamed_chat};
use acceptance::price::STORY;
use acceptance::provider::Sent;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::world::{MODEL, running};

/// How often the data plane is killed in one story, and the calls before each kill.
const KILLS: usize = 5;
const CALLS: usize = 8;

#[tokio::test]
async fn a_data_plane_killed_right_after_an_answer_loses_no_spend() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    for round in 0..KILLS {
        for number in 0..CALLS {
            let directive = format!("[[fake prompt={} completion={}]]", 10 + round, 1 + number);
            let client = planes.at(0, &key);
            // The last call before the kill is a stream in every second round.
            if round % 2 == 1 && number + 1 == CALLS {
                let mut events = client.stream("/v1/chat/completions", &streamed_chat(MODEL, &directive)).await?;
                while events.next().await?.context("no [DONE]")? != "[DONE]" {}
            } else {
                client.post("/v1/chat/completions", &chat(MODEL, &directive)).await?.ok()?;
            }
        }
        planes.data[0].kill_nine()?;
        planes.data[0].start().await?;
    }
    let booked = planes.booked(KILLS * CALLS, SPEND_ARRIVES_WITHIN).await?;
    for entry in provider.ledger().entries() {
        let rows = booked.iter().filter(|row| row.request_id == entry.answer_id).count();
        ensure!(rows == 1, "{} is booked {rows} times", entry.answer_id);
    }
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) == owed, "booked {}, owed {owed}", database::sum(&booked));
    planes.end()
}

#[tokio::test]
async fn a_call_cut_by_the_death_of_its_data_plane_is_booked_once_as_interrupted() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let call = streamed_chat(MODEL, "A prompt that costs something [[fake chunks=9 stall_after=2]]");
    let mut events = planes.at(0, &key).stream("/v1/chat/completions", &call).await?;
    events.next().await?.context("no first event")?;
    planes.data[0].kill_nine()?;
    drop(events);
    planes.data[0].start().await?;

    let booked = planes.booked(1, SPEND_ARRIVES_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(row.ending == "interrupted" && row.usage_source == "estimated", "{row:#?}");
    ensure!(row.prompt_tokens > 0 && row.cost_nano_usd > 0, "at least the prompt was used: {row:#?}");
    ensure!(row.key_hash.as_deref() == Some(&key.hash), "{row:#?}");

    // Once more from the spool must not book it once more; a call after it shows that the spool was read to its end.
    planes.data[0].kill_nine()?;
    planes.data[0].start().await?;
    planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "After it")).await?.ok()?;
    planes.booked(2, SPEND_ARRIVES_WITHIN).await?;
    ensure!(provider.ledger().len() == 2, "the call was not sent again");
    planes.end()
}

#[tokio::test]
async fn a_control_plane_killed_amid_spend_neither_loses_nor_doubles_it() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut calls = 0;
    for _ in 0..3 {
        for number in 0..20 {
            let directive = format!("[[fake prompt={} completion=3]]", 10 + number);
            planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, &directive)).await?.ok()?;
            calls += 1;
        }
        planes.control.kill_nine()?;
        planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "While it is dead")).await?.ok()?;
        calls += 1;
        planes.control.start().await?;
    }
    let booked = planes.booked(calls, SPEND_ARRIVES_WITHIN).await?;
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) == owed, "booked {}, owed {owed}", database::sum(&booked));
    ensure!(provider.ledger().entries().iter().all(|entry| entry.sent == Sent::Whole));
    planes.end()
}

#[tokio::test]
async fn a_call_waiting_for_its_provider_when_the_data_plane_dies_is_booked_once() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let waiting = tokio::spawn(async move {
        client.post("/v1/chat/completions", &chat(MODEL, "[[fake latency_ms=60000]]")).await.map(|reply| reply.status)
    });
    provider.ledger().reaches(1, Duration::from_secs(10)).await?;
    planes.data[0].kill_nine()?;
    ensure!(waiting.await?.is_err(), "a dead data plane answered");
    planes.data[0].start().await?;
    let booked = planes.booked(1, SPEND_ARRIVES_WITHIN).await?;
    ensure!(booked.first().is_some_and(|row| row.ending == "interrupted"), "{booked:#?}");
    planes.end()
}
