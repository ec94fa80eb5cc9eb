//! Moving in from LiteLLM: a key that worked there works here, and what it spent there counts.

use std::process::Output;
use std::time::Duration;

use acceptance::binaries::binary;
use acceptance::database::Database;
use acceptance::planes::{Key, Planes, SPEND_SHOWS_WITHIN, Standalone, chat};
use acceptance::process::Recipe;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::Value;

use crate::world::{MODEL, running};

const PATH: &str = "/v1/chat/completions";

/// What the sheet of LiteLLM's data model says of its tables.
const TABLES: &str = include_str!("../../control-plane/src/takeover/litellm.sql");

/// Two keys: one that may go on, and one whose budget is spent.
const ROWS: &str = r#"
insert into "LiteLLM_UserTable" (user_id, user_role, spend) values ('ada', 'internal_user', 3);
insert into "LiteLLM_TeamTable" (team_id, members_with_roles, spend)
values ('red', '[{"role": "admin", "user_id": "ada"}]', 5);
insert into "LiteLLM_VerificationToken" (token, key_name, user_id, team_id, spend, total_spend, max_budget)
values (encode(sha256('sk-worked-with-litellm'), 'hex'), 'sk-...tllm', 'ada', 'red', 1.5, 2.5, 100),
       (encode(sha256('sk-spent-its-money-there'), 'hex'), 'sk-...here', null, null, 7.5, 7.5, 7);
"#;

fn key(value: &str) -> anyhow::Result<Key> {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Key { hash, secret: value.to_owned() })
}

/// A database as a proxy left it.
async fn litellms() -> anyhow::Result<Database> {
    let database = Database::fresh().await?;
    database.script(TABLES).await?;
    database.script(ROWS).await?;
    Ok(database)
}

async fn import(recipe: Recipe, from: &Database) -> anyhow::Result<Value> {
    let output: Output =
        recipe.env("TURNPIKE_IMPORT_FROM", from.url()).arg("--json").run(Duration::from_secs(60)).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("a report in JSON")
}

async fn into_planes(planes: &Planes, from: &Database) -> anyhow::Result<Value> {
    let recipe = Recipe::of(binary("turnpike-control-plane")?).arg("import");
    let vault_key = planes.vault_key_file().display().to_string();
    let recipe = recipe.env("DATABASE_URL", planes.database.url()).env("TURNPIKE_VAULT_KEY_FILE", vault_key);
    import(recipe, from).await
}

#[tokio::test]
async fn a_key_of_litellms_works_here_with_its_spend_on_top() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let from = litellms().await?;
    let report = into_planes(&planes, &from).await?;
    let keys = report["kinds"].as_array().context("kinds")?.iter().find(|tally| tally["kind"] == "key");
    ensure!(keys.is_some_and(|tally| tally["taken"] == 2 && tally["left"] == 0), "{report:#}");

    let worked = planes.at(0, &key("sk-worked-with-litellm")?);
    eventually("the key works on the data plane", Duration::from_secs(5), async || {
        Ok((worked.post(PATH, &chat(MODEL, "[[fake prompt=10 completion=5]]")).await?.status == 200).then_some(()))
    })
    .await?;
    let hash = key("sk-worked-with-litellm")?.hash;
    let admin = planes.admin();
    eventually("its spend is on top of what was spent there", SPEND_SHOWS_WITHIN, async || {
        let info = admin.get(&format!("/key/info?key={hash}")).await?.ok()?;
        Ok(info["info"]["spend"].as_f64().filter(|spend| *spend > 1.5 && *spend < 1.6))
    })
    .await?;
    let spent = planes.at(0, &key("sk-spent-its-money-there")?);
    let refusal = spent.post(PATH, &chat(MODEL, "Hello")).await?.refusal(422)?;
    ensure!(refusal.kind == "budget_exceeded", "{refusal:?}");

    let before = admin.get(&format!("/key/info?key={hash}")).await?.ok()?["info"]["spend"].clone();
    let again = into_planes(&planes, &from).await?;
    let idle = |tally: &Value| tally["taken"] == 0 && tally["renewed"] == 0 && tally["spend_brought"] == 0;
    ensure!(again["kinds"].as_array().context("kinds")?.iter().all(idle), "{again:#}");
    ensure!(admin.get(&format!("/key/info?key={hash}")).await?.ok()?["info"]["spend"] == before);
    planes.end()
}

#[tokio::test]
async fn turnpike_imports_into_its_own_database_while_it_runs_and_while_it_does_not() -> anyhow::Result<()> {
    let story = acceptance::story::Story::begin()?;
    let config = story.path().join("config.yaml");
    let text = "model_list:\n- model_name: mock\n  litellm_params: {model: openai/mock, mock_response: hi}\n";
    std::fs::write(&config, text)?;
    let from = litellms().await?;
    let standalone = Standalone::start(&config).await?;
    let data_dir = standalone.story().path().join("data");
    let recipe = || anyhow::Ok(Recipe::of(binary("turnpike")?).arg("import").flag("--data-dir", data_dir.display()));
    let tried = import(recipe()?.arg("--dry-run"), &from).await?;
    ensure!(tried["dry_run"] == true, "{tried:#}");
    let client = standalone.with_key(&key("sk-worked-with-litellm")?);
    ensure!(client.post(PATH, &chat("mock", "Hello")).await?.status == 401, "a dry run imports nothing");
    import(recipe()?, &from).await?;
    eventually("the key works", Duration::from_secs(5), async || {
        Ok((client.post(PATH, &chat("mock", "Hello")).await?.status == 200).then_some(()))
    })
    .await?;
    standalone.end().await?;
    story.end()
}
