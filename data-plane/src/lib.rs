//! The data plane: serves every model call.
//!
//! # The life of a call
//!
//! ```text
//! bytes ─▶ authenticate ─▶ decode ─▶ authorize ─▶ route ─▶ attempt ─▶ relay ─▶ bytes
//!                                                            ▲  │ retry       │
//!                                                            └──┘          settle
//! ```
//!
//! [`listen`] accepts on one thread per core; [`api`] finds the route; [`pipeline`] is the page above, one
//! file per stage. A call reads one [`snapshot`] from its first line to its price. [`transport`] talks to
//! providers, [`ledger`] writes down what was used before the last byte leaves and delivers it later, and
//! [`control`] is the one connection to the control plane, which may be away.

mod api;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod clock;
mod control;
mod door;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod ledger;
mod limits;
mod listen;
mod pipeline;
mod routing;
mod seal;
pub mod settings;
mod signal;
mod snapshot;
mod state;
pub mod telemetry;
mod transport;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use limits::redis::Redis;
use snapshot::disk::{Boots, Loaded};

pub use control::{AddressError, ControlAddress, ControlAddresses};
pub use listen::bind;
pub use settings::Settings;

#[cfg(test)]
mod tests;

/// How long usage is still delivered after the last call ended.
const FLUSH: Duration = Duration::from_secs(10);

/// A boot that lives this long did not die of what it loaded.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// How long a start from the disk copy waits for the control plane before it is ready without.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// Runs a data plane until `shutdown`, then drains it: readiness goes, calls end, usage is synced and delivered.
///
/// `listeners` come from [`bind`], one per thread. Errors are those of the start; once serving, nothing short
/// of shutdown ends it.
pub async fn run(
    mut settings: Settings,
    listeners: Vec<TcpListener>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let state = state::State::open(&settings.state_dir)?;
    let seal = seal::Seal::of_state(&settings.state_dir, settings.state_key_file.as_deref())
        .context("the key that seals the state directory")?;
    let addresses = ControlAddresses::parse(&settings.control_plane, settings.join_token.as_deref())?;
    let control = control::ControlPlane::new(addresses, &state.data_plane_id).context("the data plane's identity")?;
    let tls = match transport::Tls::system() {
        Ok(tls) => tls,
        Err(error) => {
            tracing::warn!(%error, "calls to https providers will fail");
            transport::Tls::nobody().context("TLS")?
        }
    };

    let clock = clock::Clock;
    let spool = state.directory.join("spool");
    let boot = u64::try_from(clock.now_ms()).unwrap_or(0);
    let room = ledger::Room { max_bytes: settings.spool_max_bytes, when_full: settings.spool_full };
    let ledger = ledger::Ledger::open(spool.clone(), room, boot).context("opening the spool")?;
    let mut disk =
        snapshot::disk::Disk::open(state.directory.join("snapshot"), seal).context("opening the disk copy")?;

    let redis = settings.redis.take();
    let mut gateway = gateway::Gateway::new(settings, control.clone(), Arc::clone(&ledger), tls);
    let redis = redis.map(|target| Redis::new(target, &state.data_plane_id, Arc::clone(&gateway.counters)));
    let (redis, teller) = redis.unzip();
    gateway.redis.clone_from(&redis);
    let gateway = Arc::new(gateway);
    let (spent, positions) = limits::memory::Memory::open(state.directory.join("spent"), Arc::clone(&gateway.counters));
    let spent = Arc::new(spent.telling(redis));
    let leftovers = ledger::recover::leftovers_owed(&spool, &positions, &mut |event| spent.owe(event))
        .context("reading the spool")?;
    let (disk, boots, loaded) = tokio::task::spawn_blocking(move || {
        let (boots, loaded) = disk.boot();
        (disk, boots, loaded)
    })
    .await?;
    let kept_back = match loaded {
        Loaded::Snapshot(snapshot) => {
            tracing::info!(
                revision = snapshot.version.revision,
                keys = snapshot.keys.len(),
                "serving from the disk copy of the snapshot"
            );
            // After what was spooled under their old values is known.
            spent.follow_all(snapshot.keys.iter());
            gateway.snapshots.swap(*snapshot);
            None
        }
        Loaded::Nothing => None,
        Loaded::KeptBack => Some(snapshot::subscribe::KEEP_BACK),
    };

    let cell = Arc::clone(&gateway.snapshots);
    drop(tokio::spawn(async move {
        tokio::time::sleep(FIRST_WORD).await;
        cell.stand_alone();
    }));

    // Delivery outlives the calls: what they settle last must still go.
    let (calls_ended, stop_background) = (CancellationToken::new(), CancellationToken::new());
    let fleet = limits::fleet::Fleet::open(state.directory.join("fleet"), Arc::clone(&gateway.counters));
    let subscription = gateway.subscription(disk, (fleet, Arc::clone(&spent)), kept_back);
    let subscribed = tokio::spawn(subscription.run(stop_background.clone()));
    let told = teller.map(|teller| tokio::spawn(teller.run(stop_background.clone())));
    let shipper = ledger::ship::Shipper::new(Arc::clone(&ledger), control, spent, leftovers);
    let shipped = tokio::spawn(shipper.run(calls_ended.clone(), FLUSH));
    let synced = tokio::spawn(ledger::ship::sync(ledger, calls_ended.clone()));

    let boots = Arc::new(boots);
    let watched = tokio::spawn(watch_health(Arc::clone(&boots), calls_ended.clone()));
    let served = listen::serve(&gateway, listeners, shutdown).await;
    boots.healthy(); // it ends in order, whatever the reason
    served?;

    calls_ended.cancel();
    watched.await.context("watching the start")?;
    synced.await.context("syncing the spool")?;
    shipped.await.context("delivering the spool")?;
    stop_background.cancel();
    subscribed.await.context("the subscription")?;
    if let Some(told) = told {
        told.await.context("telling Redis")?;
    }
    drop(state);
    Ok(())
}

/// A data plane that has lived for a while is healthy: what it loaded did not kill it.
async fn watch_health(boots: Arc<Boots>, ended: CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(HEALTHY_AFTER) => boots.healthy(),
        () = ended.cancelled() => {}
    }
}
