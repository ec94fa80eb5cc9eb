//! Many data planes come at once, with nothing in hand: all are served, and the control plane stays small.

use std::time::{Duration, Instant};

use acceptance::config::{Config, Deployment};
use acceptance::crowd;
use acceptance::light::{Door, Light, Received};
use acceptance::planes::Planes;
use anyhow::{Context, ensure};
use serde_json::json;
use tokio::task::JoinSet;

/// What the herd met.
struct Served {
    received: Vec<Received>,
    took: Duration,
    /// By how much the control plane's memory grew at most, in bytes.
    grew: u64,
    /// How long making a key took meanwhile.
    admin: Vec<Duration>,
}

async fn herd(clients: usize, keys: usize) -> anyhow::Result<Served> {
    let _turn = crate::world::TURN.lock().await;
    let config = Config::new().deployment(Deployment::mock("mock", "Hello from the mock."));
    let planes = Planes::start(&config, 0).await?;
    crowd::insert(planes.database.url(), keys).await?;
    let door = Door::open(planes.grpc_port(), &planes.join_token())?;
    let before = resident(planes.control.process_id()?)?;

    let began = Instant::now();
    let mut coming = JoinSet::new();
    for number in 0..clients {
        let door = door.clone();
        coming.spawn(async move { Light::receive(&door, &format!("light-{number}")).await });
    }
    let (mut here, mut peak, mut admin) = (Vec::new(), before, Vec::new());
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while here.len() < clients {
        tokio::select! {
            came = coming.join_next() => here.push(came.context("somebody is missing")???),
            _ = looks.tick() => {
                peak = peak.max(resident(planes.control.process_id()?)?);
                let asked = Instant::now();
                planes.admin().post("/key/generate?wait=none", &json!({})).await?.ok()?;
                admin.push(asked.elapsed());
            }
        }
    }
    let took = began.elapsed();
    admin.sort();
    let fleet = crowd::fleet(&planes.admin()).await?;
    let connected = fleet["data_planes"].as_array().map_or(0, Vec::len);
    ensure!(connected == clients, "{connected} of {clients} are connected in the end");
    let received = here.iter().map(|light| light.received.clone()).collect();
    drop(here);
    planes.end()?;
    Ok(Served { received, took, grew: peak - before, admin })
}

/// Resident memory of a process, in bytes.
fn resident(process: u32) -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("no resident pages")?.parse()?;
    Ok(pages * 4096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_data_planes_that_come_at_once_all_get_everything() -> anyhow::Result<()> {
    const KEYS: u64 = 5_000;
    let served = herd(10, usize::try_from(KEYS)?).await?;
    for received in &served.received {
        // The settings and the deployment, and keys that were made meanwhile.
        ensure!(received.resources >= KEYS + 2, "{received:?}");
        ensure!(received.chunks >= 1 && received.revision > 0, "{received:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million keys: run by `make load`, with optimised programs in TURNPIKE_BIN_DIR"]
async fn a_hundred_data_planes_that_come_at_once_at_a_million_keys_are_served_within_a_minute() -> anyhow::Result<()> {
    let served = herd(100, 1_000_000).await?;
    let bytes: u64 = served.received.iter().map(|received| received.compressed_bytes).sum();
    let p99 = served.admin.get(served.admin.len() * 99 / 100).or(served.admin.last()).copied().unwrap_or_default();
    println!(
        "herd: 100 clients, 1,000,000 keys: all served in {:.1} s, {} MB sent, control plane grew by {} MB; \
         /key/generate meanwhile: {} calls, p50 {:?}, p99 {p99:?}",
        served.took.as_secs_f64(),
        bytes >> 20,
        served.grew >> 20,
        served.admin.len(),
        served.admin.get(served.admin.len() / 2).copied().unwrap_or_default(),
    );
    ensure!(served.took <= Duration::from_secs(60), "it took {:?}", served.took);
    ensure!(served.grew <= 500 << 20, "the control plane grew by {} MB", served.grew >> 20);
    Ok(())
}
