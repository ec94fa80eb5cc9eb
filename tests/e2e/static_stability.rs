//! With the control plane and Postgres away, alone and together, no call fails; and a data plane that restarts then is ready from
//! its disk copy, also with many keys.

use std::time::{Duration, Instant};

use acceptance::background::Background;
use acceptance::config::{Config, Deployment};
use acceptance::crowd;
use acceptance::database::PrivateServer;
use acceptance::planes::{Planes, chat};
use anyhow::ensure;

const KEYS: usize = 50_000;
const CALLS: usize = 60;
const PER_SECOND: u32 = 60;

/// Generous: a debug build, on a machine that does other things.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_control_plane_and_postgres_are_away_alone_and_together() -> anyhow::Result<()> {
    let _turn = crate::world::TURN.lock().await;
    let server = PrivateServer::start().await?;
    let config = Config::new().deployment(Deployment::mock("mock", "Hello from the mock."));
    let mut planes = Planes::start_on(server.database().await?, &config, 1).await?;
    crowd::insert(planes.database.url(), KEYS).await?;
    crowd::held_by_all(&planes, SOON).await?;

    let clients = (0..KEYS).step_by(997).map(|number| planes.at(0, &crowd::key(number))).collect();
    let (calls, hiccups) = Background::start(clients, PER_SECOND, "/v1/chat/completions", chat("mock", "Hello"));
    planes.control.kill_nine()?;
    calls.served_more(CALLS, SOON).await?;
    planes.control.start().await?;
    crowd::held_by_all(&planes, SOON).await?;
    server.stop().await?;
    calls.served_more(CALLS, SOON).await?;
    planes.control.kill_nine()?;
    calls.served_more(CALLS, SOON).await?;
    let outcome = calls.end(hiccups).await?;
    ensure!(
        outcome.failures.is_empty(),
        "{} of {} calls failed: {:?}",
        outcome.failures.len(),
        outcome.served,
        outcome.failures
    );

    for round in 0..2 {
        planes.data[0].kill_nine()?;
        let began = Instant::now();
        planes.data[0].start().await?;
        println!("ready from the disk copy with {KEYS} keys after {:?}", began.elapsed());
        for number in (round..KEYS).step_by(9_973) {
            planes.at(0, &crowd::key(number)).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
        }
    }
    planes.end()
}
