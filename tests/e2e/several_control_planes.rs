//! Several control planes on one Postgres: data planes move between them, and one that dies takes nothing along.

use std::time::{Duration, Instant};

use acceptance::cable::Condition;
use acceptance::database;
use acceptance::planes::{Fleet, Key, Layout, REFUSED_WITHIN, SPEND_ARRIVES_WITHIN, chat};
use acceptance::price::STORY;
use acceptance::provider::FakeProvider;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::world::{MODEL, priced};

const CHAT: &str = "/v1/chat/completions";

/// A data plane that lost its control plane is at another one within this time, on a busy machine.
const MOVES_WITHIN: Duration = Duration::from_secs(20);

/// Each data plane can be at either control plane.
async fn two_of_each() -> anyhow::Result<(FakeProvider, Fleet)> {
    let (provider, config) = priced()?;
    let layout = Layout { control_planes: 2, data_planes: 2, environment: &[] };
    Ok((provider, Fleet::start(&config, &layout).await?))
}

/// Waits until a data plane is connected to this control plane and holds its newest revision.
async fn is_at(fleet: &Fleet, data_plane: usize, control_plane: usize) -> anyhow::Result<()> {
    let (id, admin) = (fleet.id(data_plane)?, fleet.admin(control_plane));
    let what = format!("data plane {data_plane} is at control plane {control_plane}");
    eventually(&what, MOVES_WITHIN, async || {
        let seen = admin.get("/fleet").await?.ok()?;
        let data_planes = seen["data_planes"].as_array().context("no data planes")?;
        let own = data_planes.iter().find(|view| view["id"] == id.as_str()).context("it is not")?;
        ensure!(own["revision_applied"] == seen["revision"], "it holds {}", own["revision_applied"]);
        Ok(Some(()))
    })
    .await
}

async fn call(fleet: &Fleet, data_plane: usize, key: &Key) -> anyhow::Result<()> {
    let client = fleet.data[data_plane].client().with_key(&key.secret);
    client.post(CHAT, &chat(MODEL, "Hello")).await?.ok().map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_planes_move_to_the_control_plane_that_is_left_and_no_cent_is_lost() -> anyhow::Result<()> {
    let (provider, mut fleet) = two_of_each().await?;
    let mut calls = 0;
    let mut keys = vec![Key::generate(&fleet.admin(0), json!({ "team_id": null })).await?];
    for (dead, alive) in [(0, 1), (1, 0), (0, 1)] {
        fleet.control[dead].kill_nine()?;
        for data_plane in [0, 1] {
            // Also those calls are booked whose usage was on its way when the control plane died.
            is_at(&fleet, data_plane, alive).await?;
            for key in &keys {
                call(&fleet, data_plane, key).await?;
                calls += 1;
            }
        }
        let key = Key::generate(&fleet.admin(alive), json!({})).await?;
        for data_plane in [0, 1] {
            call(&fleet, data_plane, &key).await?;
            calls += 1;
        }
        keys.push(key);
        fleet.control[dead].start().await?;
    }
    let booked = fleet.database.booked_exactly(calls, SPEND_ARRIVES_WITHIN).await?;
    let owed = provider.ledger().owed(&STORY);
    ensure!(database::sum(&booked) == owed, "booked {}, owed {owed}", database::sum(&booked));
    let wrong = fleet.database.wrong_sums().await?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    fleet.end()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_control_plane_holds_within_a_second_at_data_planes_of_the_other() -> anyhow::Result<()> {
    let (_provider, fleet) = two_of_each().await?;
    // Each data plane reaches one of them only.
    for (data_plane, other) in [(0, 1), (1, 0)] {
        fleet.set_cable(data_plane, other, Condition::Cut);
        is_at(&fleet, data_plane, data_plane).await?;
    }
    for round in 0..6 {
        let (here, there) = (round % 2, (round + 1) % 2);
        let key = Key::generate(&fleet.admin(here), json!({})).await?;
        let made = Instant::now();
        eventually("the new key works at the other one's data plane", REFUSED_WITHIN, async || {
            call(&fleet, there, &key).await.map(Some)
        })
        .await?;
        ensure!(made.elapsed() < REFUSED_WITHIN, "it took {:?}", made.elapsed());
        fleet.admin(here).post("/key/block", &json!({ "key": key.secret })).await?.ok()?;
        let client = fleet.data[there].client().with_key(&key.secret);
        eventually("the blocked key is refused there", REFUSED_WITHIN, async || {
            client.post(CHAT, &chat(MODEL, "Hello")).await?.refusal(401)?;
            Ok(Some(()))
        })
        .await?;
    }
    fleet.end()
}
