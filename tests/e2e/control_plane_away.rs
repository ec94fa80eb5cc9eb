//! Data planes serve on with the control plane, and its database, away: also after a restart of their own.

use acceptance::config::{Config, Deployment};
use acceptance::database::{self, PrivateServer};
use acceptance::planes::{Planes, SPEND_ARRIVES_WITHIN, chat};
use acceptance::price::STORY;
use acceptance::provider::FakeProvider;
use anyhow::ensure;
use serde_json::json;

use crate::world::{MODEL, running};

#[tokio::test]
async fn calls_work_without_the_control_plane_also_after_a_restart_and_their_spend_arrives_later() -> anyhow::Result<()>
{
    let (provider, mut planes) = running(2).await?;
    let key = planes.new_key(json!({})).await?;
    let status = planes.control.stop().await?;
    ensure!(status.success(), "the control plane ended with {status} after SIGTERM");

    for data_plane in [0, 1] {
        planes.at(data_plane, &key).post("/v1/chat/completions", &chat(MODEL, "While it is away")).await?.ok()?;
    }
    // One data plane restarts in order, the other does not.
    ensure!(planes.data[0].stop().await?.success());
    planes.data[1].kill_nine()?;
    for data_plane in [0, 1] {
        planes.data[data_plane].start().await?;
        planes.at(data_plane, &key).post("/v1/chat/completions", &chat(MODEL, "After a restart")).await?.ok()?;
    }

    planes.control.start().await?;
    let booked = planes.booked(4, SPEND_ARRIVES_WITHIN).await?;
    ensure!(database::sum(&booked) == provider.ledger().owed(&STORY), "{booked:#?}");
    planes.end()
}

#[tokio::test]
async fn data_planes_take_up_changes_again_when_the_control_plane_is_back() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(2).await?;
    let old = planes.new_key(json!({})).await?;
    planes.control.kill_nine()?;
    planes.at(0, &old).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    planes.control.start().await?;

    // They come back by themselves, with jitter: until then a change answers without them.
    acceptance::wait::eventually("both data planes are connected again", SPEND_ARRIVES_WITHIN, async || {
        let probe = planes.new_key(json!({})).await?;
        for data_plane in [0, 1] {
            planes.at(data_plane, &probe).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
        }
        Ok(Some(()))
    })
    .await?;
    let new = planes.new_key(json!({})).await?;
    for data_plane in [0, 1] {
        for key in [&old, &new] {
            planes.at(data_plane, key).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
        }
    }
    planes.end()
}

#[tokio::test]
async fn a_blocked_key_stays_blocked_over_a_kill_without_the_control_plane() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let good = planes.new_key(json!({})).await?;
    let bad = planes.new_key(json!({})).await?;
    let deleted = planes.new_key(json!({})).await?;
    let admin = planes.admin();
    admin.post("/key/block?wait=applied", &json!({ "key": bad.secret })).await?.ok()?;
    admin.post("/key/delete?wait=applied", &json!({ "keys": [deleted.secret] })).await?.ok()?;
    planes.data[0].kill_nine()?;
    planes.control.kill_nine()?;
    planes.data[0].start().await?;

    planes.at(0, &bad).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.refusal(401)?;
    planes.at(0, &deleted).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.refusal(401)?;
    planes.at(0, &good).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    ensure!(provider.ledger().len() == 1);
    planes.end()
}

#[tokio::test]
async fn calls_work_while_postgres_is_away() -> anyhow::Result<()> {
    let server = PrivateServer::start().await?;
    let provider = FakeProvider::start()?;
    let config = Config::new().deployment(Deployment::on(MODEL, "openai/story-large", &provider).priced(STORY));
    let mut planes = Planes::start_on(server.database().await?, &config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    server.stop().await?;

    for _ in 0..5 {
        planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    }
    let readiness = planes.data[0].client().get("/health/readiness").await?;
    ensure!(readiness.status == 200, "{readiness}");
    let change = planes.admin().post("/key/generate", &json!({})).await?;
    ensure!(change.status >= 500, "a change without a database: {change}");
    planes.data[0].kill_nine()?;
    planes.data[0].start().await?;
    planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "After a restart")).await?.ok()?;
    planes.control.must_run()?;
    planes.end()
}

#[tokio::test]
async fn a_data_plane_that_starts_again_is_ready_with_what_changed_while_it_was_away() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(1).await?;
    planes.new_key(json!({})).await?;
    planes.data[0].kill_nine()?;
    let new = planes.new_key(json!({})).await?;
    planes.data[0].start().await?;
    planes.at(0, &new).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    planes.end()
}
