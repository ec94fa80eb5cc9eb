//! Providers that refuse, fail, babble and stall: a clear status for the client, and a booking that tells how it ended.

use acceptance::config::{Config, Deployment};
use acceptance::database::Booked;
use acceptance::planes::{Key, Planes, SPEND_SHOWS_WITHIN, chat, streamed_chat};
use acceptance::price::STORY;
use acceptance::provider::{FakeProvider, nobody};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{MODEL, running};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_providers_refusal_keeps_its_status_and_costs_nothing() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let cases = [
        (500, "json", "InternalServerError"),
        (502, "html", "BadGatewayError"),
        (503, "empty", "ServiceUnavailableError"),
        (429, "json", "RateLimitError"),
        (401, "json", "AuthenticationError"),
        (400, "json", "BadRequestError"),
        (404, "json", "NotFoundError"),
    ];
    for (status, body, class) in cases {
        for streamed in ["", "streamed"] {
            let directive = format!("[[fake status={status} body={body} retry_after=7]]");
            let call = if streamed.is_empty() { chat(MODEL, &directive) } else { streamed_chat(MODEL, &directive) };
            let reply = planes.at(0, &key).post(CHAT, &call).await?;
            let refusal = reply.refusal(status).with_context(|| format!("{status} {body} {streamed}"))?;
            ensure!(refusal.message.contains(class), "{status} {streamed}: not `{class}`: {refusal:?}");
            ensure!(!refusal.message.contains("<html"), "a page in the message: {refusal:?}");
            reply.must_have("x-litellm-call-id")?;
        }
    }
    let booked = planes.booked(2 * cases.len(), SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "refused" && row.cost_nano_usd == 0 && !row.success), "{booked:#?}");
    ensure!(provider.ledger().len() == booked.len());
    planes.end()
}

#[tokio::test]
async fn a_provider_that_refuses_connections_is_a_500_api_connection_error() -> anyhow::Result<()> {
    let config = Config::new().deployment(Deployment::at(MODEL, "openai/story-large", &nobody()?).priced(STORY));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    for call in [chat(MODEL, "Hello"), streamed_chat(MODEL, "Hello")] {
        let refusal = planes.at(0, &key).post(CHAT, &call).await?.refusal(500)?;
        ensure!(refusal.message.contains("APIConnectionError"), "{refusal:?}");
    }
    let booked = planes.booked(2, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.cost_nano_usd == 0 && !row.success), "{booked:#?}");
    planes.end()
}

#[tokio::test]
async fn a_page_where_an_answer_should_be_is_an_error_and_not_an_answer() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    for call in [chat(MODEL, "[[fake body=html]]"), streamed_chat(MODEL, "[[fake body=html]]")] {
        let reply = planes.at(0, &key).post(CHAT, &call).await?;
        ensure!((500..600).contains(&reply.status), "a page with status 200 became {reply}");
        let refusal = reply.refusal(reply.status)?;
        ensure!(!refusal.message.contains("<html"), "{refusal:?}");
    }
    let booked = planes.booked(2, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| !row.success), "{booked:#?}");
    planes.end()
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_ends_with_an_error_event_and_is_booked_as_cut() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    for fault in ["cut_after=3", "garble_after=3"] {
        let call = streamed_chat(MODEL, &format!("Tell me something [[fake chunks=9 {fault}]]"));
        ends_with_error(&planes, &key, &call).await.context(fault)?;
    }
    let booked = planes.booked(2, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "upstream_cut"), "{booked:#?}");
    estimated(&booked)?;
    planes.end()
}

#[tokio::test]
async fn a_stream_that_stops_without_done_is_not_passed_off_as_whole() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    // Finished, with its usage told, only `[DONE]` is missing: that is whole, and the client gets its `[DONE]`.
    let call = streamed_chat(MODEL, "[[fake no_done prompt=100 completion=50]]");
    planes.at(0, &key).stream(CHAT, &call).await?.rest_to_done().await?;
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(row.usage_source == "reported" && row.cost_nano_usd == 100 * 3_000 + 50 * 15_000, "{row:#?}");
    planes.end()
}

#[tokio::test]
async fn an_answer_cut_in_its_middle_is_an_error_and_is_booked_as_cut() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let reply = planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello [[fake cut_after=0]]")).await?;
    ensure!((500..600).contains(&reply.status), "{reply}");
    reply.refusal(reply.status)?;
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "upstream_cut"), "{booked:#?}");
    estimated(&booked)?;
    planes.end()
}

#[tokio::test]
async fn a_provider_that_stalls_is_given_up_after_the_deployments_timeout() -> anyhow::Result<()> {
    let provider = FakeProvider::start()?;
    let config = Config::new().deployment(
        Deployment::on(MODEL, "openai/story-large", &provider)
            .priced(STORY)
            .param("timeout", json!(1))
            .param("stream_timeout", json!(1)),
    );
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;

    // Nothing at all: a timeout with a status of its own.
    let silent = planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello [[fake latency_ms=30000]]")).await?;
    let refusal = silent.refusal(408)?;
    ensure!(refusal.message.contains("Timeout"), "{refusal:?}");
    // Something, then nothing: the status is out already.
    let call = streamed_chat(MODEL, "Tell me something [[fake chunks=9 stall_after=2]]");
    ends_with_error(&planes, &key, &call).await?;

    let booked = planes.booked(2, SPEND_SHOWS_WITHIN).await?;
    ensure!(booked.iter().all(|row| row.ending == "upstream_stalled" && !row.success), "{booked:#?}");
    estimated(&booked)?;
    planes.end()
}

/// The client has seen some words, then exactly one error in the envelope, and no `[DONE]`.
async fn ends_with_error(planes: &Planes, key: &Key, call: &Value) -> anyhow::Result<()> {
    let mut events = planes.at(0, key).stream(CHAT, call).await?;
    ensure!(events.status == 200, "status {}", events.status);
    let events = events.rest().await?;
    let (last, words) = events.split_last().context("no events")?;
    let last: Value = serde_json::from_str(last).with_context(|| format!("the last event: {last}"))?;
    let error = last.get("error").with_context(|| format!("the last event is no error: {last}"))?;
    for member in ["message", "type", "code"] {
        ensure!(error[member].is_string(), "`{member}` is no text: {last}");
    }
    ensure!(!words.is_empty(), "no words before the error");
    ensure!(words.iter().all(|event| event.contains("\"choices\"")), "something else among the words: {words:?}");
    Ok(())
}

/// What was used is guessed from what was seen, and said to be a guess.
fn estimated(booked: &[Booked]) -> anyhow::Result<()> {
    for row in booked {
        ensure!(row.usage_source == "estimated" && row.estimate_method.is_some(), "{row:#?}");
        ensure!(row.prompt_tokens > 0 && row.cost_nano_usd > 0, "{row:#?}");
    }
    Ok(())
}
