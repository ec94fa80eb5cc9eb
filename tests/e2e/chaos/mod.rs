//! Exactly once, under every fault that there is, at random and under load.
//!
//! A round is a fleet of its own: two control planes on a durable Postgres, two data planes, a cable between each pair, a
//! Redis through which budgets are shared, and a provider with its own books. Clients call without end ([`load`]) while one fault follows the other ([`faults`]). Then
//! everything is mended, the spools run empty, and the books are compared call by call ([`judge`]); and what data planes
//! believe to be spent of budgets is what is booked ([`spent`]).
//!
//! `make test` runs some fifteen faults. `make chaos` runs a thousand, in rounds of fifty: `TURNPIKE_CHAOS_CYCLES` says how
//! many, and `TURNPIKE_CHAOS_SEED` draws the same faults again.

mod dice;
mod faults;
mod judge;
mod load;
mod spent;

use std::time::Duration;

use acceptance::config::{Config, Deployment};
use acceptance::planes::{Fleet, Key, Layout};
use acceptance::price::STORY;
use acceptance::provider::FakeProvider;
use acceptance::redis::Redis;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use self::dice::Dice;
use self::faults::{Deck, Faults};
use self::judge::Verdict;
use self::load::Load;
use crate::world::MODEL;

/// Faults without `TURNPIKE_CHAOS_CYCLES`: each kind, and some twice.
const SHORT: usize = 16;

/// Faults in one round, which has its own fleet: a round that fails can be told from its beginning.
const ROUND: usize = 50;

/// The spool may hold some two hundred calls, so that it can be filled in a moment.
const SPOOL_MB: &str = "0.25";

/// All that is spooled arrives within this time once everything is mended. The shipper's longest pause is 10 s.
const ARRIVES_WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_call_is_booked_exactly_once_whatever_dies_breaks_or_fills_up() -> anyhow::Result<()> {
    let cycles = number("TURNPIKE_CHAOS_CYCLES")?.map_or(Ok(SHORT), usize::try_from)?;
    let seed = number("TURNPIKE_CHAOS_SEED")?.unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let mut sum = Verdict::default();
    let (mut left, mut round) = (cycles, 0);
    while left > 0 {
        let now = left.min(ROUND);
        let mut told = Vec::new();
        let judged = Box::pin(run(seed + round, now, &mut told)).await;
        let verdict = judged.with_context(|| {
            let told = told.join("\n");
            format!(
                "the round of seed {} (TURNPIKE_CHAOS_SEED, with TURNPIKE_CHAOS_CYCLES={now}):\n{told}",
                seed + round
            )
        })?;
        sum.add(&verdict);
        left -= now;
        round += 1;
        println!("chaos: {} of {cycles} cycles; {sum}", cycles - left);
    }
    println!("chaos: {cycles} cycles, {sum}, seed {seed}");
    Ok(())
}

/// A provider, and planes that call it, with little room in their spools.
async fn world(data_planes: usize, control_planes: usize) -> anyhow::Result<(FakeProvider, Fleet, Redis)> {
    let provider = FakeProvider::start()?;
    let config = Config::new().deployment(Deployment::on(MODEL, "openai/story-large", &provider).priced(STORY));
    // Data planes that are asked to stop do so at once: no load balancer has to notice.
    let redis = Redis::in_use().await?;
    let url = redis.url();
    let environment = [("TURNPIKE_SPOOL_MAX_MB", SPOOL_MB), ("TURNPIKE_LINGER_SECONDS", "0"), ("REDIS_URL", &*url)];
    let layout = Layout { control_planes, data_planes, environment: &environment };
    let fleet = Fleet::start(&config, &layout).await?;
    Ok((provider, fleet, redis))
}

/// One round: its faults in order, as `told`, and what the books say in the end.
async fn run(seed: u64, cycles: usize, told: &mut Vec<String>) -> anyhow::Result<Verdict> {
    let mut dice = Dice::of(seed);
    let (provider, mut fleet, mut redis) = world(2, 2).await?;
    let keys = keys(&fleet).await?;
    let load = Load::begin(&fleet, &keys, seed);
    load.goes_on(10).await.context("before the first fault")?;

    let mut deck = Deck::default();
    for cycle in 0..cycles {
        let fault = deck.draw(&mut dice);
        let began = std::time::Instant::now();
        let done = Faults { fleet: &mut fleet, redis: &mut redis, load: &load, dice: &mut dice }.strike(fault).await;
        let how = done.as_ref().map_or_else(|error| format!("{error:#}"), |()| "mended".to_owned());
        told.push(format!("{cycle:>4} {fault:?}: {how} after {:.1} s", began.elapsed().as_secs_f64()));
        done.with_context(|| format!("fault {cycle}, {fault:?}"))?;
        load.goes_on(5).await.with_context(|| format!("after fault {cycle}, {fault:?}"))?;
    }

    let calls = load.end().await?;
    // Everything is sound again: what is spooled arrives, and an orderly stop leaves nothing behind.
    eventually("all that must be booked is", ARRIVES_WITHIN, async || {
        judge::arrived(&calls, &provider, &fleet.database.booked().await?)?;
        Ok(Some(()))
    })
    .await?;
    spent::is_what_is_booked(&fleet, &keys).await.context("as Redis knows it")?;
    redis.kill_nine()?;
    spent::is_what_is_booked(&fleet, &keys).await.context("as each data plane knows it")?;
    for number in 0..fleet.data.len() {
        let status = fleet.data[number].stop().await?;
        ensure!(status.success(), "data plane {number} ended with {status}");
        let left = fleet.segments(number)?;
        ensure!(left.is_empty(), "the spool of data plane {number} still holds {left:?}");
    }
    let verdict = judge::judge(&calls, &provider, &fleet.database.booked().await?)?;
    let (wrong, dead) = (fleet.database.wrong_sums().await?, fleet.database.dead_letters().await?);
    ensure!(wrong.is_empty(), "sums that are not those of the rows:\n{}", wrong.join("\n"));
    ensure!(dead.is_empty(), "nothing here is poison:\n{}", dead.join("\n"));
    fleet.end()?;
    Ok(verdict)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nano_dollar_too_much_a_row_too_many_and_a_row_too_few_are_seen() -> anyhow::Result<()> {
    let (provider, fleet, _redis) = world(1, 1).await?;
    let load = Load::begin(&fleet, &keys(&fleet).await?, 1);
    load.goes_on(30).await?;
    let (calls, database) = (load.end().await?, &fleet.database);
    let judge = async || judge::judge(&calls, &provider, &database.booked().await?).map(drop);
    eventually("everything is right", ARRIVES_WITHIN, async || judge().await.map(Some)).await?;
    ensure!(database.wrong_sums().await?.is_empty());

    database.execute("update spend_logs set cost_nano_usd = cost_nano_usd + 1 where call_id like '%-0'").await?;
    ensure!(judge().await.is_err() && !database.wrong_sums().await?.is_empty(), "a nano-dollar is not seen");
    database.execute("update spend_logs set cost_nano_usd = cost_nano_usd - 1 where call_id like '%-0'").await?;
    judge().await?;
    let again = "insert into spend_logs select (jsonb_populate_record(row, jsonb_build_object('event_id', gen_random_uuid()))).*
        from spend_logs row where call_id like '%-0'";
    database.execute(again).await?;
    ensure!(judge().await.is_err() && !database.wrong_sums().await?.is_empty(), "a second row is not seen");
    database.execute("delete from spend_logs where call_id like '%-0'").await?;
    let booked = database.booked().await?;
    ensure!(judge::arrived(&calls, &provider, &booked).is_err() && judge().await.is_err(), "a lost row is not seen");
    fleet.end()
}

/// Keys with different owners, so that no sum is another one's; each works at every data plane.
async fn keys(fleet: &Fleet) -> anyhow::Result<Vec<Key>> {
    let admin = fleet.admin(0);
    for team in ["red", "blue"] {
        admin.post("/team/new", &json!({ "team_id": team })).await?.ok()?;
    }
    for user in ["ada", "bob"] {
        admin.post("/user/new", &json!({ "user_id": user, "auto_create_key": false })).await?.ok()?;
    }
    let mut keys = Vec::new();
    // With more money than they can spend: what is spent of it is counted.
    let rich = 1_000_000;
    for owners in [
        json!({ "team_id": "red", "user_id": "ada", "max_budget": rich }),
        json!({ "team_id": "blue", "max_budget": rich, "budget_limits": [{ "budget_duration": "30d", "max_budget": rich }] }),
        json!({ "user_id": "bob", "max_budget": rich, "model_max_budget": { MODEL: { "max_budget": rich, "budget_duration": "30d" } } }),
    ] {
        let key = Key::generate(&admin, owners).await?;
        for plane in &fleet.data {
            let client = plane.client().with_key(&key.secret);
            eventually("the key works", Duration::from_secs(10), async || {
                client.get("/v1/models").await?.ok()?;
                Ok(Some(()))
            })
            .await?;
        }
        keys.push(key);
    }
    Ok(keys)
}

fn number(variable: &str) -> anyhow::Result<Option<u64>> {
    let value = std::env::var(variable).ok();
    value.map(|value| value.parse().with_context(|| format!("{variable}={value} is no number"))).transpose()
}
