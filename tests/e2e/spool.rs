//! What the spool does when it is full, as the operator chose, and with what nothing can book. It is never silent.

use std::time::Duration;

use acceptance::cable::Condition;
use acceptance::client::{Client, Reply};
use acceptance::database;
use acceptance::planes::{Fleet, Key, Layout, SPEND_ARRIVES_WITHIN, chat};
use acceptance::ports;
use acceptance::price::STORY;
use acceptance::provider::FakeProvider;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::{MODEL, priced, running};

const CHAT: &str = "/v1/chat/completions";

/// Room for some fifty calls.
const SPOOL_MB: &str = "0.0625";

/// More calls than that.
const MANY: usize = 400;

async fn with_little_room(environment: &[(&str, &str)]) -> anyhow::Result<(FakeProvider, Fleet, Client)> {
    let (provider, config) = priced()?;
    let mut all = vec![("TURNPIKE_SPOOL_MAX_MB", SPOOL_MB)];
    all.extend(environment);
    let fleet = Fleet::start(&config, &Layout { control_planes: 1, data_planes: 1, environment: &all }).await?;
    let key = Key::generate(&fleet.admin(0), json!({})).await?;
    let client = fleet.data[0].client().with_key(&key.secret);
    Ok((provider, fleet, client))
}

/// Calls until `seen` is content with an answer.
async fn call_until(
    client: &Client,
    mut seen: impl AsyncFnMut(&Reply) -> anyhow::Result<bool>,
) -> anyhow::Result<Reply> {
    for number in 0..MANY {
        let reply = client.post(CHAT, &chat(MODEL, &format!("[[fake prompt={}]]", 1 + number))).await?;
        if seen(&reply).await? {
            return Ok(reply);
        }
    }
    anyhow::bail!("{MANY} calls and nothing happened")
}

fn log(fleet: &Fleet, words: &str) -> anyhow::Result<()> {
    let logged = fleet.story().logged()?;
    ensure!(logged.iter().any(|(_, text)| text.contains(words)), "no log says `{words}`");
    Ok(())
}

#[tokio::test]
async fn a_full_spool_refuses_calls_and_takes_them_again_when_it_was_delivered() -> anyhow::Result<()> {
    let (provider, mut fleet, client) = with_little_room(&[]).await?;
    fleet.set_cables(0, Condition::Cut);
    let refused = call_until(&client, async |reply| Ok(reply.status != 200)).await?;
    let refusal = refused.refusal(503)?;
    ensure!(refusal.message.contains("the spool holds"), "{refusal:?}");
    let served = provider.ledger().len();
    client.post(CHAT, &chat(MODEL, "Once more")).await?.refusal(503)?;
    ensure!(provider.ledger().len() == served, "a refused call was sent");
    log(&fleet, "the spool is filling")?;
    log(&fleet, "the spool is full: calls are refused")?;
    // Neither a restart nor a kill makes room.
    fleet.data[0].kill_nine()?;
    fleet.data[0].start().await?;
    eventually("it is full again", Duration::from_secs(5), async || {
        client.post(CHAT, &chat(MODEL, "After a kill")).await?.refusal(503).map(Some)
    })
    .await?;

    fleet.set_cables(0, Condition::Sound);
    eventually("calls are taken again", SPEND_ARRIVES_WITHIN, async || {
        client.post(CHAT, &chat(MODEL, "There is room")).await?.ok().map(Some)
    })
    .await?;
    let booked = fleet.database.booked_exactly(provider.ledger().len(), SPEND_ARRIVES_WITHIN).await?;
    ensure!(database::sum(&booked) == provider.ledger().owed(&STORY));
    fleet.end()
}

#[tokio::test]
async fn a_full_spool_that_is_set_to_serve_counts_what_it_does_not_book() -> anyhow::Result<()> {
    let port = ports::free()?.to_string();
    let environment = [("TURNPIKE_SPOOL_FULL", "serve-and-count"), ("TURNPIKE_METRICS_PORT", port.as_str())];
    let (provider, fleet, client) = with_little_room(&environment).await?;
    let metrics = Client::of(format!("http://127.0.0.1:{port}"));
    fleet.set_cables(0, Condition::Cut);
    call_until(&client, async |reply| {
        ensure!(reply.status == 200, "{reply}");
        Ok(figure(&metrics, "turnpike_unbooked_calls_total").await? >= 10)
    })
    .await?;
    log(&fleet, "WITHOUT BEING BOOKED")?;

    fleet.set_cables(0, Condition::Sound);
    let unbooked = figure(&metrics, "turnpike_unbooked_calls_total").await?;
    let unbooked_nano_usd = figure(&metrics, "turnpike_unbooked_nano_usd_total").await?;
    let spooled = provider.ledger().len() - usize::try_from(unbooked)?;
    let booked = fleet.database.booked_exactly(spooled, SPEND_ARRIVES_WITHIN).await?;
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) + unbooked_nano_usd == owed, "{unbooked_nano_usd} unbooked of {owed}");
    // The next call finds room, and the fleet view tells of the ones before it.
    client.post(CHAT, &chat(MODEL, "There is room")).await?.ok()?;
    fleet.database.booked_exactly(spooled + 1, SPEND_ARRIVES_WITHIN).await?;
    let admin = fleet.admin(0);
    eventually("the fleet view shows it", Duration::from_secs(20), async || {
        let view = admin.get("/fleet").await?.ok()?["data_planes"][0].clone();
        let shown = (&view["unbooked_calls"], &view["unbooked_nano_usd"]);
        ensure!(shown == (&json!(unbooked), &json!(unbooked_nano_usd)), "{view}");
        Ok(Some(()))
    })
    .await?;
    fleet.end()
}

/// A counter of the metrics page; 0 before it first counts.
async fn figure(metrics: &Client, name: &str) -> anyhow::Result<u64> {
    let page = metrics.get("/metrics").await?;
    let text = String::from_utf8_lossy(&page.body);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(Ok(0), |value| value.parse().with_context(|| format!("{name} is {value}")))
}

#[tokio::test]
async fn a_record_that_postgres_refuses_is_put_aside_and_does_not_hold_up_the_rest() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    // What Postgres has against it is its own affair: here a rule that nobody told the planes of.
    planes
        .database
        .execute("alter table spend_logs add constraint no_poison check (end_user is distinct from 'poison')")
        .await?;
    let from = |customer: &str| -> Value {
        let mut call = chat(MODEL, "Hello");
        call["user"] = json!(customer);
        call
    };
    for customer in ["a", "b", "poison", "c", "d", "poison", "e"] {
        planes.at(0, &key).post(CHAT, &from(customer)).await?.ok()?;
    }
    let booked = planes.booked(5, SPEND_ARRIVES_WITHIN).await?;
    let one = provider.ledger().owed(&STORY) / 7;
    ensure!(database::sum(&booked) == 5 * one, "{booked:#?}");
    let letters = eventually("two are put aside", SPEND_ARRIVES_WITHIN, async || {
        let letters = planes.database.dead_letters().await?;
        Ok((letters.len() == 2).then_some(letters))
    })
    .await?;
    ensure!(letters.iter().all(|letter| letter.contains("no_poison")), "{letters:?}");
    let wrong = planes.database.wrong_sums().await?;
    ensure!(wrong.is_empty(), "{wrong:#?}");

    // They are accounted for, so the spool lets go of them: nothing is left for the next start.
    ensure!(planes.data[0].stop().await?.success());
    let spool = planes.story().path().join("state-0").join("spool");
    let left: Vec<_> = std::fs::read_dir(spool)?.collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "{left:?}");
    planes.end()
}
