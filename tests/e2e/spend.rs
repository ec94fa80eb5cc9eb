//! Every call is booked once, to the nano-dollar, and shows within three seconds.

use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, SPEND_SHOWS_WITHIN, chat, streamed_chat};
use acceptance::price::{STORY, nanos};
use acceptance::wait::eventually;
use acceptance::{config::Deployment, database};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{DEPLOYMENT, EMBEDDING, MODEL, owed, priced, running};

#[tokio::test]
async fn one_call_is_booked_once_to_the_nano_and_shows_at_key_team_and_user() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let admin = planes.admin();
    admin.post("/team/new", &json!({ "team_id": "builders" })).await?.ok()?;
    admin.post("/user/new", &json!({ "user_id": "ada", "auto_create_key": false })).await?.ok()?;
    let key = planes.new_key(json!({ "team_id": "builders", "user_id": "ada", "key_alias": "ada-builds" })).await?;

    let call = chat(MODEL, "[[fake prompt=100 completion=50 cached=40 reasoning=20]]");
    let reply = planes.at(0, &key).post("/v1/chat/completions", &call).await?;
    let answer = reply.ok()?;

    let entry = provider.ledger().last()?;
    let cost = owed(&entry)?;
    ensure!(cost == 60 * 3_000 + 40 * 300 + 30 * 15_000 + 20 * 20_000, "the story's own sum: {cost}");
    ensure!(answer["id"] == entry.answer_id && answer["usage"]["prompt_tokens"] == 100, "{answer}");
    let shown: f64 = reply.must_have("x-litellm-response-cost")?.parse()?;
    ensure!(nanos(&json!(shown)) == Some(cost), "x-litellm-response-cost: {shown}");
    ensure!(reply.must_have("x-litellm-model-id")? == DEPLOYMENT);
    let base = reply.must_have("x-litellm-model-api-base")?;
    ensure!(base.trim_end_matches('/') == provider.base(), "x-litellm-model-api-base: {base}");
    reply.must_have("x-litellm-version")?;

    for (path, at) in [
        (format!("/key/info?key={}", key.hash), "/info/spend"),
        ("/team/info?team_id=builders".to_owned(), "/team_info/spend"),
        ("/user/info?user_id=ada".to_owned(), "/user_info/spend"),
    ] {
        shows_spend(&planes, &path, at, cost).await?;
    }
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(row.cost_nano_usd == i64::try_from(cost)?, "{row:#?}");
    ensure!(row.ending == "complete" && row.usage_source == "reported" && row.price_state == "known", "{row:#?}");
    ensure!(row.call_id == reply.must_have("x-litellm-call-id")? && row.request_id == entry.answer_id, "{row:#?}");
    ensure!((row.prompt_tokens, row.completion_tokens) == (100, 50) && row.success && row.status == 200, "{row:#?}");
    ensure!(row.key_hash.as_deref() == Some(&key.hash) && row.team_id.as_deref() == Some("builders"), "{row:#?}");
    ensure!(row.user_id.as_deref() == Some("ada") && row.deployment_id == DEPLOYMENT, "{row:#?}");
    planes.end()
}

#[tokio::test]
async fn a_stream_is_booked_from_usage_that_only_the_gateway_saw() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let call = streamed_chat(MODEL, "[[fake chunks=20 prompt=321 completion=123 cached=300 reasoning=23 slice=11]]");
    let mut events = planes.at(0, &key).stream("/v1/chat/completions", &call).await?;
    events.rest_to_done().await?;

    let cost = owed(&provider.ledger().last()?)?;
    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(row.cost_nano_usd == i64::try_from(cost)? && row.streamed && row.ending == "complete", "{row:#?}");
    ensure!(row.usage_source == "reported", "{row:#?}");
    planes.end()
}

#[tokio::test]
async fn a_stream_without_usage_is_estimated_and_says_so() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let call = streamed_chat(MODEL, "Tell me a story of some length, please. [[fake no_usage chunks=40]]");
    planes.at(0, &key).stream("/v1/chat/completions", &call).await?.rest_to_done().await?;

    let booked = planes.booked(1, SPEND_SHOWS_WITHIN).await?;
    let row = booked.first().context("no row")?;
    ensure!(
        row.usage_source == "estimated" && row.estimate_method.as_deref().is_some_and(|m| !m.is_empty()),
        "{row:#?}"
    );
    ensure!(row.prompt_tokens > 0 && row.completion_tokens >= 20 && row.cost_nano_usd > 0, "{row:#?}");
    planes.end()
}

#[tokio::test]
async fn a_model_that_nobody_has_a_price_for_is_booked_as_unknown_and_not_as_free() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let config = config.deployment(Deployment::on("unpriced", "openai/nobody-knows-this-one", &provider)).deployment(
        Deployment::on("gratis", "openai/given-away", &provider)
            .param("input_cost_per_token", json!(0))
            .param("output_cost_per_token", json!(0)),
    );
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    for model in ["unpriced", "gratis"] {
        planes.at(0, &key).post("/v1/chat/completions", &chat(model, "Hello")).await?.ok()?;
    }
    let booked = planes.booked(2, SPEND_SHOWS_WITHIN).await?;
    let state = |model: &str| booked.iter().find(|row| row.model_group == model).map(|row| row.price_state.as_str());
    ensure!(state("unpriced") == Some("unknown") && state("gratis") == Some("free"), "{booked:#?}");
    ensure!(database::sum(&booked) == 0, "{booked:#?}");
    planes.end()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_every_kind_over_two_data_planes_add_up_to_the_providers_own_sum() -> anyhow::Result<()> {
    let (provider, planes) = running(2).await?;
    let key = planes.new_key(json!({})).await?;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..60_usize {
        let client = planes.at(number % 2, &key);
        callers.spawn(async move {
            let directive = format!("[[fake prompt={} completion={} cached={}]]", 100 + number, 7 * number, number);
            match number % 3 {
                0 => client.post("/chat/completions", &chat(MODEL, &directive)).await?.ok().map(drop),
                1 => {
                    let mut events = client.stream("/v1/chat/completions", &streamed_chat(MODEL, &directive)).await?;
                    events.rest_to_done().await.map(drop)
                }
                _ => {
                    let call = json!({ "model": EMBEDDING, "input": format!("[[fake prompt={number} completion=0]]") });
                    client.post("/v1/embeddings", &call).await?.ok().map(drop)
                }
            }
        });
    }
    while let Some(called) = callers.join_next().await {
        called??;
    }
    let booked = planes.booked(60, SPEND_ARRIVES_WITHIN).await?;
    ensure!(provider.ledger().len() == 60, "the provider counted {} calls", provider.ledger().len());
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) == owed, "booked {}, owed {owed}", database::sum(&booked));
    shows_spend(&planes, &format!("/key/info?key={}", key.hash), "/info/spend", owed).await?;
    planes.end()
}

#[tokio::test]
async fn spend_logs_are_found_by_request_call_key_user_and_team() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let admin = planes.admin();
    admin.post("/team/new", &json!({ "team_id": "builders" })).await?.ok()?;
    admin.post("/user/new", &json!({ "user_id": "ada", "auto_create_key": false })).await?.ok()?;
    let key = planes.new_key(json!({ "team_id": "builders", "user_id": "ada" })).await?;
    let other = planes.new_key(json!({})).await?;
    let reply = planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "Mine")).await?;
    let entry = provider.ledger().last()?;
    planes.at(0, &other).post("/v1/chat/completions", &chat(MODEL, "Theirs")).await?.ok()?;
    planes.booked(2, SPEND_SHOWS_WITHIN).await?;

    for query in [
        format!("request_id={}", entry.answer_id),
        format!("request_id={}", reply.must_have("x-litellm-call-id")?),
        format!("api_key={}", key.hash),
        format!("api_key={}", key.secret),
        "user_id=ada".to_owned(),
        "team_id=builders".to_owned(),
    ] {
        let rows = admin.get(&format!("/spend/logs?{query}")).await?.ok()?;
        let found = rows.as_array().with_context(|| format!("{query}: no array: {rows}"))?;
        ensure!(found.len() == 1, "{query}: {} rows: {rows}", found.len());
        let row = found.first().unwrap_or(&Value::Null);
        ensure!(nanos(&row["spend"]) == Some(owed(&entry)?), "{query}: {row}");
        ensure!(row["request_id"] == entry.answer_id && row["api_key"] == key.hash, "{query}: {row}");
    }
    planes.end()
}

async fn shows_spend(planes: &Planes, path: &str, at: &str, cost: u64) -> anyhow::Result<()> {
    let admin = planes.admin();
    let what = format!("{path} shows a spend of {cost} nano-dollars");
    eventually(&what, SPEND_SHOWS_WITHIN, async || {
        let view = admin.get(path).await?.ok()?;
        let spend = view.pointer(at).with_context(|| format!("no {at} in {view}"))?;
        ensure!(nanos(spend) == Some(cost), "it shows {spend}");
        Ok(Some(()))
    })
    .await
}
