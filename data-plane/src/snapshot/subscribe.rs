//! Keeps the snapshot current: one stream to the control plane, opened again whenever it is lost.
//!
//! A full snapshot or a delta is built beside the current one, swapped in whole, written to disk, and
//! acknowledged. What does not fit (a gap, a digest that differs) changes nothing and asks for everything.

use std::sync::Arc;
use std::time::Duration;

use proto::KeyHash;
use proto::channel::PROTOCOLS;
use proto::v1::{self as pb, snapshots_client::SnapshotsClient};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::cell::SnapshotCell;
use super::decode::{Changes, FEATURES};
use super::disk::{Disk, Durability, Loaded, follows};
use super::incoming::{Incoming, Refused};
use super::{Snapshot, Version};
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::ledger::Unbooked;
use crate::limits::account::News;
use crate::limits::fleet::Fleet;
use crate::limits::memory::Memory;
use crate::telemetry::metrics;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How long the control plane has the first word when the only disk copy there is was kept back.
pub(crate) const KEEP_BACK: Duration = Duration::from_secs(10);

/// What the subscription reads and writes.
pub(crate) struct Subscription {
    pub(crate) control: ControlPlane,
    pub(crate) cell: Arc<SnapshotCell>,
    pub(crate) disk: Option<Disk>,
    pub(crate) clock: Clock,
    pub(crate) welcome: Arc<arc_swap::ArcSwap<Forwarding>>,
    pub(crate) fleet: Fleet,
    pub(crate) spent: Arc<Memory>,
    pub(crate) status: Box<dyn Fn() -> Load + Send + Sync>,
    /// When everything was last asked for because the disk is behind.
    pub(crate) asked_at_ms: i64,
    /// When the disk copy is loaded after all, if the control plane gave nothing until then.
    pub(crate) kept_back_until: Option<Instant>,
}

/// The admin paths that the control plane takes over our port.
#[derive(Default)]
pub(crate) struct Forwarding {
    pub(crate) paths: Vec<String>,
}

/// How busy we are, for the fleet view.
pub(crate) struct Load {
    pub(crate) spool_bytes: u64,
    pub(crate) spool_events: u64,
    pub(crate) in_flight: u32,
    pub(crate) unbooked: Unbooked,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{}", brief(.0))]
    Status(Box<tonic::Status>),
    #[error("the control plane closed the stream")]
    Closed,
    #[error("the control plane did not say welcome first")]
    NoWelcome,
}

impl From<tonic::Status> for Lost {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// A status with the innermost cause, which says what is wrong (a refused connection, a wrong certificate).
fn brief(status: &tonic::Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match std::ptr::addr_eq(cause, status) {
        true => format!("{:?}: {}", status.code(), status.message()),
        false => format!("{:?}: {}: {cause}", status.code(), status.message()),
    }
}

impl Subscription {
    /// Runs until shutdown. Losing the control plane loses nothing but freshness.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let began = self.clock.now_ms();
            let lost = match self.kept_back_until {
                Some(until) if self.held().is_none() => tokio::select! {
                    lost = self.stream() => lost,
                    () = tokio::time::sleep_until(until) => {
                        self.load_after_all().await;
                        continue;
                    }
                    () = shutdown.cancelled() => return,
                },
                Some(_) | None => tokio::select! {
                    lost = self.stream() => lost,
                    () = shutdown.cancelled() => return,
                },
            };
            metrics::control_plane_connected(false);
            self.cell.stand_alone();
            if self.clock.now_ms() - began > 10_000 {
                backoff = FIRST_BACKOFF;
            }
            let wait = backoff.mul_f64(rand::random_range(0.5..1.0));
            let serving = if self.cell.load().is_some() {
                "serving on with the last snapshot"
            } else {
                "not ready without a first one"
            };
            tracing::warn!(error = %lost, retry_in_ms = wait.as_millis(), "the control plane is away: {serving}");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn stream(&mut self) -> Lost {
        match self.try_stream().await {
            Ok(()) => Lost::Closed,
            Err(lost) => lost,
        }
    }

    async fn try_stream(&mut self) -> Result<(), Lost> {
        let (say, said) = mpsc::channel(16);
        let mut request = tonic::Request::new(ReceiverStream::new(said));
        self.control.identity.sign_metadata(&mut request);
        let hello = pb::from_data_plane::Message::Hello(self.hello());
        send(&say, hello).await?;
        let mut client = SnapshotsClient::new(self.control.channel.clone()).max_decoding_message_size(8 << 20);
        let mut heard = client.subscribe(request).await?.into_inner();

        let Some(pb::from_control_plane::Message::Welcome(welcome)) =
            heard.message().await?.and_then(|heard| heard.message)
        else {
            return Err(Lost::NoWelcome);
        };
        tracing::info!(
            revision = welcome.current.as_ref().map(|version| version.revision),
            "the control plane says welcome"
        );
        metrics::control_plane_connected(true);
        self.welcome.store(Arc::new(Forwarding { paths: welcome.forward_paths }));
        let mut heartbeat = tokio::time::interval(Duration::from_millis(u64::from(welcome.heartbeat_ms.max(100))));
        let mut incoming = None;
        if let (Some(held), Some(current)) = (self.held(), Version::from_message(welcome.current.as_ref()))
            && held == current
        {
            self.cell.confirm(self.clock.now_ms());
        }
        loop {
            tokio::select! {
                message = heard.message() => {
                    let Some(message) = message?.and_then(|message| message.message) else { return Ok(()) };
                    if let Some(answer) = self.take(message, &mut incoming, &say).await? {
                        send(&say, answer).await?;
                    }
                }
                _ = heartbeat.tick() => {
                    let status = pb::from_data_plane::Message::Status(self.status());
                    send(&say, status).await?;
                    if let Some(ask) = self.tidy_disk().await {
                        send(&say, ask).await?;
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        message: pb::from_control_plane::Message,
        incoming: &mut Option<Incoming>,
        say: &mpsc::Sender<pb::FromDataPlane>,
    ) -> Result<Option<pb::from_data_plane::Message>, Lost> {
        use pb::from_control_plane::Message;
        Ok(match message {
            Message::Welcome(welcome) => {
                self.welcome.store(Arc::new(Forwarding { paths: welcome.forward_paths }));
                None
            }
            Message::Begin(begin) => {
                *incoming = Incoming::begin(&begin, self.cell.load(), self.disk.as_ref());
                None
            }
            Message::Chunk(chunk) => {
                // What follows a chunk that was refused is let pass: everything was asked for already.
                let Some(coming) = incoming.take() else { return Ok(None) };
                match blocking(move || coming.take(&chunk)).await {
                    Ok(taken) => {
                        *incoming = Some(taken);
                        None
                    }
                    Err(refused) => Some(self.refuse(refused)),
                }
            }
            Message::End(end) => match incoming.take() {
                Some(incoming) => Some(self.finish(incoming, &end).await),
                None => None,
            },
            Message::Delta(delta) => self.take_delta(delta, say).await?,
            Message::Totals(totals) => {
                self.spent.hear(&totals.totals, News::Round);
                None
            }
            Message::Fleet(fleet) => {
                self.fleet.is(fleet.data_planes);
                None
            }
        })
    }

    /// Swaps in a whole snapshot that may replace what is in force.
    async fn finish(&mut self, incoming: Incoming, end: &pb::SnapshotEnd) -> pb::from_data_plane::Message {
        let whole = match incoming.finish(end) {
            Ok(whole) => whole,
            Err(refused) => return self.refuse(refused),
        };
        let version = whole.snapshot.version;
        self.spent.follow_all(whole.snapshot.keys.iter());
        self.adopt(whole.snapshot);
        tracing::info!(revision = version.revision, resources = whole.resources, "a whole snapshot is in force");
        let durable = match whole.written {
            Some(written) => self.on_disk(move |disk| disk.put(written)).await,
            None => self.on_disk(|disk| Err(disk.fall_behind())).await,
        };
        answer(version, durable.then_some(version), whole.rejections)
    }

    /// What takes rights away is on the disk before it is acknowledged; the rest is acknowledged when it is in force.
    async fn take_delta(
        &mut self,
        delta: pb::Delta,
        say: &mpsc::Sender<pb::FromDataPlane>,
    ) -> Result<Option<pb::from_data_plane::Message>, Lost> {
        let Some(current) = self.cell.load() else {
            return Ok(Some(resync("a delta came before a snapshot".to_owned())));
        };
        if !follows(current.version, &delta) {
            let (from, at) = (delta.from, current.version.revision);
            return Ok(Some(resync(format!("a delta from revision {from} does not follow {at}"))));
        }
        let version = Version { epoch: current.version.epoch, revision: delta.to };
        let (snapshot, rejections) = match after(&current, &delta, version) {
            Ok(after) => after,
            Err(refused) => return Ok(Some(self.refuse(refused))),
        };
        let changed = delta.upserts.iter().filter_map(|resource| match &resource.body {
            Some(pb::resource::Body::Key(key)) => KeyHash::try_from(key.hash.as_ref()).ok(),
            _ => None,
        });
        self.spent.follow_all(changed.filter_map(|hash| snapshot.keys.get(&hash)));
        self.adopt(snapshot);
        if delta.narrowing {
            let written = self.on_disk(move |disk| disk.append(&delta, Durability::Now)).await;
            return Ok(Some(answer(version, written.then_some(version), rejections)));
        }
        send(say, answer(version, None, rejections)).await?;
        self.on_disk(move |disk| disk.append(&delta, Durability::Soon)).await;
        Ok(None)
    }

    /// What is in force stays. Says why.
    fn refuse(&self, refused: Refused) -> pb::from_data_plane::Message {
        match refused {
            Refused::Damaged(reason) => resync(reason),
            Refused::Unbelieved { reason, shrinks } => {
                metrics::snapshot_refused();
                tracing::error!(reason, "a snapshot is refused");
                let rejections = vec![pb::Rejection { id: None, reason }];
                let kept = self.held().map(Version::to_message);
                pb::from_data_plane::Message::Nack(pb::Nack { kept, rejections, shrinks })
            }
        }
    }

    /// The control plane gave nothing in time: a copy that may be bad is better than none.
    async fn load_after_all(&mut self) {
        self.kept_back_until = None;
        let Some(mut disk) = self.disk.take() else { return };
        let loaded = blocking(move || {
            let loaded = disk.load();
            Ok((disk, loaded))
        });
        match loaded.await {
            Ok((disk, loaded)) => {
                self.disk = Some(disk);
                if let Loaded::Snapshot(snapshot) = loaded {
                    tracing::warn!(
                        revision = snapshot.version.revision,
                        "serving from the disk copy that was kept back"
                    );
                    self.spent.follow_all(snapshot.keys.iter());
                    self.cell.swap(*snapshot);
                }
            }
            Err(refused) => tracing::error!(?refused, "the disk copy cannot be loaded"),
        }
    }

    /// Between changes: makes a base of a log that has grown long. A disk that is behind asks for everything, once
    /// in a while: it may be full.
    async fn tidy_disk(&mut self) -> Option<pb::from_data_plane::Message> {
        const ASK_AGAIN_MS: i64 = 60_000;
        let disk = self.disk.as_ref()?;
        if disk.wants_base() {
            self.on_disk(Disk::compact).await;
            return None;
        }
        let now = self.clock.now_ms();
        if !disk.is_behind() || self.held().is_none() || now < self.asked_at_ms + ASK_AGAIN_MS {
            return None;
        }
        self.asked_at_ms = now;
        Some(resync("the disk copy is behind".to_owned()))
    }

    fn adopt(&self, snapshot: Snapshot) {
        metrics::snapshot_revision(snapshot.version.revision);
        self.cell.swap(snapshot);
        self.cell.confirm(self.clock.now_ms());
    }

    /// Runs `write` where blocking is allowed. A disk that fails costs the copy, never the service.
    async fn on_disk(&mut self, write: impl FnOnce(&mut Disk) -> std::io::Result<()> + Send + 'static) -> bool {
        let Some(mut disk) = self.disk.take() else { return false };
        let written = tokio::task::spawn_blocking(move || {
            let written = write(&mut disk);
            (disk, written)
        });
        match written.await {
            Ok((disk, written)) => {
                self.disk = Some(disk);
                if let Err(error) = &written {
                    tracing::error!(%error, "the disk copy of the snapshot was not written");
                }
                written.is_ok()
            }
            Err(error) => {
                tracing::error!(%error, "the disk copy of the snapshot is given up until restart");
                false
            }
        }
    }

    fn held(&self) -> Option<Version> {
        self.cell.load().map(|snapshot| snapshot.version)
    }

    fn hello(&self) -> pb::Hello {
        pb::Hello {
            data_plane_id: self.control.identity.data_plane_id.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_min: *PROTOCOLS.start(),
            protocol_max: *PROTOCOLS.end(),
            features: FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
            held: self.held().map(Version::to_message),
        }
    }

    fn status(&self) -> pb::Status {
        let load = (self.status)();
        let confirmed = self.cell.confirmed_at_ms();
        let age = if confirmed == 0 { 0 } else { self.clock.now_ms() - confirmed };
        pb::Status {
            held: self.held().map(Version::to_message),
            snapshot_age_ms: u64::try_from(age).unwrap_or(0),
            spool_bytes: load.spool_bytes,
            spool_events: load.spool_events,
            in_flight: load.in_flight,
            unbooked_calls: load.unbooked.calls,
            unbooked_nano_usd: load.unbooked.nano_usd,
        }
    }
}

/// The snapshot after a delta, and what could not be used of it. A panic in it refuses the delta, and ends nothing.
fn after(current: &Snapshot, delta: &pb::Delta, version: Version) -> Result<(Snapshot, Vec<pb::Rejection>), Refused> {
    let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut changes = Changes::new();
        delta.removals.iter().for_each(|id| changes.remove(id));
        delta.upserts.iter().cloned().for_each(|resource| changes.put(resource));
        let rejections = std::mem::take(&mut changes.rejections);
        (changes.apply(current, version), rejections)
    }));
    built.map_err(|_told_already| Refused::Unbelieved {
        reason: "reading a delta failed: the log has the panic".to_owned(),
        shrinks: Vec::new(),
    })
}

/// Runs what keeps a core busy where that is allowed. A panic in it refuses what was being read, and ends nothing.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Refused> {
    let panicked = |error| Refused::Unbelieved { reason: format!("reading it failed: {error}"), shrinks: Vec::new() };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(panicked(error)))
}

fn resync(reason: String) -> pb::from_data_plane::Message {
    tracing::warn!(reason, "asking the control plane for the whole snapshot");
    pb::from_data_plane::Message::Resync(pb::Resync { reason })
}

/// An acknowledgement, or what could not be used although the rest is in force.
fn answer(applied: Version, durable: Option<Version>, rejections: Vec<pb::Rejection>) -> pb::from_data_plane::Message {
    match rejections.is_empty() {
        true => pb::from_data_plane::Message::Ack(pb::Ack {
            applied: Some(applied.to_message()),
            durable: durable.map(Version::to_message),
        }),
        false => nack(Some(applied), rejections),
    }
}

/// What could not be used, and what is in force.
fn nack(kept: Option<Version>, rejections: Vec<pb::Rejection>) -> pb::from_data_plane::Message {
    metrics::resources_rejected(rejections.len());
    for rejection in &rejections {
        let (id, reason) = (rejection.id.as_ref().map_or("", |id| id.id.as_str()), rejection.reason.as_str());
        tracing::error!(resource.id = id, reason, "a resource cannot be used: it denies or is left out");
    }
    pb::from_data_plane::Message::Nack(pb::Nack {
        kept: kept.map(Version::to_message),
        rejections,
        shrinks: Vec::new(),
    })
}

async fn send(say: &mpsc::Sender<pb::FromDataPlane>, message: pb::from_data_plane::Message) -> Result<(), Lost> {
    say.send(pb::FromDataPlane { message: Some(message) }).await.map_err(|_closed| Lost::Closed)
}
