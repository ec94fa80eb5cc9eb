//! Stopping in order: readiness goes, what is under way finishes, nothing is lost.

use std::time::Duration;

use acceptance::planes::{SPEND_ARRIVES_WITHIN, chat, streamed_chat};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::world::{MODEL, owed, running};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_stream_under_way_finishes_while_its_data_plane_stops() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut events = planes.at(0, &key).stream(CHAT, &streamed_chat(MODEL, "[[fake chunks=5 gate]]")).await?;
    events.next().await?.context("no first event")?;
    planes.data[0].ask_to_stop()?;
    let stranger = planes.data[0].client();
    eventually("readiness goes", Duration::from_secs(3), async || {
        let readiness = stranger.get("/health/readiness").await?;
        Ok((readiness.status == 503).then_some(()))
    })
    .await?;
    // It still takes calls for a while: a load balancer needs time to notice.
    planes.at(0, &key).post(CHAT, &chat(MODEL, "Just in time")).await?.ok()?;
    provider.open_gate();
    events.rest_to_done().await?;
    let status = planes.data[0].ended().await?;
    ensure!(status.success(), "it ended with {status}");

    let booked = planes.booked(2, SPEND_ARRIVES_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "complete" && row.usage_source == "reported"), "{booked:#?}");
    planes.end()
}

#[tokio::test]
async fn what_was_spent_before_an_orderly_stop_is_booked_without_a_restart() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello")).await?.ok()?;
    ensure!(planes.data[0].stop().await?.success());
    let booked = planes.booked(1, SPEND_ARRIVES_WITHIN).await?;
    let cost = i64::try_from(owed(&provider.ledger().last()?)?)?;
    ensure!(booked.iter().all(|row| row.cost_nano_usd == cost), "{booked:#?}");
    planes.end()
}
