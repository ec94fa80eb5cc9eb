//! A canary in every field that anybody can fill: none shows in a log, and those that are secrets show nowhere.
//!
//! What is kept on purpose (an alias, metadata) may stand in the database and is looked for in the logs alone. What opens
//! something may stand nowhere, in no spelling.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use acceptance::config::{Config, Deployment};
use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, chat, streamed_chat};
use acceptance::price;
use acceptance::provider::FakeProvider;
use acceptance::redis::Redis;
use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::MODEL;

const CHAT: &str = "/v1/chat/completions";

/// Canaries, and where they may stand. All of a kind share the text that is looked for, since there are hundreds.
struct Canaries {
    /// In what opens something: nowhere.
    secret: String,
    /// In what is somebody's own: in no log.
    kept: String,
    /// Secrets that the planes made themselves.
    made: Vec<String>,
}

impl Canaries {
    fn new() -> Self {
        let random = || uuid::Uuid::new_v4().simple().to_string().chars().take(LOOKED_FOR).collect();
        Self { secret: random(), kept: random(), made: Vec::new() }
    }

    fn secret(&self, field: &str) -> String {
        canary(field, &self.secret)
    }

    fn kept(&self, field: &str) -> String {
        canary(field, &self.kept)
    }

    /// None of the secrets is in `text`.
    fn no_secret(&self, place: &str, text: &str) -> anyhow::Result<()> {
        absent(place, text, &self.secret)?;
        self.made.iter().try_for_each(|made| absent(place, text, made))
    }
}

/// So many characters are looked for.
const LOOKED_FOR: usize = 16;

/// A canary that tells in which field it was.
fn canary(field: &str, end: &str) -> String {
    let field: String = field.chars().filter(char::is_ascii_alphanumeric).collect();
    let unique: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
    format!("sk-cnry-{field}-{unique}{end}")
}

#[tokio::test]
async fn a_canary_in_every_field_shows_in_no_log_and_a_secret_nowhere() -> anyhow::Result<()> {
    let mut canaries = Canaries::new();
    let provider = FakeProvider::start()?;
    let echo = echoing_provider().await?;
    let config = configured(&canaries, &provider, &echo);
    let redis = Redis::in_use().await?;
    let mut planes = Planes::start(&config, 1).await?;
    planes.control.kill_nine()?;
    planes.control.set_env("LITELLM_LOG", "TRACE");
    planes.control.start().await?;
    planes.restart(0, &[("LITELLM_LOG", "TRACE"), ("REDIS_URL", &redis.url())]).await?;
    canaries.made.push(planes.master_key().to_owned());
    let key = planes.new_key(json!({ "rpm_limit": 100_000, "max_budget": 100_000 })).await?;
    canaries.made.push(key.secret.clone());

    let fields = admin_bodies(&canaries, &planes).await?;
    ensure!(fields > 60, "only {fields} fields: the API's own description was not read");
    let shown = strangers(&canaries, &planes, &key.secret).await?;
    let calls = model_calls(&canaries, &planes, &key.secret).await?;
    planes.booked(provider.ledger().len() + calls, SPEND_ARRIVES_WITHIN).await?;

    for (what, answer) in &shown {
        canaries.no_secret(what, answer)?;
    }
    for (name, text) in planes.story().logged()? {
        // The first life of each was before.
        ensure!(text.contains("TRACE") || name.ends_with(".1.log"), "{name} is not as talkative as it gets");
        canaries.no_secret(&name, &text)?;
        absent(&name, &text, &canaries.kept)?;
    }
    let dump = planes.database.dump().await?;
    ensure!(dump.contains(&key.hash), "the dump shows the key's hash, so it was read");
    canaries.no_secret("the database", &dump)?;
    let shared = redis.dump().await?;
    ensure!(shared.contains(&key.hash), "Redis counts for the key, so it was read: {shared}");
    canaries.no_secret("Redis", &shared)?;
    let files = search(&planes.story().path().join("state-0"), &canaries)?;
    ensure!(files > 2, "{files} state files: the disk copy and the spool were not looked at");
    planes.end()
}

/// Canaries wherever the configuration has a credential, and some where it has none.
fn configured(canaries: &Canaries, provider: &FakeProvider, echo: &str) -> Config {
    let mut deployment = Deployment::on(MODEL, "openai/story-large", provider).priced(price::STORY);
    let provider_key = canaries.secret("api_key");
    deployment = deployment.param("api_key", json!(provider_key));
    deployment = deployment.param("extra_headers", json!({ "x-team-secret": canaries.secret("extra_headers") }));
    let azure = Deployment::on("azure-story", "azure/story", provider)
        .param("api_version", json!("2024-10-21"))
        .param("api_key", json!(canaries.secret("azure")));
    let echoing = Deployment::at("echo", "openai/echo", echo).param("api_key", json!(canaries.secret("echo")));
    Config::new()
        .deployment(deployment)
        .deployment(azure)
        .deployment(echoing)
        .router("redis_password", json!(canaries.secret("redis_password")))
        .router("redis_url", json!(format!("redis://u:{}@127.0.0.1:1", canaries.secret("redis_url"))))
        .litellm("cache_params", json!({ "type": "redis", "password": canaries.secret("cache") }))
        .litellm("unheard_of_key", json!(canaries.secret("unknown")))
        .litellm("callback_settings", json!({ "otel": { "api_key": canaries.secret("otel") } }))
        .general("alert_to_webhook_url", json!({ "budget_alerts": canaries.secret("webhook") }))
        .general(
            "pass_through_endpoints",
            json!([{ "path": "/p", "target": "http://127.0.0.1:1",
            "headers": { "authorization": canaries.secret("pass_through") } }]),
        )
}

/// Every field that the API's own description names, one at a time, in every shape that a text fits into.
async fn admin_bodies(canaries: &Canaries, planes: &Planes) -> anyhow::Result<usize> {
    let description = planes.admin().get("/openapi.json").await?.ok()?;
    let mut fields = 0;
    for (path, methods) in description["paths"].as_object().context("no paths")? {
        let schema = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        let Some(properties) = properties(&description, schema) else { continue };
        for name in properties.keys() {
            fields += 1;
            let opens = matches!(name.as_str(), "key" | "password" | "keys");
            let value = || if opens { canaries.secret(name) } else { canaries.kept(name) };
            let shapes = [json!(value()), json!([value()]), json!({ "a": value() }), json!([{ "a": value() }])];
            for shape in shapes {
                planes.admin().post(path, &json!({ name: shape })).await?;
            }
        }
    }
    // What LiteLLM's clients keep with a key or a team to log its calls with.
    for (path, holder) in [("/key/generate", "metadata"), ("/team/new", "metadata"), ("/user/new", "metadata")] {
        let secret = canaries.secret("callback");
        let vars = json!({ "langfuse_public_key": "pk", "langfuse_secret_key": secret });
        let logging = json!([{ "callback_name": "langfuse", "callback_type": "success", "callback_vars": vars }]);
        let refusal = planes.admin().post(path, &json!({ holder: { "logging": logging } })).await?.refusal(400)?;
        ensure!(
            refusal.message.contains("langfuse_secret_key") && refusal.message.contains("os.environ/"),
            "{refusal:?}"
        );
    }
    let reference =
        json!([{ "callback_name": "langfuse", "callback_vars": { "langfuse_secret_key": "os.environ/LF" } }]);
    planes.admin().post("/team/new", &json!({ "metadata": { "logging": reference } })).await?.ok()?;
    // Credentials that come through the API are sealed and never shown again.
    let added = json!({ "model_name": "added", "model_info": { "id": "added" }, "litellm_params": {
        "model": "openai/added", "api_key": canaries.secret("added"), "extra_headers": { "x-secret": canaries.secret("added_header") },
    } });
    let lent = json!({ "credential_name": "lent", "credential_values": { "api_key": canaries.secret("lent") }, "credential_info": {} });
    let changed =
        json!({ "model_info": { "id": "added" }, "litellm_params": { "api_key": canaries.secret("changed") } });
    for (path, body) in [("/model/new", added), ("/credentials", lent), ("/model/update", changed)] {
        canaries.no_secret(path, &planes.admin().post(path, &body).await?.ok()?.to_string())?;
    }
    for path in ["/model/info", "/v2/model/info", "/model_group/info", "/credentials", "/credentials/by_name/lent"] {
        canaries.no_secret(path, &planes.admin().get(path).await?.ok()?.to_string())?;
    }
    Ok(fields)
}

/// The properties of a request's body, whose description may stand elsewhere.
fn properties<'d>(description: &'d Value, schema: &'d Value) -> Option<&'d Map<String, Value>> {
    match schema["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#'))?["properties"].as_object(),
        None => schema["properties"].as_object(),
    }
}

/// Canaries by people without a key: in headers, queries and paths. Gives what they were answered.
async fn strangers(canaries: &Canaries, planes: &Planes, key: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut shown = Vec::new();
    let doors = [planes.data[0].client(), planes.control.client()];
    for door in &doors {
        for header in [
            "authorization",
            "x-litellm-api-key",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
            "cookie",
            "proxy-authorization",
            "ocp-apim-subscription-key",
            "x-litellm-tags",
            "user-agent",
            "x-anything",
        ] {
            let secret = canaries.secret(header);
            for value in [secret.clone(), format!("Bearer {secret}")] {
                for (path, with_key) in [(CHAT, false), (CHAT, true), ("/key/list", false), ("/no/such/path", false)] {
                    let door = if with_key { door.with_key(key) } else { door.clone() };
                    let answer = door.with_header(header, &value).post(path, &json!({})).await?;
                    shown.push((format!("{path} with {header}"), answer.to_string()));
                }
            }
        }
        for name in ["key", "api_key", "token", "access_token", "user_id", "anything"] {
            let secret = canaries.secret(name);
            for path in [
                format!("/key/info?{name}={secret}"),
                format!("{CHAT}?{name}={secret}"),
                format!("/key/list?{name}={secret}"),
            ] {
                // An answer may say which of their keys is unknown, to whom asked; the log may not.
                door.get(&path).await?;
                door.with_key(planes.master_key()).get(&path).await?;
            }
        }
    }
    for (name, text) in planes.story().logged()? {
        canaries.no_secret(&name, &text)?;
    }
    // Tags and the like are booked as they are given: those above were refused before.
    Ok(shown)
}

/// Canaries in calls, answers and errors. Gives how many calls went to the provider that echoes.
async fn model_calls(canaries: &Canaries, planes: &Planes, key: &str) -> anyhow::Result<usize> {
    let client = planes.data[0].client().with_key(key);
    for directive in ["", "[[fake status=500]]", "[[fake status=401]]", "[[fake body=html]]", "[[fake cut_after=1]]"] {
        let text = format!("{} {directive}", canaries.kept("prompt"));
        client.post(CHAT, &chat(MODEL, &text)).await?;
        client.post(CHAT, &streamed_chat(MODEL, &text)).await?;
    }
    for name in ["api_key", "api_base", "metadata", "extra_body", "tools", "unknown"] {
        let mut call = chat(MODEL, "Hello [[fake status=400]]");
        let secret = canaries.secret(name);
        call[name] = if name == "metadata" || name == "extra_body" { json!({ "a": secret }) } else { json!(secret) };
        client.post(CHAT, &call).await?;
    }
    // A provider that repeats our credential in what it says: no client hears it.
    let mut calls = 0;
    for call in [chat("echo", "Hello"), streamed_chat("echo", "Hello")] {
        let reply = client.post(CHAT, &call).await?;
        calls += 1;
        ensure!(reply.status == 401, "{reply}");
        canaries.no_secret("an error of a provider", &reply.to_string())?;
        let headers = reply.headers.iter().fold(String::new(), |mut all, (name, value)| {
            let _ = writeln!(all, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
            all
        });
        canaries.no_secret("the headers of a provider's error", &headers)?;
    }
    Ok(calls)
}

/// A provider that refuses every call and repeats the credential that it was sent, in body and header.
async fn echoing_provider() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(request.get(..read).unwrap_or_default()).into_owned();
                let shown = text.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("nothing");
                let body = json!({ "error": { "message": format!("Incorrect API key provided: {shown}."), "type": shown,
                    "param": shown, "code": "invalid_api_key" } });
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nx-echo: {shown}\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A gateway that hung up needs no answer.
                let _ = stream.write_all(head.as_bytes()).await;
            });
        }
    });
    Ok(format!("http://{address}/v1"))
}

/// A canary's end is not in `text`: as it is, in base64, in hexadecimal, escaped for an address, or backwards.
fn absent(place: &str, text: &str, canary: &str) -> anyhow::Result<()> {
    for (how, form) in forms(canary) {
        if let Some(at) = text.find(&form) {
            let around = text.as_bytes().get(at.saturating_sub(200)..at).map(String::from_utf8_lossy);
            anyhow::bail!("{place} holds a canary {how}, after: {}", around.unwrap_or_default());
        }
    }
    Ok(())
}

fn forms(canary: &str) -> Vec<(&'static str, String)> {
    // The end is what is secret; the beginning tells which field it was.
    let end = canary.get(canary.len().saturating_sub(LOOKED_FOR)..).unwrap_or(canary);
    let mut forms = vec![("as it is", end.to_owned()), ("backwards", end.chars().rev().collect())];
    forms.push(("in hexadecimal", end.bytes().map(|byte| format!("{byte:02x}")).collect()));
    forms.push(("escaped", end.bytes().map(|byte| format!("%{byte:02x}")).collect()));
    // At each of the three places that a text may have within base64; what depends on its neighbours is cut off.
    for skip in 0..3 {
        let shifted = end.get(skip..).unwrap_or_default();
        let whole = shifted.get(..shifted.len() / 3 * 3).unwrap_or_default();
        forms.push(("in base64", STANDARD_NO_PAD.encode(whole)));
        forms.push(("in base64 for addresses", URL_SAFE_NO_PAD.encode(whole)));
    }
    forms
}

/// Looks through all files below `folder`, and says how many there were.
fn search(folder: &Path, canaries: &Canaries) -> anyhow::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files += search(&path, canaries)?;
        } else {
            canaries.no_secret(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path)?))?;
            files += 1;
        }
    }
    Ok(files)
}

#[test]
fn a_canary_is_found_in_every_form() -> anyhow::Result<()> {
    let canary = Canaries::new().secret("x");
    for before in ["", "a", "ab"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{canary}z"));
        ensure!(absent("base64", &encoded, &canary).is_err(), "{before}");
    }
    ensure!(absent("plain", &format!("key={canary}"), &canary).is_err());
    ensure!(absent("backwards", &canary.chars().rev().collect::<String>(), &canary).is_err());
    ensure!(absent("another", &Canaries::new().secret("x"), &canary).is_ok());
    Ok(())
}
