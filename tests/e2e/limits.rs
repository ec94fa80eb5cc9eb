//! Limits hold: of calls and tokens a minute and of calls at once, for keys, users and teams, on one data plane and several.

use std::time::Duration;

use acceptance::client::{Client, Reply};
use acceptance::planes::{Key, Planes, chat, streamed_chat};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{MODEL, running};

const PATH: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(10);

fn hello() -> Value {
    chat(MODEL, "[[fake prompt=10 completion=5]]")
}

/// A refusal for want of room, with everything that a client needs to come again.
fn is_limited(reply: &Reply, descriptor: &str, kind: &str) -> anyhow::Result<()> {
    let refusal = reply.refusal(429)?;
    ensure!(refusal.kind == "rate_limit_error", "{refusal:?}");
    let begins = format!("Rate limit exceeded for {descriptor}: ");
    let says = format!("Limit type: {kind}. Current limit: ");
    ensure!(refusal.message.starts_with(&begins) && refusal.message.contains(&says), "{refusal:?}");
    let wait: u64 = reply.must_have("retry-after")?.parse()?;
    ensure!((1..=61).contains(&wait), "retry-after: {wait}");
    ensure!(reply.must_have("rate_limit_type")? == kind);
    ensure!(reply.must_have("reset_at")?.ends_with(" UTC"));
    Ok(())
}

/// The status of so many calls, one after another.
async fn served(client: &Client, calls: usize) -> anyhow::Result<usize> {
    let mut served = 0;
    for _ in 0..calls {
        let reply = client.post(PATH, &hello()).await?;
        match reply.status {
            200 => served += 1,
            429 => {}
            _ => anyhow::bail!("{reply}"),
        }
    }
    Ok(served)
}

#[tokio::test]
async fn a_key_is_served_up_to_its_requests_a_minute_and_then_told_to_wait() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({ "rpm_limit": 2 })).await?;
    let client = planes.at(0, &key);
    for left in ["1", "0"] {
        let reply = client.post(PATH, &hello()).await?;
        reply.ok()?;
        ensure!(reply.must_have("x-ratelimit-api_key-limit-requests")? == "2");
        ensure!(reply.must_have("x-ratelimit-api_key-remaining-requests")? == left);
        ensure!(reply.must_have("x-litellm-key-rpm-limit")? == "2");
    }
    let refused = client.post(PATH, &hello()).await?;
    is_limited(&refused, "api_key", "requests")?;
    ensure!(refused.refusal(429)?.message.contains(&key.hash), "{refused}");

    let other = planes.new_key(json!({})).await?;
    planes.at(0, &other).post(PATH, &hello()).await?.ok()?;
    ensure!(provider.ledger().len() == 3, "a refused call reached the provider");
    planes.booked(3, WITHIN).await?;

    // A raised limit counts what there was.
    let raise = json!({ "key": key.secret, "rpm_limit": 3 });
    planes.admin().post("/key/update?wait=applied", &raise).await?.ok()?;
    ensure!(served(&client, 3).await? == 1);
    let nothing = planes.new_key(json!({ "rpm_limit": 0 })).await?;
    is_limited(&planes.at(0, &nothing).post(PATH, &hello()).await?, "api_key", "requests")?;
    planes.end()
}

#[tokio::test]
async fn tokens_are_reserved_before_a_call_and_counted_after_it() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let key = planes.new_key(json!({ "tpm_limit": 5_000 })).await?;
    let client = planes.at(0, &key);
    let call = |completion: u64| {
        let mut call = chat(MODEL, &format!("[[fake prompt=100 completion={completion}]]"));
        call["max_tokens"] = json!(1_000);
        call
    };
    let reply = client.post(PATH, &call(900)).await?;
    reply.ok()?;
    let left: u64 = reply.must_have("x-ratelimit-api_key-remaining-tokens")?.parse()?;
    ensure!((3_900..4_000).contains(&left), "a thousand and the prompt are reserved: {left} left");
    let reply = client.post(PATH, &call(3_000)).await?;
    let left: u64 = reply.must_have("x-ratelimit-api_key-remaining-tokens")?.parse()?;
    ensure!((2_900..3_000).contains(&left), "what was used is counted, not what was reserved: {left} left");
    // 4,100 of 5,000 are used: 900 are left, which is less than the next call reserves.
    is_limited(&client.post(PATH, &call(1)).await?, "api_key", "tokens")?;
    let mut small = call(1);
    small["max_tokens"] = json!(800);
    client.post(PATH, &small).await?.ok()?;

    // One that could never fit is let in alone, while something is left.
    let client = planes.at(0, &planes.new_key(json!({ "tpm_limit": 500 })).await?);
    client.post(PATH, &call(500)).await?.ok()?;
    is_limited(&client.post(PATH, &call(1)).await?, "api_key", "tokens")?;
    planes.end()
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_it_ends_and_leaves_it_when_its_client_does() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({ "max_parallel_requests": 1 })).await?;
    let client = planes.at(0, &key);
    let streamed = streamed_chat(MODEL, "[[fake chunks=3 gate]]");
    for is_read_to_its_end in [true, false] {
        provider.close_gate();
        let mut events = client.stream(PATH, &streamed).await?;
        events.next().await?.context("the stream is over")?;
        is_limited(&client.post(PATH, &hello()).await?, "api_key", "max_parallel_requests")?;
        if is_read_to_its_end {
            provider.open_gate();
            events.rest_to_done().await?;
        } else {
            drop(events);
            provider.open_gate();
        }
        eventually("the place is free again", WITHIN, async || {
            Ok((client.post(PATH, &hello()).await?.status == 200).then_some(()))
        })
        .await?;
    }
    planes.end()
}

#[tokio::test]
async fn limits_of_a_user_and_of_a_team_hold_for_all_of_their_keys_together() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let (team, user) = (
        json!({ "team_id": "few", "rpm_limit": 3 }),
        json!({ "user_id": "ada", "rpm_limit": 2, "auto_create_key": false }),
    );
    admin.post("/team/new?wait=applied", &team).await?.ok()?;
    admin.post("/user/new?wait=applied", &user).await?.ok()?;
    let of = async |wishes: Value| anyhow::Ok(planes.at(0, &planes.new_key(wishes).await?));
    let (one, two) = (of(json!({ "team_id": "few" })).await?, of(json!({ "team_id": "few" })).await?);
    ensure!(served(&one, 2).await? == 2 && served(&two, 3).await? == 1);
    is_limited(&one.post(PATH, &hello()).await?, "team", "requests")?;
    let (own, in_team) =
        (of(json!({ "user_id": "ada" })).await?, of(json!({ "user_id": "ada", "rpm_limit": 9 })).await?);
    ensure!(served(&own, 1).await? == 1 && served(&in_team, 3).await? == 1);
    is_limited(&own.post(PATH, &hello()).await?, "user", "requests")?;
    planes.end()
}

#[tokio::test]
async fn several_data_planes_share_a_limit_and_remember_how_many_they_are() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(2).await?;
    let client = |planes: &Planes, plane: usize, key: &Key| planes.at(plane, key);
    let key = eventually("both data planes know of each other", WITHIN, async || {
        let key = planes.new_key(json!({ "rpm_limit": 10 })).await?;
        let reply = client(&planes, 0, &key).post(PATH, &hello()).await?;
        let other = client(&planes, 1, &key).post(PATH, &hello()).await?;
        let left = |reply: &Reply| reply.must_have("x-ratelimit-api_key-remaining-requests").map(|left| left == "4");
        Ok((left(&reply)? && left(&other)?).then_some(key))
    })
    .await?;
    ensure!(served(&client(&planes, 0, &key), 9).await? == 4 && served(&client(&planes, 1, &key), 9).await? == 4);

    let key = planes.new_key(json!({ "rpm_limit": 10 })).await?;
    planes.control.kill_nine()?;
    planes.data[1].kill_nine()?;
    planes.data[1].start().await?;
    ensure!(served(&client(&planes, 1, &key), 9).await? == 5, "its part is still a half");
    planes.control.start().await?;
    planes.end()
}

#[tokio::test]
async fn limits_of_a_model_hold_for_that_model_of_key_and_team() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let team = json!({ "team_id": "t", "model_rpm_limit": { MODEL: 2 } });
    admin.post("/team/new?wait=applied", &team).await?.ok()?;
    let of = async |wishes: Value| anyhow::Ok(planes.at(0, &planes.new_key(wishes).await?));
    let own = of(json!({ "model_rpm_limit": { MODEL: 1, "other": 0 }, "team_id": "t" })).await?;
    let reply = own.post(PATH, &hello()).await?;
    reply.ok()?;
    ensure!(reply.must_have("x-ratelimit-model_per_key-remaining-requests")? == "0");
    is_limited(&own.post(PATH, &hello()).await?, "model_per_key", "requests")?;
    let another = of(json!({ "team_id": "t" })).await?;
    ensure!(served(&another, 3).await? == 1, "the team's other call was its first key's");
    is_limited(&another.post(PATH, &hello()).await?, "model_per_team", "requests")?;
    let tokens = of(json!({ "model_tpm_limit": { MODEL: 1 } })).await?;
    tokens.post(PATH, &hello()).await?.ok().context("larger than there ever is: alone")?;
    is_limited(&tokens.post(PATH, &hello()).await?, "model_per_key", "tokens")?;
    planes.end()
}
