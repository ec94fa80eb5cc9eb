//! Budgets hold: of keys, users, teams and of everybody, by window and by model, under parallel calls, over a restart without
//! the control plane, and over several data planes.

use std::time::Duration;

use acceptance::client::{Client, Reply};
use acceptance::planes::{Key, Planes, chat};
use acceptance::price::{STORY, Tokens, usd};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{MODEL, priced, running};

const PATH: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(20);

/// A call whose cost is known before: its answer is as long as it may be.
fn hello() -> Value {
    let mut call = chat(MODEL, "[[fake prompt=10 completion=5]]");
    call["max_tokens"] = json!(5);
    call
}

/// What it costs, in billionths of a dollar.
fn worth(calls: u64) -> u64 {
    calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() })
}

/// A budget that pays for so many.
fn pays_for(calls: u64) -> f64 {
    usd(worth(calls))
}

fn is_over_budget(reply: &Reply, says: &str) -> anyhow::Result<()> {
    let refusal = reply.refusal(422)?;
    ensure!(refusal.kind == "budget_exceeded" && refusal.message.contains(says), "{refusal:?}, expected: {says}");
    Ok(())
}

/// Calls until one is refused, and says how many were served.
async fn until_refused(client: &Client, says: &str) -> anyhow::Result<u64> {
    for served in 0..100 {
        let reply = client.post(PATH, &hello()).await?;
        if reply.status != 200 {
            is_over_budget(&reply, says)?;
            return Ok(served);
        }
    }
    anyhow::bail!("a hundred calls were served")
}

#[tokio::test]
async fn two_hundred_clients_at_once_spend_what_there_is_and_no_more() -> anyhow::Result<()> {
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({ "max_budget": pays_for(50), "key_alias": "thrifty" })).await?;
    let client = planes.at(0, &key);
    let body = hello();
    let replies = join_all((0..200).map(|_| client.post(PATH, &body))).await;
    for reply in replies {
        let reply = reply?;
        if reply.status != 200 {
            is_over_budget(&reply, "Budget has been exceeded! Key=thrifty Current cost: ")?;
        }
    }
    // What was reserved for more than it cost is free again.
    until_refused(&client, "Key=thrifty").await?;
    ensure!(provider.ledger().owed(&STORY) == worth(50), "{} of {}", provider.ledger().owed(&STORY), worth(50));
    planes.booked(50, WITHIN).await?;
    is_over_budget(&client.post(PATH, &hello()).await?, &format!("Current cost: {}", pays_for(50)))?;
    let shown = planes.admin().get(&format!("/key/info?key={}", key.hash)).await?.ok()?;
    ensure!(shown["info"]["spend"] == json!(pays_for(50)), "{shown}");

    // More money, or less spent, acts at once.
    let admin = planes.admin();
    admin.post("/key/update?wait=applied", &json!({ "key": key.secret, "max_budget": pays_for(51) })).await?.ok()?;
    ensure!(until_refused(&client, "thrifty").await? == 1);
    let expiry = "2099-01-01T00:00:00Z";
    let extra = json!({ "key": key.secret, "temp_budget_increase": pays_for(2), "temp_budget_expiry": expiry });
    admin.post("/key/update?wait=applied", &extra).await?.ok()?;
    ensure!(until_refused(&client, "thrifty").await? == 2);
    admin.post("/key/update?wait=applied", &json!({ "key": key.secret, "spend": 0 })).await?.ok()?;
    client.post(PATH, &hello()).await?.ok()?;
    planes.end()
}

#[tokio::test]
async fn every_kind_of_budget_refuses_in_its_own_words() -> anyhow::Result<()> {
    let (_provider, config) = priced()?;
    let config = config.litellm("max_budget", json!(pays_for(20))).litellm("budget_duration", json!("30d"));
    let planes = Planes::start(&config, 1).await?;
    let admin = planes.admin();
    let of = async |wishes: Value| anyhow::Ok(planes.at(0, &planes.new_key(wishes).await?));

    admin.post("/user/new?wait=applied", &json!({ "user_id": "ada", "max_budget": pays_for(2) })).await?.ok()?;
    admin.post("/team/new?wait=applied", &json!({ "team_id": "t", "max_budget": pays_for(2) })).await?.ok()?;
    ensure!(until_refused(&of(json!({ "user_id": "ada" })).await?, "ExceededBudget: User=ada over budget").await? == 2);
    // A user's budget is not asked for keys of a team; the team's is, and lets one more through than it pays for.
    let of_team = of(json!({ "user_id": "ada", "team_id": "t" })).await?;
    ensure!(until_refused(&of_team, "Budget has been exceeded! Team=t").await? == 3);

    let windows = json!({ "budget_limits": [
        { "budget_duration": "30d", "max_budget": pays_for(9) }, { "budget_duration": "1d", "max_budget": pays_for(1) },
    ] });
    ensure!(until_refused(&of(windows).await?, "ExceededBudget: Key over 1d budget. Spend=$0.0001").await? == 1);
    let models = json!({ "model_max_budget": {
        MODEL: { "budget_limit": pays_for(2), "time_period": "1d" }, "other": { "max_budget": 0, "budget_duration": "1d" },
    } });
    let says = format!("exceeded budget for model={MODEL}");
    ensure!(until_refused(&of(models).await?, &says).await? == 2);
    let nothing = of(json!({ "max_budget": 0 })).await?;
    is_over_budget(&nothing.post(PATH, &hello()).await?, "Current cost: 0, Max budget: 0")?;
    nothing.get("/v1/models").await?.ok().context("what costs nothing works")?;

    // Ten are spent of what all have together, which lets one more through than it pays for.
    let says = "Budget has been exceeded! Current cost: ";
    ensure!(until_refused(&of(json!({})).await?, says).await? == 21 - 8, "everybody");
    is_over_budget(&planes.data[0].client().with_key(planes.master_key()).post(PATH, &hello()).await?, says)?;
    planes.end()
}

#[tokio::test]
async fn what_was_spent_is_known_after_a_kill_without_the_control_plane() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({ "max_budget": pays_for(5) })).await?;
    let client = planes.at(0, &key);
    for _ in 0..2 {
        client.post(PATH, &hello()).await?.ok()?;
    }
    planes.booked(2, WITHIN).await?;
    planes.control.kill_nine()?;
    client.post(PATH, &hello()).await?.ok()?;
    planes.data[0].kill_nine()?;
    planes.data[0].start().await?;
    ensure!(until_refused(&client, "Budget has been exceeded!").await? == 2);

    planes.data[0].kill_nine()?;
    planes.data[0].start().await?;
    ensure!(until_refused(&client, "Budget has been exceeded!").await? == 0);
    planes.control.start().await?;
    planes.booked(5, WITHIN).await?;
    ensure!(until_refused(&client, "Budget has been exceeded!").await? == 0);
    ensure!(provider.ledger().owed(&STORY) == worth(5));
    planes.end()
}

#[tokio::test]
async fn several_data_planes_spend_no_more_together_than_one_call_each_beyond() -> anyhow::Result<()> {
    const PLANES: u64 = 3;
    let (provider, planes) = running(3).await?;
    known_to_each_other(&planes).await?;
    let key = planes.new_key(json!({ "max_budget": pays_for(50) })).await?;
    let clients: Vec<Client> = (0..3).map(|plane| planes.at(plane, &key)).collect();
    let body = hello();
    let before = provider.ledger().owed(&STORY);
    let replies = join_all((0..200).map(|call: usize| clients[call % 3].post(PATH, &body))).await;
    for reply in replies {
        let reply = reply?;
        ensure!(reply.status == 200 || reply.status == 422, "{reply}");
    }
    let spent = || provider.ledger().owed(&STORY) - before;
    ensure!(spent() <= worth(50), "{} of {}", spent(), worth(50));
    // Each hears what the others spent, and goes on with its part of the rest.
    eventually("the budget is spent", WITHIN, async || {
        for client in &clients {
            client.post(PATH, &body).await?;
        }
        Ok((spent() >= worth(50)).then_some(()))
    })
    .await?;
    for client in &clients {
        eventually("it is known to be spent", WITHIN, async || {
            Ok((client.post(PATH, &body).await?.status == 422).then_some(()))
        })
        .await?;
    }
    ensure!(spent() <= worth(50 + PLANES - 1), "{} of {}", spent(), worth(50));
    planes.end()
}

/// Waits until each of the data planes knows how many they are.
async fn known_to_each_other(planes: &Planes) -> anyhow::Result<()> {
    eventually("the data planes know of each other", WITHIN, async || {
        let key = planes.new_key(json!({ "rpm_limit": 30 })).await?;
        for plane in 0..planes.data.len() {
            let reply = planes.at(plane, &key).post(PATH, &hello()).await?;
            if reply.must_have("x-ratelimit-api_key-remaining-requests")? != "9" {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_budget_begins_anew_when_its_window_is_over_also_without_the_control_plane() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({ "max_budget": pays_for(1), "budget_duration": "5s" })).await?;
    let client = planes.at(0, &key);
    let resets_at = async |planes: &Planes, key: &Key| {
        let shown = planes.admin().get(&format!("/key/info?key={}", key.hash)).await?.ok()?;
        anyhow::Ok((shown["info"]["budget_reset_at"].clone(), shown["info"]["spend"].clone()))
    };
    let (first, _) = resets_at(&planes, &key).await?;
    ensure!(first.is_string(), "{first}");
    ensure!(until_refused(&client, "Budget has been exceeded!").await? <= 2, "a window may end between two calls");
    let is_served = async || Ok((client.post(PATH, &hello()).await?.status == 200).then_some(()));
    eventually("the budget begins anew", WITHIN, is_served).await?;
    eventually("it is shown", WITHIN, async || Ok((resets_at(&planes, &key).await?.0 != first).then_some(()))).await?;

    until_refused(&client, "Budget has been exceeded!").await?;
    // With its receipt comes when the window ends.
    planes.booked(provider.ledger().len(), WITHIN).await?;
    eventually("its receipt came", WITHIN, async || {
        let readiness = planes.data[0].client().get("/health/readiness").await?.ok()?;
        Ok((readiness["spool_events"] == 0).then_some(()))
    })
    .await?;
    planes.control.kill_nine()?;
    eventually("the budget begins anew by itself", WITHIN, is_served).await?;
    planes.control.start().await?;
    planes.end()
}
