//! A stored hash names a key and never is one: on no route, in no header, in no spelling.

use acceptance::client::Client;
use acceptance::planes::{Planes, chat};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::CHAT;
use crate::world::{EMBEDDING, MODEL, running};

const HEADERS: [&str; 12] = [
    "authorization: Bearer ",
    "authorization: bearer ",
    "authorization: BEARER ",
    "authorization: Basic ",
    "authorization: Token ",
    "authorization: ",
    "x-litellm-api-key: ",
    "x-litellm-api-key: Bearer ",
    "api-key: ",
    "x-api-key: ",
    "x-goog-api-key: ",
    "ocp-apim-subscription-key: ",
];

#[tokio::test]
async fn no_route_takes_a_stored_hash_for_a_key() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({ "user_id": "ada" })).await?;
    let master_hash = sha256_of(&planes).await?;
    let call = chat(MODEL, "Hello");
    let embed = json!({ "model": EMBEDDING, "input": "a" });
    let routes: Vec<(&str, Option<&Value>)> = vec![
        (CHAT, Some(&call)),
        ("/chat/completions", Some(&call)),
        ("/engines/story/chat/completions", Some(&call)),
        ("/openai/deployments/story/chat/completions", Some(&call)),
        ("/v1/embeddings", Some(&embed)),
        ("/v1/models", None),
        ("/v1/models/story", None),
        ("/key/list", None),
        ("/key/info", None),
        ("/user/info?user_id=ada", None),
        ("/model/info", None),
        ("/spend/logs", None),
        ("/key/generate", Some(&embed)),
        ("/team/new", Some(&embed)),
    ];
    let anonymous = planes.data[0].client();
    for hash in [key.hash.as_str(), master_hash.as_str()] {
        for spelling in spellings(hash) {
            for header in HEADERS {
                let (name, prefix) = header.split_once(": ").context("a header without a colon")?;
                let client = anonymous.with_header(name, &format!("{prefix}{spelling}"));
                refused(&client, CHAT, Some(&call), header).await?;
                refused(&client, "/v1/models", None, header).await?;
            }
        }
        for (route, body) in &routes {
            for door in [anonymous.with_key(hash), anonymous.with_header("x-litellm-api-key", hash)] {
                refused(&door, route, *body, "a model route").await?;
            }
            // At the control plane's own door only admin routes are.
            if !route.contains("/v1") && !route.contains("completions") {
                refused(&planes.control.client().with_key(hash), route, *body, "the admin port").await?;
            }
        }
        // Neither a query nor a cookie nor a body carries a key at all.
        for name in ["key", "api_key", "token", "access_token"] {
            refused(&anonymous, &format!("{CHAT}?{name}={hash}"), Some(&call), "a query").await?;
            refused(&anonymous, &format!("/key/list?{name}={hash}"), None, "a query").await?;
            let mut with_body = call.clone();
            with_body[name] = json!(hash);
            refused(&anonymous, CHAT, Some(&with_body), "a body").await?;
        }
        refused(&anonymous.with_header("cookie", &format!("token={hash}")), "/key/list", None, "a cookie").await?;
    }
    ensure!(provider.ledger().is_empty(), "a hash made a call");
    // The key itself opens what its hash does not; and the hash names it to an admin.
    planes.at(0, &key).post(CHAT, &call).await?.ok()?;
    planes.admin().get(&format!("/key/info?key={}", key.hash)).await?.ok()?;
    planes.end()
}

/// The hash as a thief might write it.
fn spellings(hash: &str) -> Vec<String> {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(hash);
    vec![hash.to_owned(), hash.to_uppercase(), format!("sk-{hash}"), format!("hashed_token:{hash}"), encoded]
}

/// The master key's hash. Nothing shows it, so it is made: a key with the same value gets the same hash.
async fn sha256_of(planes: &Planes) -> anyhow::Result<String> {
    let made = planes.admin().post("/key/generate", &json!({ "key": planes.master_key() })).await?;
    match made.status {
        200 => Ok(made.json()?["token"].as_str().context("no token")?.to_owned()),
        _ => anyhow::bail!("a key with the master key's value: {made}"),
    }
}

async fn refused(client: &Client, route: &str, body: Option<&Value>, how: &str) -> anyhow::Result<()> {
    let reply = match body {
        Some(body) => client.post(route, body).await?,
        None => client.get(route).await?,
    };
    ensure!(reply.status == 401, "{route} by {how}: {reply}");
    Ok(())
}
