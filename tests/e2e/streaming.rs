//! Streams pass as they come, usage is asked for and hidden, and a client that leaves is still booked.

use acceptance::config::Deployment;
use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, SPEND_SHOWS_WITHIN, streamed_chat};
use acceptance::provider::Sent;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{MODEL, owed, priced, running};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn words_reach_the_client_while_the_provider_still_speaks() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut events = planes.at(0, &key).stream(CHAT, &streamed_chat(MODEL, "[[fake chunks=4 gate]]")).await?;
    ensure!(events.must_have("content-type")?.starts_with("text/event-stream"));
    ensure!(events.must_have("x-litellm-model-id")? == crate::world::DEPLOYMENT);
    events.must_have("x-litellm-call-id")?;

    let mut seen = String::new();
    while !seen.contains("word0") {
        seen.push_str(&events.next().await?.context("the stream is over")?);
    }
    ensure!(provider.ledger().last()?.sent == Sent::Underway, "the provider waits at its gate");
    provider.open_gate();
    events.rest_to_done().await?;
    planes.end()
}

#[tokio::test]
async fn usage_is_asked_for_and_not_shown_to_a_client_that_did_not_ask() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let events = planes.at(0, &key).stream(CHAT, &streamed_chat(MODEL, "Hello")).await?.rest_to_done().await?;
    let asked = provider.ledger().last()?.json();
    ensure!(asked["stream_options"]["include_usage"] == json!(true), "{asked}");
    ensure!(events.iter().all(|event| event["usage"].is_null()), "usage is shown: {events:?}");
    ensure!(
        events.iter().all(|event| event["choices"].as_array().is_some_and(|choices| !choices.is_empty())),
        "{events:?}"
    );
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    ensure!(text == "word0 word1 word2 ", "{text:?}");
    ensure!(events.last().is_some_and(|event| event["choices"][0]["finish_reason"] == "stop"), "{events:?}");
    planes.end()
}

#[tokio::test]
async fn usage_is_shown_to_a_client_that_asked() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut call = streamed_chat(MODEL, "[[fake prompt=33 completion=11]]");
    call["stream_options"] = json!({ "include_usage": true });
    let events = planes.at(0, &key).stream(CHAT, &call).await?.rest_to_done().await?;
    let usage: Vec<&Value> = events.iter().map(|event| &event["usage"]).filter(|usage| !usage.is_null()).collect();
    ensure!(usage.len() == 1, "usage is shown {} times: {events:?}", usage.len());
    ensure!(usage.first().is_some_and(|usage| usage["total_tokens"] == 44), "{usage:?}");
    planes.end()
}

#[tokio::test]
async fn a_stream_is_the_same_however_its_bytes_are_sliced() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut whole: Option<Vec<Value>> = None;
    for slice in [100_000, 1, 2, 3, 7, 64] {
        let call = streamed_chat(MODEL, &format!("[[fake chunks=4 slice={slice}]]"));
        let events = planes.at(0, &key).stream(CHAT, &call).await?.rest_to_done().await?;
        let events: Vec<Value> = events.into_iter().map(|event| without(event, "id")).collect();
        match &whole {
            None => whole = Some(events),
            Some(whole) => ensure!(*whole == events, "slices of {slice}: {events:?} instead of {whole:?}"),
        }
    }
    planes.end()
}

#[tokio::test]
async fn unknown_members_pass_both_ways_and_the_model_is_the_one_asked_for() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let mut call = json!({
        "messages": [{ "role": "user", "content": "Grüße, 世界 \u{1F600}", "x_message_extra": 1.0 }],
        "x_call_extra": { "deep": [1, 2.50, 1e3, "ü", null] }, "temperature": 0.1, "logit_bias": { "5": -100 },
    });
    call["model"] = json!(MODEL);
    let answer = client.post(CHAT, &call).await?.ok()?;
    ensure!(answer["x_provider_extra"]["kept"] == json!(true) && answer["system_fingerprint"] == "fp_fake", "{answer}");
    ensure!(answer["model"] == MODEL, "{answer}");
    let sent = provider.ledger().last()?;
    ensure!(sent.json()["model"] == "story-large", "{}", sent.json());
    ensure!(without(sent.json(), "model") == without(call.clone(), "model"), "{}", sent.json());

    call["stream"] = json!(true);
    let events = client.stream(CHAT, &call).await?.rest_to_done().await?;
    ensure!(events.iter().all(|event| event["model"] == MODEL), "{events:?}");
    let sent = provider.ledger().last()?.json();
    ensure!(sent["x_call_extra"] == call["x_call_extra"] && sent["messages"] == call["messages"], "{sent}");
    planes.end()
}

#[tokio::test]
async fn a_client_that_hangs_up_is_booked_with_what_the_provider_went_on_to_tell() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let call = streamed_chat(MODEL, "[[fake chunks=50 gate prompt=200 completion=100]]");
    let mut events = planes.at(0, &key).stream(CHAT, &call).await?;
    events.next().await?.context("no first event")?;
    drop(events);
    provider.open_gate();

    let booked = planes.booked(1, SPEND_ARRIVES_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(row.ending == "client_left" && row.usage_source == "reported", "{row:#?}");
    ensure!(row.cost_nano_usd == i64::try_from(owed(&provider.ledger().last()?)?)?, "{row:#?}");
    planes.end()
}

#[tokio::test]
async fn a_mocked_model_streams_too() -> anyhow::Result<()> {
    let (_provider, config) = priced()?;
    let planes = Planes::start(&config.deployment(Deployment::mock("mock", "Hello from the mock.")), 1).await?;
    let key = planes.new_key(json!({})).await?;
    let events = planes.at(0, &key).stream(CHAT, &streamed_chat("mock", "Hi")).await?.rest_to_done().await?;
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    ensure!(text == "Hello from the mock.", "{text:?}");
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.first().is_some_and(|row| row.streamed && row.success), "{booked:#?}");
    planes.end()
}

#[tokio::test]
async fn text_completions_stream_as_well() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let call = json!({ "model": MODEL, "prompt": "Once upon a time [[fake prompt=9 completion=8]]", "stream": true });
    let events = planes.at(0, &key).stream("/v1/completions", &call).await?.rest_to_done().await?;
    let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    ensure!(text == "word0 word1 word2 ", "{text:?}");
    ensure!(provider.ledger().last()?.path == "/v1/completions");
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.first().is_some_and(|row| row.cost_nano_usd == 9 * 3_000 + 8 * 15_000), "{booked:#?}");
    planes.end()
}

fn without(mut object: Value, member: &str) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.remove(member);
    }
    object
}
