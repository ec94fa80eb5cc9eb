//! Too much of something: headers, addresses, bodies, depth, compression, and names that stand twice.

use std::fmt::Write as _;

use acceptance::metrics::Metrics;
use acceptance::raw::{Raw, RawReply, post};
use anyhow::{Context, ensure};
use serde_json::json;

use super::{CHAT, SOON, body, serves};
use crate::world::{MODEL, running};

#[tokio::test]
async fn heads_and_bodies_have_sizes_and_are_refused_before_they_are_read() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[("TURNPIKE_MAX_BODY_MB", "1")]).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let call = body("Hello");
    let with = |more: &str| post(CHAT, &key.secret, more, &call);
    let many = |count: usize| {
        (0..count).fold(String::new(), |mut all, number| {
            let _ = write!(all, "x-{number}: y\r\n");
            all
        })
    };

    // Host, Authorization, Content-Type and Content-Length make it a hundred.
    ensure!(ask(&base, &with(&many(96))).await?.status == 200, "a hundred headers");
    ensure!(ask(&base, &with(&many(97))).await?.status == 431, "one more");
    ensure!(ask(&base, &with(&format!("x: {}\r\n", "y".repeat(60 << 10)))).await?.status == 200, "60 KiB of headers");
    ensure!(ask(&base, &with(&format!("x: {}\r\n", "y".repeat(64 << 10)))).await?.status == 431, "64 KiB and more");
    let path = |bytes: usize| format!("{CHAT}?{}", "q".repeat(bytes - CHAT.len() - 1));
    ensure!(ask(&base, &post(&path(8_192), &key.secret, "", &call)).await?.status == 200, "8 KiB of address");
    ensure!(ask(&base, &post(&path(8_193), &key.secret, "", &call)).await?.status == 414, "one more byte");
    let endless = ask(&base, &format!("GET /{}", "q".repeat(1 << 20))).await?;
    ensure!(endless.status == 414, "an address without end: {endless:?}");
    for limit in ["too_many_headers", "head_too_large"] {
        ensure!(metrics.limit(limit).await? == 1, "{limit} is not counted");
    }
    ensure!(metrics.limit("uri_too_long").await? == 2);

    // Nothing of the body is sent: the answer comes from its head alone. Nobody is told to go on either.
    let announced = |length: u64, key: &str, more: &str| {
        format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}Content-Length: {length}\r\n\r\n"
        )
    };
    for more in ["", "Expect: 100-continue\r\n"] {
        let large = ask(&base, &announced((1 << 20) + 1, &key.secret, more)).await?;
        ensure!(large.status == 413 && !large.head.contains("100"), "{large:?}");
        ensure!(ask(&base, &announced(u64::MAX, &key.secret, more)).await?.status >= 400);
        ensure!(ask(&base, &announced(1 << 40, "sk-wrong", more)).await?.status == 401, "the key comes first");
    }
    // Where no length is said, it is read as far as it may be.
    let mut raw = Raw::connect(&base).await?;
    let head = announced(0, &key.secret, "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    raw.send(&head).await?;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        raw.send(&chunk).await?;
    }
    ensure!(raw.reply(SOON).await?.status == 413);
    ensure!(metrics.limit("body_too_large").await? >= 3);
    ensure!(provider.ledger().len() == 3, "only the good calls reached the provider");
    serves(&base, &key.secret).await?;
    planes.end()
}

#[tokio::test]
async fn compressed_bodies_are_not_opened() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[]).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let encodings = ["gzip", "zstd", "br", "deflate", "x-gzip", "gzip, gzip", "identity, gzip", "GZIP", "aes"];
    for encoding in encodings {
        let call = post(CHAT, &key.secret, &format!("Content-Encoding: {encoding}\r\n"), &body("Hello"));
        let reply = ask(&base, &call).await?;
        ensure!(reply.status == 415, "{encoding}: {reply:?}");
        let said = reply.json()?["error"]["message"].as_str().unwrap_or_default().to_owned();
        ensure!(said.contains(encoding) && said.contains("send it as it is"), "{said}");
    }
    ensure!(metrics.limit("encoded_body").await? == encodings.len() as u64);
    let twice = "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n";
    ensure!(ask(&base, &post(CHAT, &key.secret, twice, &body("Hello"))).await?.status == 415, "the second one counts");
    let plain = post(CHAT, &key.secret, "Content-Encoding: identity\r\n", &body("Hello"));
    ensure!(ask(&base, &plain).await?.status == 200 && provider.ledger().len() == 1);
    planes.end()
}

#[tokio::test]
async fn json_is_so_deep_and_names_that_decide_stand_once() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let with = |more: &str| body("Hello").replacen('{', &format!("{{{more},"), 1);
    let status = async |call: &str| anyhow::Ok(ask(&base, &post(CHAT, &key.secret, "", call)).await?.status);
    let nested = |levels: usize| format!("\"x\":{}{}", "[".repeat(levels), "]".repeat(levels));
    ensure!(status(&with(&nested(127))).await? == 200, "128 levels with the body's own");
    ensure!(status(&with(&nested(128))).await? == 400, "one more");
    ensure!(status(&with(&format!("\"x\":{}", "{\"a\":".repeat(200_000)))).await? == 400);

    for (name, value) in [
        ("model", "\"other\""),
        ("messages", "[]"),
        ("stream", "true"),
        ("stream_options", "{}"),
        ("user", "\"a\""),
        ("metadata", "{}"),
        ("litellm_metadata", "{}"),
        ("tags", "[]"),
        ("max_tokens", "1"),
        ("max_completion_tokens", "1"),
        ("n", "1"),
        ("service_tier", "\"auto\""),
        ("api_key", "\"k\""),
        ("extra_body", "{}"),
        ("fallbacks", "[]"),
        ("timeout", "1"),
        ("num_retries", "1"),
        ("mock_response", "\"m\""),
    ] {
        let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        for second in [name.to_owned(), escaped] {
            let refused = status(&with(&format!("\"{name}\":{value},\"{second}\":{value}"))).await?;
            ensure!(refused == 400, "{name} and {second}: {refused}");
        }
    }
    for metadata in [r#"{"tags":["a"],"tags":["b"]}"#, r#"{"a":1,"\u0061":2}"#, r#""{\"a\":1,\"a\":2}""#] {
        ensure!(status(&with(&format!("\"metadata\":{metadata}"))).await? == 400, "{metadata}");
    }
    ensure!(provider.ledger().len() == 1);
    // What the gateway does not read is the provider's business.
    ensure!(status(&with("\"seed\":1,\"seed\":2")).await? == 200);
    let sent = provider.ledger().last()?;
    ensure!(String::from_utf8_lossy(&sent.body).contains("\"seed\":1,\"seed\":2"), "the client's bytes were changed");
    ensure!(sent.json()["model"] == "story-large" && MODEL != "story-large");
    planes.end()
}

/// One call on a connection of its own. The gateway may answer and hang up while we still send.
async fn ask(base: &str, call: &str) -> anyhow::Result<RawReply> {
    let mut raw = Raw::connect(base).await?;
    let _ = raw.send(call).await;
    let shown = call.get(..60).unwrap_or(call).to_owned();
    raw.reply(SOON).await.with_context(|| shown)
}
