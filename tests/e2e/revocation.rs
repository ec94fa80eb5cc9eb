//! A block, a delete or an expiry holds on every data plane within a second of the admin's answer, under load, and no restart undoes
//! it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acceptance::background::Background;
use acceptance::config::{Config, Deployment};
use acceptance::crowd;
use acceptance::frozen::Frozen;
use acceptance::planes::{Key, Planes, REFUSED_WITHIN, chat};
use anyhow::{Context, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::TURN;

/// How large a form of the story is.
struct Form {
    revocations: usize,
    data_planes: usize,
    calls_per_second: u32,
}

/// Admins at work at once.
const ADMINS: usize = 4;
/// Looked at after the first refusal, so that nothing is accepted later.
const LOOKS_AFTER: usize = 2;
const SOON: Duration = Duration::from_secs(60);

/// How a key ends, in turn.
#[derive(Clone, Copy, Debug)]
enum End {
    Blocked,
    Deleted,
    Expired,
}

impl End {
    fn of(number: usize) -> Self {
        match number % 3 {
            0 => Self::Blocked,
            1 => Self::Deleted,
            _ => Self::Expired,
        }
    }
}

/// Ends the key, and gives the moment from which it must not work any more. The answer comes after the commit and waits for no
/// data plane: what is measured is how long the change is on its way.
async fn end(planes: &Planes, key: &Key, how: End) -> anyhow::Result<Instant> {
    let admin = planes.admin();
    let (path, body, later) = match how {
        End::Blocked => ("/key/block?wait=none", json!({ "key": key.hash }), Duration::ZERO),
        End::Deleted => ("/key/delete?wait=none", json!({ "keys": [key.hash] }), Duration::ZERO),
        End::Expired => ("/key/update?wait=none", json!({ "key": key.hash, "duration": "1s" }), Duration::from_secs(1)),
    };
    admin.post(path, &body).await?.ok().with_context(|| format!("{how:?}"))?;
    Ok(Instant::now() + later)
}

/// The latest start of a call that was accepted, as time after `from`; zero where none was.
async fn last_accepted(planes: &Planes, data_plane: usize, key: &Key, from: Instant) -> anyhow::Result<Duration> {
    let client = planes.at(data_plane, key);
    let (mut last, mut refusals) = (Duration::ZERO, 0);
    while refusals <= LOOKS_AFTER {
        let began = Instant::now();
        let reply = client.post("/v1/chat/completions", &chat("mock", "Hello")).await?;
        match reply.status {
            200 if refusals > 0 && began >= from => {
                anyhow::bail!("accepted again after a refusal on data plane {data_plane}")
            }
            200 => last = last.max(began.saturating_duration_since(from)),
            401 if began >= from => refusals += 1,
            401 => {}
            _ => anyhow::bail!("{reply}"),
        }
        ensure!(last < 10 * REFUSED_WITHIN, "still accepted {last:?} later on data plane {data_plane}");
    }
    Ok(last)
}

async fn story(form: Form) -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let config = Config::new().deployment(Deployment::mock("mock", "Hello from the mock."));
    let mut planes = Planes::start(&config, form.data_planes).await?;
    crowd::insert(planes.database.url(), form.revocations + 10).await?;
    crowd::held_by_all(&planes, SOON).await?;
    let good = crowd::key(form.revocations + 1);
    let clients = (0..form.data_planes).map(|data_plane| planes.at(data_plane, &good)).collect();
    let (calls, hiccups) =
        Background::start(clients, form.calls_per_second, "/v1/chat/completions", chat("mock", "Hello"));

    let shared = Arc::new(planes);
    let mut admins = JoinSet::new();
    for admin in 0..ADMINS {
        let (planes, form) = (Arc::clone(&shared), (form.revocations, form.data_planes));
        admins.spawn(async move {
            let mut late = Vec::new();
            for number in (admin..form.0).step_by(ADMINS) {
                let key = crowd::key(number);
                let from = end(&planes, &key, End::of(number)).await?;
                let looks = (0..form.1).map(|data_plane| last_accepted(&planes, data_plane, &key, from));
                let looks = futures_util::future::try_join_all(looks).await;
                late.push(looks.with_context(|| format!("key {number}, {:?}", End::of(number)))?);
            }
            anyhow::Ok(late.concat())
        });
    }
    let mut late = Vec::new();
    while let Some(ended) = admins.join_next().await {
        late.extend(ended??);
    }
    planes = Arc::into_inner(shared).context("an admin is still at it")?;
    let outcome = calls.end(hiccups).await?;
    late.sort();
    let at = |percent: usize| late.get((late.len() * percent / 100).min(late.len() - 1)).copied().unwrap_or_default();
    println!(
        "{} revocations over {} data planes under {} served calls: p50 {:?}, p99 {:?}, max {:?} after the admin's answer; \
         the machine's longest hiccup {:?}",
        form.revocations,
        form.data_planes,
        outcome.served,
        at(50),
        at(99),
        at(100),
        outcome.hiccup
    );
    ensure!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    ensure!(at(100) <= REFUSED_WITHIN + outcome.hiccup, "the last took {:?}", at(100));

    crowd::held_by_all(&planes, SOON).await?;
    planes.control.kill_nine()?;
    for data_plane in &mut planes.data {
        data_plane.kill_nine()?;
        data_plane.start().await?;
    }
    for data_plane in 0..form.data_planes {
        for number in 0..form.revocations {
            let client = planes.at(data_plane, &crowd::key(number));
            let reply = client.post("/v1/chat/completions", &chat("mock", "Hello")).await?;
            reply.refusal(401).with_context(|| format!("key {number} after a restart"))?;
        }
        planes.at(data_plane, &good).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    }
    planes.end()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_keys_that_end_under_load_end_on_every_data_plane_and_stay_so() -> anyhow::Result<()> {
    story(Form { revocations: 100, data_planes: 3, calls_per_second: 100 }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the long form: run by `make load`, with optimised programs in TURNPIKE_BIN_DIR"]
async fn a_thousand_keys_that_end_under_load_end_on_ten_data_planes() -> anyhow::Result<()> {
    story(Form { revocations: 1_000, data_planes: 10, calls_per_second: 500 }).await
}

#[tokio::test]
async fn a_change_that_waits_to_be_applied_names_the_data_plane_that_stands_still() -> anyhow::Result<()> {
    let config = Config::new().deployment(Deployment::mock("mock", "Hello from the mock."));
    let planes = Planes::start(&config, 2).await?;
    let (key, other) = (planes.new_key(json!({})).await?, planes.new_key(json!({})).await?);
    let identity = std::fs::read_to_string(planes.state(1).join("identity"))?;
    let frozen = Frozen::process(planes.data[1].process_id()?)?;

    let began = Instant::now();
    let blocked = planes.admin().post("/key/block?wait=applied", &json!({ "key": key.secret })).await?;
    blocked.ok()?;
    ensure!(blocked.header("x-turnpike-late") == Some(identity.trim()), "{:?}", blocked.headers);
    ensure!(began.elapsed() >= Duration::from_secs(2), "it was given its two seconds");
    planes.at(0, &key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    // The fleet view shows who is behind, and by what.
    let fleet = crowd::fleet(&planes.admin()).await?;
    let views = fleet["data_planes"].as_array().context("no data_planes")?;
    let behind: Vec<_> = views.iter().filter(|view| view["revision_applied"] != fleet["revision"]).collect();
    ensure!(behind.len() == 1 && behind[0]["id"] == identity.trim(), "{fleet}");
    for view in views {
        for said in
            ["build", "connected_since", "last_heard", "snapshot_age_ms", "spool_bytes", "spool_events", "in_flight"]
        {
            ensure!(!view[said].is_null(), "`{said}` is missing: {view}");
        }
    }

    drop(frozen);
    let deleted = planes.admin().post("/key/delete?wait=applied", &json!({ "keys": [other.secret] })).await?;
    deleted.ok()?;
    ensure!(deleted.header("x-turnpike-late").is_none(), "{:?}", deleted.headers);
    planes.at(1, &key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    planes.end()
}
