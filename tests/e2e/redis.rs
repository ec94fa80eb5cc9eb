//! Limits and budgets are one for all data planes where they share a Redis, and hold within their bounds where it is slow, dead
//! or has lost its memory.

use std::time::{Duration, Instant};

use acceptance::client::Client;
use acceptance::database::Database;
use acceptance::planes::{Key, Planes, chat, streamed_chat};
use acceptance::price::{STORY, Tokens, usd};
use acceptance::provider::FakeProvider;
use acceptance::redis::Redis;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{MODEL, TURN, priced};

const PATH: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(20);

/// A call whose cost is known before: its answer is as long as it may be.
fn hello() -> Value {
    let mut call = chat(MODEL, "[[fake prompt=10 completion=5]]");
    call["max_tokens"] = json!(5);
    call
}

fn worth(calls: u64) -> u64 {
    calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() })
}

async fn sharing(redis: &Redis, data_planes: usize) -> anyhow::Result<(FakeProvider, Planes)> {
    sharing_with(redis, data_planes, "20").await
}

/// Data planes that wait so many milliseconds for Redis: more where a crowd on a busy machine must not make it late.
async fn sharing_with(redis: &Redis, data_planes: usize, patience: &str) -> anyhow::Result<(FakeProvider, Planes)> {
    let (provider, config) = priced()?;
    let settings = [("REDIS_URL", &*redis.url()), ("TURNPIKE_REDIS_PATIENCE_MS", patience)];
    let planes = Planes::start_with(Database::fresh().await?, &config, data_planes, &settings).await?;
    all_share(&planes).await?;
    Ok((provider, planes))
}

/// All data planes have connected to Redis once more than they lost it.
async fn all_share(planes: &Planes) -> anyhow::Result<()> {
    for plane in &planes.data {
        eventually("the data plane shares through Redis", WITHIN, async || {
            let log = plane.logged()?;
            let last = |text: &str| log.rfind(text);
            Ok((last("limits are shared through Redis") > last("Redis does not answer")).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// How many of these calls were served; the others were refused with `refusal`.
async fn served(client: &Client, calls: usize, refusal: u16) -> anyhow::Result<usize> {
    let body = hello();
    let mut served = 0;
    for reply in join_all((0..calls).map(|_| client.post(PATH, &body))).await {
        match reply?.status {
            200 => served += 1,
            status => ensure!(status == refusal, "{status}"),
        }
    }
    Ok(served)
}

#[tokio::test]
async fn two_hundred_clients_over_three_data_planes_spend_what_there_is_and_no_more() -> anyhow::Result<()> {
    let redis = Redis::in_use().await?;
    let (provider, planes) = sharing_with(&redis, 3, "10000").await?;
    let key = planes.new_key(json!({ "max_budget": usd(worth(50)) })).await?;
    let body = hello();
    let clients: Vec<Client> = (0..3).map(|plane| planes.at(plane, &key)).collect();
    let calls = (0..200).map(|call| clients[call % 3].post(PATH, &body));
    for reply in join_all(calls).await {
        let status = reply?.status;
        ensure!(status == 200 || status == 422, "{status}");
    }
    // What was reserved by calls that were refused in the crowd is free again.
    let owed = eventually("all of it is spent", WITHIN, async || {
        for client in &clients {
            client.post(PATH, &hello()).await?;
        }
        let owed = provider.ledger().owed(&STORY);
        Ok((owed >= worth(50)).then_some(owed))
    })
    .await?;
    ensure!(owed == worth(50), "{owed} of {}", worth(50));
    planes.booked(50, WITHIN).await?;
    planes.end()
}

#[tokio::test]
async fn one_limit_holds_for_five_data_planes_wherever_the_calls_come() -> anyhow::Result<()> {
    let redis = Redis::in_use().await?;
    let (provider, planes) = sharing_with(&redis, 5, "10000").await?;
    let key = planes.new_key(json!({ "rpm_limit": 100 })).await?;
    let clients: Vec<Client> = (0..5).map(|plane| planes.at(plane, &key)).collect();
    let began = Instant::now();
    let of_each = join_all(clients.iter().map(|client| served(client, 60, 429))).await;
    let all: usize = of_each.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().sum();
    ensure!(all == 100 || began.elapsed() > Duration::from_secs(60), "{all} of 100 in a minute");

    // Skewed: one data plane may use all of it.
    let key = planes.new_key(json!({ "rpm_limit": 20 })).await?;
    ensure!(served(&planes.at(3, &key), 25, 429).await? == 20);
    let refused = planes.at(1, &key).post(PATH, &hello()).await?;
    ensure!(refused.refusal(429)?.message.contains("Current limit: 20, Remaining: 0"), "{refused}");
    ensure!((1..=61).contains(&refused.must_have("retry-after")?.parse::<u64>()?), "{refused}");

    // Tokens: what is used replaces what was reserved, for all.
    let key = planes.new_key(json!({ "tpm_limit": 5_000 })).await?;
    let mut large = chat(MODEL, "[[fake prompt=100 completion=900]]");
    large["max_tokens"] = json!(4_000);
    planes.at(0, &key).post(PATH, &large).await?.ok()?;
    eventually("another data plane knows what was used", WITHIN, async || {
        let mut probe = hello();
        probe["max_tokens"] = json!(1);
        let reply = planes.at(2, &key).post(PATH, &probe).await?;
        let left: u64 = reply.must_have("x-ratelimit-api_key-remaining-tokens")?.parse()?;
        Ok((left > 3_000).then_some(()))
    })
    .await?;

    // Wherever a second begins here and there: what a call reserved and did not use is free again.
    let key = planes.new_key(json!({ "tpm_limit": 40_000 })).await?;
    let mut modest = hello();
    modest["max_tokens"] = json!(4_000);
    for call in 0..40 {
        let client = planes.at(call % 5, &key);
        eventually(&format!("call {call} fits"), WITHIN, async || match client.post(PATH, &modest).await?.status {
            200 => Ok(Some(())),
            429 => Ok(None),
            status => anyhow::bail!("{status}"),
        })
        .await?;
    }

    // Calls at once.
    let key = planes.new_key(json!({ "max_parallel_requests": 2 })).await?;
    provider.close_gate();
    let gated = streamed_chat(MODEL, "[[fake chunks=3 gate]]");
    let mut one = planes.at(0, &key).stream(PATH, &gated).await?;
    let mut two = planes.at(1, &key).stream(PATH, &gated).await?;
    one.next().await?.context("the stream is over")?;
    two.next().await?.context("the stream is over")?;
    planes.at(2, &key).post(PATH, &hello()).await?.refusal(429)?;
    drop(two);
    provider.open_gate();
    eventually("the place is free again", WITHIN, async || {
        Ok((planes.at(2, &key).post(PATH, &hello()).await?.status == 200).then_some(()))
    })
    .await?;
    one.rest_to_done().await?;
    planes.end()
}

#[tokio::test]
async fn a_redis_that_stands_still_delays_a_few_calls_by_a_little_and_each_plane_keeps_its_part() -> anyhow::Result<()>
{
    let _turn = TURN.lock().await;
    let redis = Redis::in_use().await?;
    let (_provider, planes) = sharing(&redis, 2).await?;
    let key = planes.new_key(json!({ "rpm_limit": 10, "max_budget": usd(worth(1_000)) })).await?;
    let frozen = redis.freeze()?;
    let mut slowest = Duration::ZERO;
    let mut all = 0;
    for plane in [0, 1, 0, 1] {
        for _ in 0..5 {
            let began = Instant::now();
            all += served(&planes.at(plane, &key), 1, 429).await?;
            slowest = slowest.max(began.elapsed());
        }
    }
    // 20 ms of them are the wait for Redis; the rest is a debug build on a busy machine.
    ensure!(slowest < Duration::from_secs(1), "{slowest:?}");
    ensure!(all == 10, "{all} of 10 were served");
    for plane in &planes.data {
        ensure!(plane.logged()?.contains("Redis does not answer"), "it is still asked");
    }
    drop(frozen);
    all_share(&planes).await?;
    let mut after = 0;
    for plane in [0, 1] {
        after += served(&planes.at(plane, &key), 3, 429).await?;
    }
    ensure!(after == 0, "{after} more: Redis was not told what was admitted without it");
    planes.end()
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_told_again_and_not_believed_for_a_minute() -> anyhow::Result<()> {
    let mut redis = Redis::in_use().await?;
    let (provider, planes) = sharing_with(&redis, 2, "10000").await?;
    let budget = planes.new_key(json!({ "max_budget": usd(worth(20)) })).await?;
    ensure!(served(&planes.at(0, &budget), 12, 422).await? == 12);
    redis.kill_nine()?;
    // It is missed by those who call.
    let key = planes.new_key(json!({ "rpm_limit": 10 })).await?;
    for plane in [0, 1] {
        ensure!(served(&planes.at(plane, &key), 10, 429).await? == 5, "each serves its part");
    }
    redis.start_again().await?;
    all_share(&planes).await?;
    let key = planes.new_key(json!({ "rpm_limit": 10 })).await?;
    ensure!(served(&planes.at(0, &key), 10, 429).await? == 5, "it has not counted for a minute");
    redis.has_counted_long().await?;
    ensure!(served(&planes.at(1, &key), 10, 429).await? == 5, "what was admitted without it counts");
    ensure!(served(&planes.at(0, &key), 10, 429).await? == 0);
    eventually("all of the budget is spent", WITHIN, async || {
        for plane in [0, 1] {
            planes.at(plane, &budget).post(PATH, &hello()).await?;
        }
        let refused = planes.at(0, &budget).post(PATH, &hello()).await?.status == 422;
        Ok(refused.then_some(()))
    })
    .await?;
    let calls = provider.ledger().owed(&STORY) / worth(1) - 20;
    ensure!(calls <= 20, "{calls} calls of a budget for 20");
    planes.end()
}

#[tokio::test]
async fn without_redis_calls_are_refused_or_let_through_where_that_is_asked_for() -> anyhow::Result<()> {
    let mut redis = Redis::in_use().await?;
    let (_provider, mut planes) = sharing(&redis, 2).await?;
    // Patient: a Redis that is late on a busy machine is not what this is about.
    let patient = ("TURNPIKE_REDIS_PATIENCE_MS", "10000");
    planes.restart(0, &[("TURNPIKE_ON_REDIS_DOWN", "deny"), patient]).await?;
    planes.restart(1, &[("TURNPIKE_ON_REDIS_DOWN", "allow"), patient]).await?;
    all_share(&planes).await?;
    let key = planes.new_key(json!({ "rpm_limit": 4 })).await?;
    let free = planes.new_key(json!({})).await?;
    ensure!(served(&planes.at(0, &key), 3, 429).await? == 3);
    redis.kill_nine()?;
    let refused = planes.at(0, &key).post(PATH, &hello()).await?;
    ensure!(refused.refusal(503)?.message.contains("limits cannot be checked"), "{refused}");
    ensure!(refused.must_have("retry-after")? == "1");
    ensure!(served(&planes.at(1, &key), 8, 429).await? == 8);
    planes.at(0, &free).post(PATH, &hello()).await?.ok().context("a key without limits needs no Redis")?;
    redis.start_again().await?;
    redis.has_counted_long().await?;
    all_share(&planes).await?;
    ensure!(served(&planes.at(0, &key), 1, 429).await? == 0, "what was let through counts");
    planes.end()
}

#[tokio::test]
async fn a_cluster_is_a_redis_too() -> anyhow::Result<()> {
    let redis = Redis::cluster().await?;
    let (_provider, config) = priced()?;
    let settings = [("REDIS_CLUSTER_NODES", &*redis.nodes()), ("TURNPIKE_REDIS_PATIENCE_MS", "10000")];
    let planes = Planes::start_with(Database::fresh().await?, &config, 2, &settings).await?;
    all_share(&planes).await?;
    let key = planes.new_key(json!({ "rpm_limit": 6, "max_budget": usd(worth(100)) })).await?;
    ensure!(served(&planes.at(0, &key), 4, 429).await? == 4);
    ensure!(served(&planes.at(1, &key), 4, 429).await? == 2);
    planes.end()
}

#[tokio::test]
async fn a_wrong_address_of_redis_is_said_at_the_start_and_serves_on() -> anyhow::Result<()> {
    let (_provider, config) = priced()?;
    let settings = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", "1"), ("REDIS_PASSWORD", "canary-hunter2")];
    let planes = Planes::start_with(Database::fresh().await?, &config, 1, &settings).await?;
    let key: Key = planes.new_key(json!({ "rpm_limit": 2 })).await?;
    ensure!(served(&planes.at(0, &key), 3, 429).await? == 2);
    let log = planes.data[0].logged()?;
    ensure!(log.contains("Redis cannot be reached") && log.contains("127.0.0.1:1"), "{log}");
    ensure!(!log.contains("hunter2"));
    planes.end()
}
