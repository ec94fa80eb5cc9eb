//! No plaintext key, credential or token is stored or logged, whatever goes wrong.

use std::fs;
use std::path::Path;

use acceptance::config::PROVIDER_KEY;
use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, chat, streamed_chat};
use anyhow::{Context, ensure};
use serde_json::json;

use crate::world::{MODEL, priced};

const CHAT: &str = "/v1/chat/completions";

/// A prompt is not a secret of ours, but it is nobody's business either: storing prompts is off.
const PROMPT: &str = "prompt-canary-Zk4pYw81";

#[tokio::test]
async fn secrets_are_in_no_log_no_table_no_state_and_no_answer() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let mut planes = Planes::start(&config, 1).await?;
    // Once more, as talkative as they get.
    planes.control.kill_nine()?;
    planes.control.set_env("LITELLM_LOG", "TRACE");
    planes.control.start().await?;
    planes.restart(0, &[("LITELLM_LOG", "TRACE")]).await?;
    let custom = format!("sk-{}", "custom-canary-Qd93LmX2");
    let key = planes.new_key(json!({ "key": custom, "user_id": "ada" })).await?;
    ensure!(key.secret == custom, "the caller's own key was not taken");
    let made = planes.new_key(json!({})).await?;
    let wrong = "sk-wrong-canary-Hs82Kd0a";
    let mut answers = Vec::new();
    for directive in ["", "[[fake status=500]]", "[[fake status=401]]", "[[fake body=html]]", "[[fake cut_after=1]]"] {
        let text = format!("{PROMPT} {directive}");
        answers.push(planes.at(0, &key).post(CHAT, &chat(MODEL, &text)).await?);
        // Read as it is: some of these are refused before they become a stream.
        answers.push(planes.at(0, &made).post(CHAT, &streamed_chat(MODEL, &text)).await.with_context(|| text)?);
    }
    let stranger = planes.data[0].client();
    answers.push(stranger.with_key(wrong).post(CHAT, &chat(MODEL, PROMPT)).await?);
    answers.push(planes.control.client().with_key(wrong).get("/key/list").await?);
    answers.push(stranger.with_header("authorization", wrong).post(CHAT, &chat(MODEL, PROMPT)).await?);
    answers.push(planes.admin().post("/key/update", &json!({ "key": custom, "max_budget": "much" })).await?);
    for path in ["/key/list", "/model/info", "/spend/logs", "/user/info?user_id=ada", "/health/readiness"] {
        answers.push(planes.admin().get(path).await?);
    }
    planes.booked(provider.ledger().len(), SPEND_ARRIVES_WITHIN).await?;

    let join_token = fs::read_to_string(planes.story().path().join("tls/join-token"))?;
    let secrets = [custom.as_str(), &made.secret, wrong, planes.master_key(), PROVIDER_KEY, join_token.trim()];
    for answer in &answers {
        absent("an answer", &String::from_utf8_lossy(&answer.body), &secrets)?;
    }
    for (name, text) in planes.story().logged()? {
        ensure!(!text.is_empty(), "{name} is empty: nothing was looked at");
        absent(&name, &text, &secrets)?;
        absent(&name, &text, &[PROMPT])?;
    }
    let dump = planes.database.dump().await?;
    ensure!(dump.contains(&key.hash), "the dump shows the key's hash, so it was read");
    absent("the database", &dump, &secrets)?;
    absent("the database", &dump, &[PROMPT])?;
    let state = planes.story().path().join("state-0");
    ensure!(search(&state, &secrets)? + search(&state, &[PROMPT])? > 0, "no state file was looked at");
    planes.end()
}

/// None of the secrets is in `text`, nor any twelve characters in a row of one after its prefix.
fn absent(place: &str, text: &str, secrets: &[&str]) -> anyhow::Result<()> {
    for secret in secrets {
        let body = secret.get(secret.len().saturating_sub(12)..).unwrap_or(secret);
        if let Some(at) = text.find(body) {
            let around = text.get(at.saturating_sub(60)..at).unwrap_or_default();
            anyhow::bail!("{place} holds the secret {}… after: {around}", secret.get(..12).unwrap_or(secret));
        }
    }
    Ok(())
}

/// Looks through all files below `folder`, and says how many there were.
fn search(folder: &Path, secrets: &[&str]) -> anyhow::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files += search(&path, secrets)?;
        } else {
            absent(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path)?), secrets)?;
            files += 1;
        }
    }
    Ok(files)
}
