//! Keeps the snapshot current: one stream to the control plane, opened again whenever it is lost.
//!
//! A full snapshot or a delta is built beside the current one, swapped in whole, written to disk, and
//! acknowledged. What does not fit (a gap, a digest that differs) changes nothing and asks for everything.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use proto::channel::PROTOCOLS;
use proto::v1::{self as pb, snapshots_client::SnapshotsClient};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::cell::SnapshotCell;
use super::decode::{Changes, FEATURES};
use super::disk::{Disk, Durability, Resources, follows};
use super::{Snapshot, Version};
use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::ledger::Unbooked;
use crate::telemetry::metrics;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// A chunk unpacks to no more than this.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// What the subscription reads and writes.
pub(crate) struct Subscription {
    pub(crate) control: ControlPlane,
    pub(crate) cell: Arc<SnapshotCell>,
    pub(crate) disk: Option<Disk>,
    pub(crate) clock: Clock,
    pub(crate) welcome: Arc<arc_swap::ArcSwap<Forwarding>>,
    pub(crate) status: Box<dyn Fn() -> Load + Send + Sync>,
    /// When everything was last asked for because the disk is behind.
    pub(crate) asked_at_ms: i64,
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

/// A full snapshot on its way in.
struct Incoming {
    version: Version,
    expected: u64,
    came: u64,
    digest: Sha256,
    changes: Changes,
    resources: Resources,
}

impl Subscription {
    /// Runs until shutdown. Losing the control plane loses nothing but freshness.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let began = self.clock.now_ms();
            let lost = tokio::select! {
                lost = self.stream() => lost,
                () = shutdown.cancelled() => return,
            };
            metrics::control_plane_connected(false);
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
                    if let Some(answer) = self.take(message, &mut incoming).await {
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
    ) -> Option<pb::from_data_plane::Message> {
        use pb::from_control_plane::Message;
        match message {
            Message::Welcome(welcome) => {
                self.welcome.store(Arc::new(Forwarding { paths: welcome.forward_paths }));
                None
            }
            Message::Begin(begin) => {
                *incoming = Version::from_message(begin.version.as_ref()).map(|version| Incoming {
                    version,
                    expected: begin.resources,
                    came: 0,
                    digest: Sha256::new(),
                    changes: Changes::new(),
                    resources: Resources::default(),
                });
                None
            }
            Message::Chunk(chunk) => {
                let taken = match incoming.as_mut() {
                    Some(incoming) => incoming.take(&chunk),
                    None => Err("a chunk came before its beginning".to_owned()),
                };
                taken.err().map(|reason| {
                    *incoming = None;
                    resync(reason)
                })
            }
            Message::End(end) => Some(match incoming.take() {
                Some(incoming) => self.finish(incoming, &end).await,
                None => resync("an end came before its beginning".to_owned()),
            }),
            Message::Delta(delta) => Some(self.take_delta(delta).await),
        }
    }

    /// Swaps in a full snapshot whose digest and count are right.
    async fn finish(&mut self, incoming: Incoming, end: &pb::SnapshotEnd) -> pb::from_data_plane::Message {
        let digest: [u8; 32] = incoming.digest.finalize().into();
        if digest != *end.sha256 {
            return resync("the digest of the snapshot differs".to_owned());
        }
        if incoming.came != incoming.expected {
            let (came, said) = (incoming.came, incoming.expected);
            return resync(format!("{came} resources came of the {said} that were said"));
        }
        if !incoming.changes.has_settings() {
            // Without the master key's digest, limits of models and the like: what is in force is better.
            let mut rejections = incoming.changes.rejections;
            rejections
                .push(pb::Rejection { id: None, reason: "the snapshot has no settings that can be used".to_owned() });
            return nack(self.held(), rejections);
        }
        let Incoming { version, mut changes, resources, .. } = incoming;
        let rejections = std::mem::take(&mut changes.rejections);
        self.adopt(changes.apply(&Snapshot::empty(version), version));
        tracing::info!(revision = version.revision, resources = resources.len(), "a whole snapshot is in force");
        let durable = self.on_disk(move |disk| disk.write_base(version, &resources)).await;
        answer(version, durable.then_some(version), rejections)
    }

    async fn take_delta(&mut self, delta: pb::Delta) -> pb::from_data_plane::Message {
        let Some(current) = self.cell.load() else { return resync("a delta came before a snapshot".to_owned()) };
        if !follows(current.version, &delta) {
            let (from, at) = (delta.from, current.version.revision);
            return resync(format!("a delta from revision {from} does not follow {at}"));
        }
        let version = Version { epoch: current.version.epoch, revision: delta.to };
        let mut changes = Changes::new();
        delta.removals.iter().for_each(|id| changes.remove(id));
        delta.upserts.iter().cloned().for_each(|resource| changes.put(resource));
        let rejections = std::mem::take(&mut changes.rejections);
        self.adopt(changes.apply(&current, version));
        let durability = if delta.narrowing { Durability::Now } else { Durability::Soon };
        let written = self.on_disk(move |disk| disk.append(&delta, durability)).await;
        answer(version, (written && durability == Durability::Now).then_some(version), rejections)
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

impl Incoming {
    fn take(&mut self, chunk: &pb::SnapshotChunk) -> Result<(), String> {
        if crc32fast::hash(&chunk.zstd) != chunk.crc32 {
            return Err(format!("chunk {} is damaged", chunk.index));
        }
        self.digest.update(&chunk.zstd);
        let unpacked =
            unpack(&chunk.zstd).map_err(|error| format!("chunk {} does not unpack: {error}", chunk.index))?;
        let batch = pb::ResourceBatch::decode(unpacked.as_slice());
        let batch = batch.map_err(|error| format!("chunk {} does not decode: {error}", chunk.index))?;
        self.came += batch.resources.len() as u64;
        for resource in batch.resources {
            self.resources.put(resource.clone());
            self.changes.put(resource);
        }
        Ok(())
    }
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut unpacked = Vec::new();
    let read = zstd::stream::read::Decoder::new(packed)?.take(MAX_CHUNK_BYTES + 1).read_to_end(&mut unpacked)?;
    match read as u64 > MAX_CHUNK_BYTES {
        true => Err(std::io::Error::other("it is larger than a chunk may be")),
        false => Ok(unpacked),
    }
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
    pb::from_data_plane::Message::Nack(pb::Nack { kept: kept.map(Version::to_message), rejections })
}

async fn send(say: &mpsc::Sender<pb::FromDataPlane>, message: pb::from_data_plane::Message) -> Result<(), Lost> {
    say.send(pb::FromDataPlane { message: Some(message) }).await.map_err(|_closed| Lost::Closed)
}
