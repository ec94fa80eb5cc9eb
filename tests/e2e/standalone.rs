//! One command: both planes, a private Postgres, one port.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use acceptance::binaries::{binary, repository};
use acceptance::planes::{Key, SPEND_SHOWS_WITHIN, Standalone, chat, streamed_chat};
use acceptance::process::Recipe;
use acceptance::story::Story;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

/// YAML as people write it: comments, plain text, no quotes.
const CONFIG: &str = "\
# A model that needs no account, and one that nobody pays for yet.
model_list:
  - model_name: mock
    litellm_params:
      model: openai/mock-gpt
      mock_response: Hello from Turnpike.
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
    model_info:
      id: mock-1
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
";

#[tokio::test]
async fn one_command_answers_calls_and_takes_changes_on_its_one_port() -> anyhow::Result<()> {
    let (_story, config) = written("config.yaml", CONFIG)?;
    let standalone = Standalone::start(&config).await?;
    let admin = standalone.admin();
    let reply = admin.post("/v1/chat/completions", &chat("mock", "Hello")).await?;
    let answer = reply.ok().context("the master key calls a model")?;
    ensure!(answer["choices"][0]["message"]["content"] == "Hello from Turnpike.", "{answer}");
    ensure!(reply.must_have("x-litellm-model-id")? == "mock-1");

    let key = Key::generate(&admin, json!({ "models": ["mock"], "key_alias": "first" })).await?;
    let client = standalone.with_key(&key);
    let reply = client.post("/v1/chat/completions", &chat("mock", "Hello")).await?;
    reply.ok().context("a key works on its first use")?;
    let cost: f64 = reply.must_have("x-litellm-response-cost")?.parse()?;
    ensure!(cost > 0.0, "a priced mock costs something");
    client.stream("/v1/chat/completions", &streamed_chat("mock", "Hello")).await?.rest_to_done().await?;
    eventually("spend shows at the key", SPEND_SHOWS_WITHIN, async || {
        let info = admin.get(&format!("/key/info?key={}", key.hash)).await?.ok()?;
        Ok(info["info"]["spend"].as_f64().filter(|spend| *spend >= cost))
    })
    .await?;
    ensure!(admin.get("/health/liveliness").await?.ok()? == "I'm alive!");
    standalone.end().await
}

#[tokio::test]
async fn the_one_port_documents_itself() -> anyhow::Result<()> {
    let (_story, config) = written("config.yaml", CONFIG)?;
    let standalone = Standalone::start(&config).await?;
    let stranger = standalone.plane.client();
    let openapi = stranger.get("/openapi.json").await?.ok()?;
    for path in ["/key/generate", "/key/info", "/team/new", "/user/new", "/spend/logs", "/model/info"] {
        ensure!(openapi["paths"].get(path).is_some(), "{path} is not in openapi.json");
    }
    let mut page = stranger.get("/").await?;
    if (300..400).contains(&page.status) {
        page = stranger.get(page.must_have("location")?).await?;
    }
    let text = String::from_utf8_lossy(&page.body).to_lowercase();
    ensure!(page.status == 200 && text.contains("swagger"), "{page}");
    ensure!(!text.contains("https://unpkg") && !text.contains("https://cdn"), "the page fetches from a code host");
    standalone.end().await
}

#[tokio::test]
async fn keys_and_spend_survive_a_restart() -> anyhow::Result<()> {
    let (_story, config) = written("config.yaml", CONFIG)?;
    let mut standalone = Standalone::start(&config).await?;
    let key = Key::generate(&standalone.admin(), json!({})).await?;
    standalone.with_key(&key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    ensure!(standalone.plane.stop().await?.success());
    standalone.plane.start().await?;
    standalone.with_key(&key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    // Its database must not have outlived it, or the second kill would find two servers on one directory.
    standalone.plane.kill_nine()?;
    standalone.plane.start().await?;
    standalone.with_key(&key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    let admin = standalone.admin();
    eventually("three calls are in the spend logs", Duration::from_secs(10), async || {
        let rows = admin.get(&format!("/spend/logs?api_key={}", key.hash)).await?.ok()?;
        Ok((rows.as_array().map_or(0, Vec::len) == 3).then_some(()))
    })
    .await?;
    standalone.end().await
}

#[tokio::test]
async fn check_finds_every_problem_of_a_config_and_names_its_place() -> anyhow::Result<()> {
    let (_story, good) = written("good.yaml", CONFIG)?;
    for program in ["turnpike", "turnpike-control-plane"] {
        let output = Recipe::of(binary(program)?)
            .arg("check")
            .arg(good.display().to_string())
            .run(Duration::from_secs(20))
            .await?;
        ensure!(output.status.success(), "{program} check: {}", String::from_utf8_lossy(&output.stderr));
    }
    let bad = CONFIG
        .replace("model: openai/mock-gpt", "modle: openai/mock-gpt")
        .replace("openai/gpt-4o", "nosuchprovider/gpt-4o");
    let (_story, bad) = written("bad.yaml", &bad)?;
    let output = Recipe::of(binary("turnpike")?)
        .arg("check")
        .arg(bad.display().to_string())
        .run(Duration::from_secs(20))
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "a config that cannot serve passed: {said}");
    for named in
        ["model_list[0].litellm_params.modle", "`model`", "model_list[1].litellm_params.model", "nosuchprovider"]
    {
        ensure!(said.contains(named), "`{named}` is not in: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_config_that_cannot_serve_stops_the_start() -> anyhow::Result<()> {
    let (story, bad) = written("bad.yaml", "model_list:\n  - model_name: x\n    litellm_params: {}\n")?;
    let start = Recipe::of(binary("turnpike")?)
        .flag("--config", bad.display())
        .flag("--port", acceptance::ports::free()?)
        .flag("--data-dir", story.path().join("data").display())
        .env("LITELLM_MASTER_KEY", "sk-some-master-key-of-length");
    let output = start.run(Duration::from_secs(60)).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("model_list[0].litellm_params"), "{}: {said}", output.status);
    story.end()
}

#[tokio::test]
async fn a_start_without_a_master_key_says_what_to_set() -> anyhow::Result<()> {
    let (story, config) = written("config.yaml", CONFIG)?;
    let start = Recipe::of(binary("turnpike")?)
        .flag("--config", config.display())
        .flag("--port", acceptance::ports::free()?)
        .flag("--data-dir", story.path().join("data").display());
    let output = start.run(Duration::from_secs(60)).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success() && said.contains("LITELLM_MASTER_KEY"), "{}: {said}", output.status);
    story.end()
}

#[tokio::test]
async fn the_quickstart_config_answers_at_once() -> anyhow::Result<()> {
    let standalone = Standalone::start(&repository().join("deploy/examples/quickstart.yaml")).await?;
    let answer = standalone.admin().post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    ensure!(answer["choices"][0]["message"]["content"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    standalone.end().await
}

#[tokio::test]
async fn help_names_every_flag_that_the_stories_use() -> anyhow::Result<()> {
    for (program, flags) in [
        ("turnpike", ["--config", "--port", "--host", "--data-dir"].as_slice()),
        (
            "turnpike-control-plane",
            &["--config", "--database-url", "--host", "--admin-port", "--grpc-port", "--tls-dir"],
        ),
        (
            "turnpike-data-plane",
            &["--control-plane", "--join-token-file", "--host", "--port", "--state-dir", "--threads"],
        ),
    ] {
        let output = Recipe::of(binary(program)?).arg("--help").run(Duration::from_secs(10)).await?;
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{program} --help: {}", output.status);
        for flag in flags {
            ensure!(help.contains(flag), "{program} --help does not name {flag}");
        }
    }
    Ok(())
}

/// A file in a scratch directory that lives as long as the first of the two.
fn written(name: &str, text: &str) -> anyhow::Result<(Story, PathBuf)> {
    let story = Story::begin()?;
    let path = story.path().join(name);
    fs::write(&path, text)?;
    Ok((story, path))
}
