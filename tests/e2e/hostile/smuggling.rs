//! Bytes that two readers would read in two ways: refused with one answer, and nothing behind them is served.

use acceptance::metrics::Metrics;
use acceptance::raw::{Raw, RawReply, post};
use anyhow::{Context, ensure};
use serde_json::json;

use super::{CHAT, SOON, body, good, serves};
use crate::world::running;

#[tokio::test]
async fn a_request_with_two_readings_is_refused_and_what_hides_behind_it_is_not_served() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[]).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let hidden = good(&key.secret);
    let call = body("Hello");
    let length = call.len();
    let head = |lines: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{lines}\r\n\r\n", key.secret)
    };
    let chunked = format!("{length:x}\r\n{call}\r\n0\r\n\r\n");
    let cases = [
        ("length, then encoding", head("Content-Length: 4\r\nTransfer-Encoding: chunked") + &chunked),
        ("encoding, then length", head("Transfer-Encoding: chunked\r\nContent-Length: 4") + &chunked),
        ("two lengths that differ", head(&format!("Content-Length: {length}\r\nContent-Length: 0")) + &call),
        ("two lengths that agree", head(&format!("Content-Length: {length}\r\nContent-Length: {length}")) + &call),
        ("a list of lengths", head(&format!("Content-Length: {length}, {length}")) + &call),
        ("a length with a sign", head(&format!("Content-Length: +{length}")) + &call),
        ("two encodings", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity") + &chunked),
        ("an encoding that is none", head("Transfer-Encoding: xchunked") + &chunked),
        ("an encoding before chunked", head("Transfer-Encoding: gzip, chunked") + &chunked),
        ("a tab in the encoding", head("Transfer-Encoding:\tchunked, identity") + &chunked),
        ("a blank before the colon", head("Transfer-Encoding : chunked") + &chunked),
        ("an encoding on a folded line", head("Transfer-Encoding:\r\n chunked") + &chunked),
        ("a folded header", head(&format!("X: a\r\n b\r\nContent-Length: {length}")) + &call),
        ("a line feed alone", head(&format!("X: a\nContent-Length: {length}")) + &call),
        ("a head of line feeds", head(&format!("Content-Length: {length}")).replace("\r\n", "\n") + &call),
        ("a carriage return within a value", head(&format!("X: a\rb\r\nContent-Length: {length}")) + &call),
        ("a zero byte within a value", head(&format!("X: a\0b\r\nContent-Length: {length}")) + &call),
        ("a chunk's size with a sign", head("Transfer-Encoding: chunked") + &chunked.replacen('\r', "+\r", 1)),
        ("a chunk of 2^64 and more", head("Transfer-Encoding: chunked") + "10000000000000001\r\n{}\r\n0\r\n\r\n"),
        ("a line feed after a chunk's size", head("Transfer-Encoding: chunked") + &chunked.replacen("\r\n", "\n", 1)),
        ("two authorizations", head(&format!("Authorization: Bearer sk-other\r\nContent-Length: {length}")) + &call),
        ("two hosts", head(&format!("Host: other\r\nContent-Length: {length}")) + &call),
        ("a length in disguise", head("content_length: 4") + &call),
        ("a key in disguise", head(&format!("x_litellm_api_key: sk-x\r\nContent-Length: {length}")) + &call),
        ("an encoding in HTTP/1.0", head("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0") + &chunked),
        ("no version", format!("POST {CHAT}\r\n\r\n")),
        ("version 3", head(&format!("Content-Length: {length}")).replace("HTTP/1.1", "HTTP/3.0") + &call),
    ];
    for (what, bytes) in &cases {
        let mut raw = Raw::connect(&base).await?;
        raw.send(format!("{bytes}{hidden}")).await?;
        let reply = RawReply::only(raw.closed(SOON).await.context(*what)?).context(*what)?;
        ensure!((400..500).contains(&reply.status), "{what}: {reply:?}");
    }
    ensure!(provider.ledger().is_empty(), "something of these was served: {:#?}", provider.ledger().entries());
    ensure!(metrics.limit("malformed").await? > 0 && metrics.limit("repeated_header").await? >= 4);
    ensure!(metrics.limit("lookalike_header").await? == 2);

    // The good one before a bad one is served, the one behind it is not.
    let mut raw = Raw::connect(&base).await?;
    raw.send(format!("{}{}{}", good(&key.secret), cases[0].1, good(&key.secret))).await?;
    ensure!(raw.reply(SOON).await?.status == 200);
    ensure!(RawReply::only(raw.closed(SOON).await?)?.status == 400);
    ensure!(provider.ledger().len() == 1);
    // What is written as the standard has it is served, in pieces and one after another.
    let mut raw = Raw::connect(&base).await?;
    raw.send(format!("\r\n{}{chunked}{}", head("Transfer-Encoding: Chunked"), good(&key.secret))).await?;
    ensure!(raw.reply(SOON).await?.status == 200 && raw.reply(SOON).await?.status == 200);
    planes.end()
}

#[tokio::test]
async fn the_route_is_the_paths_alone() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let status = async |bytes: String| {
        let mut raw = Raw::connect(&base).await?;
        raw.send(bytes).await?;
        anyhow::Ok(raw.reply(SOON).await?.status)
    };
    let refused = |path: &str| post(path, &key.secret, "", &body("Hello"));
    for path in [
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/%2e%2e/v1/chat/completions",
        "/v1//chat/completions",
        "//v1/chat/completions",
        "/v1/chat%2fcompletions",
        "/v1%2Fchat/completions",
        "/v1/chat\\completions",
        "/v1/chat%5ccompletions",
        "/v1/chat/completions%00",
        "/health/readiness/../../key/generate",
        "/health/readiness/..;/key/generate",
        "/openai/deployments/..%2f..%2fkey%2fgenerate/chat/completions",
        "/v1/chat/completions/",
        "/V1/chat/completions",
    ] {
        let status = status(refused(path)).await?;
        ensure!((400..500).contains(&status), "{path}: {status}");
    }
    ensure!(provider.ledger().is_empty());

    // A virtual key opens no admin route, whatever else the request says of where it goes.
    for more in [
        "X-Original-URL: /v1/models\r\n",
        "X-Rewrite-URL: /health/readiness\r\n",
        "X-Forwarded-Prefix: /v1/models\r\n",
        "X-HTTP-Method-Override: GET\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: localhost\r\n",
    ] {
        let status = status(post("/team/new", &key.secret, more, "{\"team_id\":\"mine\"}")).await?;
        ensure!(status == 401 || status == 403, "{more}: {status}");
    }
    for host in ["localhost/health/readiness?", "x/v1/models", "127.0.0.1:4001", "[::1]", "x@y", ""] {
        let bytes = post("/team/new", &key.secret, "", "{}").replace("Host: gateway", &format!("Host: {host}"));
        let status = status(bytes).await?;
        ensure!((400..500).contains(&status), "host {host:?}: {status}");
    }
    ensure!(planes.admin().get("/team/info?team_id=mine").await?.status == 404);

    // What names a health check by its host is still a call that needs a key.
    let absolute = |target: &str| good("sk-wrong").replace(&format!("POST {CHAT}"), &format!("POST {target}"));
    ensure!(status(absolute(&format!("http://health/{CHAT}"))).await? >= 400);
    ensure!(status(absolute(&format!("http://gateway{CHAT}"))).await? == 401);
    let other_host = good(&key.secret).replace(&format!("POST {CHAT}"), &format!("POST http://evil.example{CHAT}"));
    ensure!(status(other_host).await? == 200, "the path of an absolute address is the path");
    ensure!(status("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n".to_owned()).await? >= 400);
    ensure!(provider.ledger().len() == 1);
    planes.end()
}

#[tokio::test]
async fn http_2_is_refused_in_its_own_words() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(1).await?;
    let metrics = Metrics::restarted(&mut planes, 0, &[]).await?;
    let mut raw = Raw::connect(planes.data[0].base()).await?;
    raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    let said = raw.closed(SOON).await?;
    // SETTINGS, then GOAWAY whose last four bytes are HTTP_1_1_REQUIRED.
    ensure!(said.len() == 26 && said[3] == 4 && said[12] == 7 && said[22..] == [0, 0, 0, 0x0d], "{said:?}");
    ensure!(metrics.limit("http2").await? == 1);
    planes.end()
}

#[tokio::test]
async fn resets_at_any_place_leave_the_gateway_as_it_was() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let base = planes.data[0].base().to_owned();
    let call = good(&key.secret);
    for cut in (0..=call.len()).step_by(7) {
        let mut raw = Raw::connect(&base).await?;
        raw.send(call.get(..cut).unwrap_or_default()).await?;
        raw.reset()?;
    }
    for _ in 0..4 {
        serves(&base, &key.secret).await?;
    }
    planes.end()
}

#[tokio::test]
async fn the_admin_port_refuses_two_readings_too() -> anyhow::Result<()> {
    let (_provider, planes) = running(0).await?;
    let base = planes.control.base().to_owned();
    let master = planes.master_key();
    let body = "{\"team_id\":\"smuggled\"}";
    let head = |lines: &str| {
        format!("POST /team/new HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {master}\r\n{lines}\r\n\r\n{body}")
    };
    for (what, bytes) in [
        ("two authorizations", head(&format!("Authorization: Bearer sk-x\r\nContent-Length: {}", body.len()))),
        ("two lengths", head(&format!("Content-Length: {}\r\nContent-Length: 0", body.len()))),
        ("an encoding that is none", head("Transfer-Encoding: xchunked")),
        ("a folded header", head(&format!("X: a\r\n b\r\nContent-Length: {}", body.len()))),
    ] {
        let mut raw = Raw::connect(&base).await?;
        raw.send(bytes).await?;
        let status = raw.reply(SOON).await.context(what)?.status;
        ensure!((400..500).contains(&status), "{what}: {status}");
    }
    ensure!(planes.admin().get("/team/info?team_id=smuggled").await?.status == 404);
    planes.end()
}
