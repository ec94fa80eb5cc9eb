//! Bad calls and bad keys: each a clear error in the envelope, no provider is bothered, nothing is booked.

use acceptance::client::{Client, Refusal};
use acceptance::planes::{Planes, chat};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{EMBEDDING, MODEL, running};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_body_that_is_no_call_is_a_400_that_says_what_is_wrong() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);

    for broken in
        ["{\"model\": \"story\", \"messages\": [", "not json", "[1, 2]", "\"text\"", "null", "\u{0}", "{\"a\":1}}"]
    {
        let refusal = refused(&client, CHAT, broken.as_bytes(), 400).await?;
        ensure!(refusal.kind == "invalid_request_error", "{broken}: {refusal:?}");
    }
    refused(&client, CHAT, b"{\"model\": \"story\", \"messages\": [\xff\xfe]}", 400).await?;

    let messages = json!([{ "role": "user", "content": "Hello" }]);
    for (path, wrong, named) in [
        (CHAT, json!({ "model": 17, "messages": messages }), "model"),
        (CHAT, json!({ "model": null, "messages": messages }), "model"),
        (CHAT, json!({ "model": ["story"], "messages": messages }), "model"),
        (CHAT, json!({ "messages": messages }), "model"),
        (CHAT, json!({ "model": MODEL }), "messages"),
        ("/v1/completions", json!({ "model": MODEL }), "prompt"),
        ("/v1/embeddings", json!({ "model": EMBEDDING }), "input"),
        (CHAT, json!({ "model": MODEL, "messages": messages, "stream": "yes" }), "stream"),
    ] {
        let refusal = refused(&client, path, wrong.to_string().as_bytes(), 400).await?;
        ensure!(refusal.message.contains(named), "{wrong}: does not name `{named}`: {refusal:?}");
    }
    // Twice the same member that decides the route: which one counts must not be a matter of taste.
    refused(&client, CHAT, br#"{"model":"story","model":"other","messages":[{"role":"user","content":"x"}]}"#, 400)
        .await?;
    let deep = format!("{{\"model\":\"story\",\"messages\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    refused(&client, CHAT, deep.as_bytes(), 400).await?;

    nothing_happened(&provider.ledger().len(), &planes).await?;
    planes.end()
}

#[tokio::test]
async fn an_unknown_model_is_a_400_in_litellms_words() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let refusal = client.post(CHAT, &chat("no-such-model", "Hello")).await?.refusal(400)?;
    ensure!(
        refusal.message.contains(
            "/chat/completions: Invalid model name passed in model=no-such-model. \
             Call `/v1/models` to view available models for your key."
        ),
        "{refusal:?}"
    );
    ensure!(refusal.kind == "invalid_request_error", "{refusal:?}");
    client.post(CHAT, &chat("", "Hello")).await?.refusal(400)?;
    nothing_happened(&provider.ledger().len(), &planes).await?;
    planes.end()
}

#[tokio::test]
async fn a_huge_body_is_a_413_and_a_large_one_is_not() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    planes.restart(0, &[("TURNPIKE_MAX_BODY_MB", "4")]).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    client.post(CHAT, &chat(MODEL, &"word ".repeat(400_000))).await?.ok().context("2 MB")?;
    let huge = chat(MODEL, &"x".repeat(5 * 1024 * 1024));
    // The gateway may answer and hang up while we still send: then there is an answer or a broken pipe, and no call.
    match client.post(CHAT, &huge).await {
        Ok(reply) => drop(reply.refusal(413)?),
        Err(error) => ensure!(format!("{error:#}").contains("connection"), "{error:#}"),
    }
    ensure!(provider.ledger().len() == 1);
    planes.at(0, &key).post(CHAT, &chat(MODEL, "Still there?")).await?.ok()?;
    planes.end()
}

#[tokio::test]
async fn keys_that_open_nothing_are_refused_each_in_its_own_words() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let admin = planes.admin();
    let blocked = planes.new_key(json!({ "blocked": true })).await?;
    let expired = planes.new_key(json!({ "duration": "1s" })).await?;
    let narrow = planes.new_key(json!({ "models": ["some-other-model"] })).await?;
    let stranger = planes.data[0].client();

    let refusal = stranger.post(CHAT, &chat(MODEL, "Hello")).await?.refusal(401)?;
    ensure!(refusal.kind == "auth_error" && refusal.message.contains("No api key passed in"), "{refusal:?}");
    let unknown = stranger.with_key("sk-never-heard-of-this-key");
    let refusal = unknown.post(CHAT, &chat(MODEL, "Hello")).await?.refusal(401)?;
    ensure!(refusal.kind == "token_not_found_in_db" && refusal.param == "key", "{refusal:?}");
    ensure!(!refusal.message.contains("sk-never-heard"), "the key is repeated: {refusal:?}");
    let refusal = stranger.with_key("no-sk-in-front").post(CHAT, &chat(MODEL, "Hello")).await?.refusal(401)?;
    ensure!(refusal.kind == "auth_error" && refusal.message.contains("sk-"), "{refusal:?}");
    let refusal = planes.at(0, &blocked).post(CHAT, &chat(MODEL, "Hello")).await?.refusal(401)?;
    ensure!(refusal.kind == "auth_error" && refusal.message.contains("Key is blocked"), "{refusal:?}");
    let refusal = planes.at(0, &narrow).post(CHAT, &chat(MODEL, "Hello")).await?.refusal(403)?;
    ensure!(refusal.kind == "key_model_access_denied" && refusal.param == "model", "{refusal:?}");
    ensure!(refusal.message.contains("some-other-model"), "the allowed models are not named: {refusal:?}");
    let client = planes.at(0, &expired);
    let refusal = eventually("the key has expired", std::time::Duration::from_secs(3), async || {
        client.post(CHAT, &chat(MODEL, "Hello [[fake status=418]]")).await?.refusal(401).map(Some)
    })
    .await?;
    ensure!(refusal.kind == "expired_key", "{refusal:?}");

    // A virtual key is no admin's key, at neither door.
    let key = planes.new_key(json!({})).await?;
    for door in [planes.at(0, &key), planes.control.client().with_key(&key.secret)] {
        door.post("/team/new", &json!({ "team_id": "mine" })).await?.refusal(401)?;
    }
    ensure!(admin.get("/team/info?team_id=mine").await?.status == 404);
    ensure!(provider.ledger().entries().iter().all(|entry| entry.status == 418), "a refused call reached the provider");
    planes.end()
}

#[tokio::test]
async fn a_caller_chooses_neither_address_nor_credential() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let canary = acceptance::provider::FakeProvider::start()?;
    let key = planes.new_key(json!({})).await?;
    for (name, value) in [
        ("api_base", json!(canary.base())),
        ("base_url", json!(canary.base())),
        ("api_key", json!("sk-of-the-caller")),
        (
            "model_list",
            json!([{ "model_name": MODEL, "litellm_params": { "model": "openai/x", "api_base": canary.base() } }]),
        ),
        ("user_config", json!({ "model_list": [] })),
        ("extra_headers", json!({ "authorization": "Bearer sk-of-the-caller" })),
    ] {
        let mut call = chat(MODEL, "Hello");
        call[name] = value;
        let reply = planes.at(0, &key).post(CHAT, &call).await?;
        ensure!((400..500).contains(&reply.status) || reply.status == 200, "{name}: {reply}");
        if reply.status != 200 {
            Refusal::read(&reply.json()?, reply.status)?;
        }
    }
    ensure!(canary.ledger().is_empty(), "a caller sent the gateway to an address of their own");
    for entry in provider.ledger().entries() {
        let sent = entry.header("authorization").unwrap_or_default();
        ensure!(sent == format!("Bearer {}", acceptance::config::PROVIDER_KEY), "{sent}");
        ensure!(!String::from_utf8_lossy(&entry.body).contains("sk-of-the-caller"));
    }
    planes.end()
}

#[tokio::test]
async fn paths_that_do_not_exist_and_wrong_methods_are_told_apart_from_calls() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let missing = client.post("/v1/no/such/thing", &json!({})).await?;
    ensure!(missing.status == 404, "{missing}");
    let wrong = client.get(CHAT).await?;
    ensure!(wrong.status == 405 || wrong.status == 404, "{wrong}");
    for trick in ["/v1/../v1/chat/completions", "/v1//chat/completions", "/v1/chat%2fcompletions"] {
        let reply = client.post(trick, &chat(MODEL, "Hello")).await?;
        ensure!((400..500).contains(&reply.status), "{trick}: {reply}");
    }
    nothing_happened(&provider.ledger().len(), &planes).await?;
    planes.end()
}

async fn refused(client: &Client, path: &str, body: &[u8], status: u16) -> anyhow::Result<Refusal> {
    let reply = client.post_bytes(path, body.to_vec()).await?;
    reply.must_have("x-litellm-call-id")?;
    let shown = String::from_utf8_lossy(body.get(..80).unwrap_or(body)).into_owned();
    reply.refusal(status).with_context(|| shown)
}

/// No provider was called and nothing booked; a good call after it shows that everything before it has been taken in.
async fn nothing_happened(calls: &usize, planes: &Planes) -> anyhow::Result<()> {
    ensure!(*calls == 0, "{calls} bad calls reached the provider");
    let key = planes.new_key(Value::Object(serde_json::Map::new())).await?;
    planes.at(0, &key).post(CHAT, &chat(MODEL, "A good one")).await?.ok()?;
    planes.booked(1, acceptance::planes::SPEND_SHOWS_WITHIN).await.map(drop)
}
