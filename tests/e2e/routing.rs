//! Where a call goes: names, aliases, wildcards, weights, retries, and every form of the path.

use acceptance::client::Client;
use acceptance::config::{Config, Deployment};
use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, chat};
use acceptance::price::STORY;
use acceptance::provider::FakeProvider;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{DEPLOYMENT, EMBEDDING, MODEL, priced, running};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn deployments_of_a_model_share_its_calls_by_weight() -> anyhow::Result<()> {
    let (heavy, light) = (FakeProvider::start()?, FakeProvider::start()?);
    let config = Config::new()
        .deployment(Deployment::on(MODEL, "openai/a", &heavy).param("weight", json!(3)))
        .deployment(Deployment::on(MODEL, "openai/b", &light).param("weight", json!(1)));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    for _ in 0..200 {
        planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello")).await?.ok()?;
    }
    // 150 expected, with a standard deviation of 6.1: five of them either way fail once in two million runs.
    let share = heavy.ledger().len();
    ensure!((119..=181).contains(&share) && share + light.ledger().len() == 200, "{share} of 200");
    planes.end()
}

#[tokio::test]
async fn a_failed_try_is_repeated_on_another_deployment_and_both_are_booked() -> anyhow::Result<()> {
    let (broken, good) = (FakeProvider::behaving("status=500")?, FakeProvider::start()?);
    let config = Config::new()
        .router("num_retries", json!(1))
        .deployment(Deployment::on(MODEL, "openai/a", &broken).priced(STORY).id("broken"))
        .deployment(Deployment::on(MODEL, "openai/b", &good).priced(STORY).id("good"));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    let mut retried = 0;
    for _ in 0..20 {
        let reply = planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello")).await?;
        reply.ok()?;
        ensure!(reply.must_have("x-litellm-model-id")? == "good");
        retried += reply.must_have("x-litellm-attempted-retries")?.parse::<usize>()?;
    }
    ensure!(good.ledger().len() == 20 && broken.ledger().len() == retried && retried > 0, "{retried} retries");
    let booked = planes.booked(20 + retried, SPEND_ARRIVES_WITHIN).await?;
    let refused = booked.iter().filter(|row| row.deployment_id == "broken");
    ensure!(
        refused.clone().count() == retried
            && refused.clone().all(|row| row.ending == "refused" && row.cost_nano_usd == 0)
    );
    ensure!(acceptance::database::sum(&booked) == good.ledger().owed(&STORY));
    planes.end()
}

#[tokio::test]
async fn a_try_that_the_caller_spoiled_is_not_repeated() -> anyhow::Result<()> {
    let (one, two) = (FakeProvider::start()?, FakeProvider::start()?);
    let config = Config::new()
        .router("num_retries", json!(2))
        .deployment(Deployment::on(MODEL, "openai/a", &one))
        .deployment(Deployment::on(MODEL, "openai/b", &two));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    planes.at(0, &key).post(CHAT, &chat(MODEL, "[[fake status=400]]")).await?.refusal(400)?;
    ensure!(one.ledger().len() + two.ledger().len() == 1, "a 400 was tried again");
    planes.end()
}

#[tokio::test]
async fn an_outage_is_not_made_worse_by_retries() -> anyhow::Result<()> {
    let provider = FakeProvider::behaving("status=503")?;
    let config = Config::new().router("num_retries", json!(2)).deployment(Deployment::on(MODEL, "openai/a", &provider));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    planes.at(0, &key).post(CHAT, &chat(MODEL, "Hello")).await?.refusal(503)?;
    ensure!((1..=3).contains(&provider.ledger().len()), "{} tries", provider.ledger().len());
    planes.end()
}

#[tokio::test]
async fn aliases_of_key_and_team_lead_to_the_model_they_name() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let admin = planes.admin();
    let team = json!({ "team_id": "builders", "model_aliases": { "gpt-3.5-turbo": MODEL } });
    admin.post("/team/new", &team).await?.ok()?;
    let by_key = planes.new_key(json!({ "aliases": { "fast": MODEL } })).await?;
    let by_team = planes.new_key(json!({ "team_id": "builders" })).await?;
    for (key, name) in [(&by_key, "fast"), (&by_team, "gpt-3.5-turbo")] {
        let reply = planes.at(0, key).post(CHAT, &chat(name, "Hello")).await?;
        let answer = reply.ok().context(name)?;
        ensure!(answer["model"] == name && reply.must_have("x-litellm-model-id")? == DEPLOYMENT, "{answer}");
        ensure!(provider.ledger().last()?.json()["model"] == "story-large");
    }
    // Somebody else's alias is nobody's model.
    planes.at(0, &by_team).post(CHAT, &chat("fast", "Hello")).await?.refusal(400)?;
    planes.end()
}

#[tokio::test]
async fn a_wildcard_serves_every_name_that_it_matches_and_no_other() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let planes =
        Planes::start(&config.deployment(Deployment::on("wild/*", "openai/*", &provider).id("wild")), 1).await?;
    let key = planes.new_key(json!({})).await?;
    for (asked, sent) in [("wild/one", "one"), ("wild/two-b/c", "two-b/c")] {
        let reply = planes.at(0, &key).post(CHAT, &chat(asked, "Hello")).await?;
        ensure!(reply.ok()?["model"] == asked && reply.must_have("x-litellm-model-id")? == "wild");
        ensure!(provider.ledger().last()?.json()["model"] == sent);
    }
    planes.at(0, &key).post(CHAT, &chat("tame/one", "Hello")).await?.refusal(400)?;
    planes.end()
}

#[tokio::test]
async fn every_form_of_the_path_leads_to_the_same_model() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let messages = json!({ "messages": [{ "role": "user", "content": "Hello" }] });
    let prompt = json!({ "prompt": "Hello" });
    let input = json!({ "input": ["Hello", "again"] });
    for (task, model, body) in
        [("chat/completions", MODEL, &messages), ("completions", MODEL, &prompt), ("embeddings", EMBEDDING, &input)]
    {
        for path in [format!("/v1/{task}"), format!("/{task}")] {
            let mut named = body.clone();
            named["model"] = json!(model);
            lands(&client, &provider, &path, &named, task).await?;
        }
        for path in
            [format!("/openai/deployments/{model}/{task}?api-version=2024-06-01"), format!("/engines/{model}/{task}")]
        {
            lands(&client, &provider, &path, body, task).await?;
        }
    }
    planes.end()
}

#[tokio::test]
async fn the_list_of_models_is_what_the_key_may_use() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let planes = Planes::start(&config.deployment(Deployment::on("third", "openai/third", &provider)), 1).await?;
    let all = planes.new_key(json!({})).await?;
    let some = planes.new_key(json!({ "models": [MODEL, "third"] })).await?;
    for path in ["/v1/models", "/models"] {
        ensure!(names(&planes.at(0, &all).get(path).await?.ok()?) == [MODEL, EMBEDDING, "third"]);
        ensure!(names(&planes.at(0, &some).get(path).await?.ok()?) == [MODEL, "third"]);
    }
    planes.data[0].client().get("/v1/models").await?.refusal(401)?;
    planes.at(0, &some).post("/v1/embeddings", &json!({ "model": EMBEDDING, "input": "Hello" })).await?.refusal(403)?;
    planes.end()
}

#[tokio::test]
async fn a_deployment_is_reached_by_its_id() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let reply = planes.at(0, &key).post(CHAT, &chat(DEPLOYMENT, "Hello")).await?;
    reply.ok()?;
    ensure!(reply.must_have("x-litellm-model-id")? == DEPLOYMENT);
    planes.end()
}

#[tokio::test]
async fn a_change_of_the_file_is_taken_up_at_the_next_start() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let mut planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    planes.at(0, &key).post(CHAT, &chat("newcomer", "Hello")).await?.refusal(400)?;
    let grown = config.deployment(Deployment::on("newcomer", "openai/newcomer", &provider));
    grown.write(planes.story().path())?;
    ensure!(planes.control.stop().await?.success());
    planes.control.start().await?;
    let client = planes.at(0, &key);
    acceptance::wait::eventually("the new model is served", SPEND_ARRIVES_WITHIN, async || {
        client.post(CHAT, &chat("newcomer", "Hello")).await?.ok().map(Some)
    })
    .await?;
    planes.end()
}

async fn lands(client: &Client, provider: &FakeProvider, path: &str, body: &Value, task: &str) -> anyhow::Result<()> {
    let before = provider.ledger().len();
    client.post(path, body).await?.ok().with_context(|| path.to_owned())?;
    let entry = provider.ledger().last()?;
    ensure!(
        provider.ledger().len() == before + 1 && entry.path == format!("/v1/{task}"),
        "{path} became {}",
        entry.path
    );
    Ok(())
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str()).collect()
}
