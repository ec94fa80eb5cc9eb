//! The witness itself: a provider that misbehaves must do so exactly as told, and its ledger must say what happened.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{FakeProvider, Sent, nobody};
use crate::client::Client;
use crate::planes::{chat, streamed_chat};
use crate::price::{STORY, Tokens};
use crate::wait::eventually;

const CHAT: &str = "/chat/completions";

#[tokio::test]
async fn an_answer_tells_the_tokens_that_the_ledger_holds() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let client = Client::of(provider.base()).with_key("sk-x");
    let call = chat("m", "[[fake prompt=100 completion=50 cached=40 reasoning=20]]");
    let answer = client.post(CHAT, &call).await?.ok()?;
    ensure!(answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 40, "{answer}");
    let entry = provider.ledger().last()?;
    ensure!(entry.tokens == Some(Tokens { prompt: 100, completion: 50, cached: 40, reasoning: 20 }));
    ensure!(entry.usage_told && entry.path == "/v1/chat/completions" && entry.json() == call);
    ensure!(entry.header("authorization") == Some("Bearer sk-x") && entry.answer_id == answer["id"]);
    ends(&provider, Sent::Whole).await?;
    ensure!(provider.ledger().owed(&STORY) == 60 * 3_000 + 40 * 300 + 30 * 15_000 + 20 * 20_000);
    Ok(())
}

#[tokio::test]
async fn a_stream_tells_usage_only_when_asked_and_ends_with_done() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let client = Client::of(provider.base());
    let mut call = streamed_chat("m", "[[fake chunks=4 slice=5]]");
    let events = client.stream(CHAT, &call).await?.rest_to_done().await?;
    ensure!(events.len() == 6 && events.iter().all(|event| event.get("usage").is_none()), "{events:?}");
    ensure!(!provider.ledger().last()?.usage_told);
    call["stream_options"] = json!({ "include_usage": true });
    let events = client.stream(CHAT, &call).await?.rest_to_done().await?;
    ensure!(events.last().is_some_and(|event| event["usage"]["total_tokens"] == 19), "{events:?}");
    ensure!(events.iter().filter(|event| !event["usage"].is_null()).count() == 1, "{events:?}");
    Ok(())
}

#[tokio::test]
async fn faults_of_a_stream_come_where_they_were_asked_for() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let client = Client::of(provider.base());
    let mut cut = client.stream(CHAT, &streamed_chat("m", "[[fake chunks=9 cut_after=2]]")).await?;
    for _ in 0..3 {
        ensure!(cut.next().await?.is_some(), "the role and two words come");
    }
    ensure!(cut.next().await.is_err(), "then the connection breaks");
    ends(&provider, Sent::BrokenOff).await?;

    let mut garbled = client.stream(CHAT, &streamed_chat("m", "[[fake chunks=9 garble_after=1]]")).await?;
    let events = garbled.rest().await?;
    ensure!(
        events.len() == 3 && events.last().is_some_and(|last| serde_json::from_str::<Value>(last).is_err()),
        "{events:?}"
    );

    let mut stalled = client.stream(CHAT, &streamed_chat("m", "[[fake chunks=9 stall_after=1]]")).await?;
    stalled.next().await?;
    stalled.next().await?;
    ensure!(tokio::time::timeout(Duration::from_millis(100), stalled.next()).await.is_err(), "nothing more comes");
    drop(stalled);
    ends(&provider, Sent::HungUpOn).await
}

#[tokio::test]
async fn a_gate_holds_the_stream_until_it_is_opened() -> anyhow::Result<()> {
    let provider = FakeProvider::behaving("gate")?;
    let mut events = Client::of(provider.base()).stream(CHAT, &streamed_chat("m", "Hello")).await?;
    events.next().await?;
    ensure!(events.next().await?.is_some_and(|event| event.contains("word0")));
    ensure!(provider.ledger().last()?.sent == Sent::Underway);
    provider.open_gate();
    ensure!(events.rest_to_done().await?.len() == 3);
    ends(&provider, Sent::Whole).await
}

#[tokio::test]
async fn refusals_and_pages_are_what_providers_send() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let client = Client::of(provider.base());
    let reply = client.post(CHAT, &chat("m", "[[fake status=429 retry_after=7]]")).await?;
    ensure!(
        reply.status == 429 && reply.must_have("retry-after")? == "7" && reply.json()?["error"]["type"] == "requests"
    );
    ensure!(provider.ledger().last()?.tokens.is_none());
    let page = client.post(CHAT, &chat("m", "[[fake body=html]]")).await?;
    ensure!(page.status == 200 && page.must_have("content-type")? == "text/html" && page.body.starts_with(b"<html>"));
    let empty = client.post(CHAT, &chat("m", "[[fake status=503 body=empty]]")).await?;
    ensure!(empty.status == 503 && empty.body.is_empty());
    let typo = client.post(CHAT, &chat("m", "[[fake stauts=503]]")).await?;
    ensure!(typo.status == 418, "{typo}");
    ensure!(Client::of(nobody()?).post(CHAT, &chat("m", "x")).await.is_err(), "somebody listens");
    Ok(())
}

#[tokio::test]
async fn embeddings_come_in_the_encoding_asked_for() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let client = Client::of(provider.base());
    let floats = client.post("/embeddings", &json!({ "model": "m", "input": ["a", "b"] })).await?.ok()?;
    ensure!(floats["data"][1]["embedding"] == json!([0.25, -0.5, 0.75, 1.0]), "{floats}");
    let call = json!({ "model": "m", "input": "a", "encoding_format": "base64" });
    let encoded = client.post("/embeddings", &call).await?.ok()?;
    ensure!(encoded["data"][0]["embedding"] == "AACAPgAAAL8AAEA/AACAPw==", "{encoded}");
    Ok(())
}

async fn ends(provider: &FakeProvider, sent: Sent) -> anyhow::Result<()> {
    eventually("the ledger says how it ended", Duration::from_secs(5), async || {
        let last = provider.ledger().last()?.sent;
        ensure!(last == sent, "it says {last:?}");
        Ok(Some(()))
    })
    .await
}
