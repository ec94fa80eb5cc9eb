//! One data plane's subscription, from Hello to its end.
//!
//! At most one update is outstanding: what happens meanwhile is merged into the next one. A data plane that
//! does not answer is cut, not waited for; it reconnects and catches up.

use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt as _;
use pb::from_control_plane::Message as Down;
use pb::from_data_plane::Message as Up;
use proto::channel::{BUDGETS, PROTOCOLS};
use proto::v1 as pb;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;

use super::chunks::Whole;
use super::cut::Cut;
use super::fleet::Seat;
use super::shelf::Update;
use super::shrink::{Shrunk, is_explained};
use super::totals::{Listening, Teller};
use super::{Publisher, Version, paths};

pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A data plane that misses a dozen heartbeats counts as gone.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(60);

/// How long an update may go unacknowledged before its data plane is cut.
pub(super) const ACK_WITHIN: Duration = Duration::from_secs(30);

/// A refused update is tried again, whole, unless something changes earlier.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
const RETRY_DATABASE: Duration = Duration::from_secs(1);

/// Larger snapshots are refused by data planes: 2 GiB is some 20 million keys.
const MAX_SNAPSHOT_BYTES: u64 = 2 << 30;

pub(super) type Out = mpsc::Sender<Result<pb::FromControlPlane, Status>>;

/// Serves one subscription to its end. `claimed` is the id in the request's header, if any.
pub(super) async fn run<S>(publisher: Publisher, claimed: Option<String>, mut inbound: S, out: Out)
where
    S: Stream<Item = Result<pb::FromDataPlane, Status>> + Unpin,
{
    let cut = match open(&publisher, claimed, &mut inbound, &out).await {
        Ok(mut session) => {
            let id = session.seat.id().to_owned();
            tracing::info!(data_plane = id, held = session.held.map(|held| held.revision), "a data plane connected");
            let cut = session.serve(&mut inbound).await;
            tracing::info!(data_plane = id, reason = %cut, "a data plane's subscription ended");
            cut
        }
        Err(cut) => {
            tracing::warn!(reason = %cut, "a subscription was refused");
            cut
        }
    };
    // Who left does not read it, and a full channel means that nobody reads.
    let _unread = out.try_send(Err(cut.status()));
}

async fn open<S>(publisher: &Publisher, claimed: Option<String>, inbound: &mut S, out: &Out) -> Result<Session, Cut>
where
    S: Stream<Item = Result<pb::FromDataPlane, Status>> + Unpin,
{
    let first = timeout(HELLO_WITHIN, inbound.next()).await.map_err(|_elapsed| Cut::NoHello)?;
    let Some(Up::Hello(hello)) = heard(first)? else {
        return Err(Cut::Malformed("the first message must be Hello"));
    };
    if hello.data_plane_id.is_empty() || hello.data_plane_id.len() > 200 {
        return Err(Cut::Malformed("data_plane_id must have 1 to 200 characters"));
    }
    if let Some(header) = claimed.filter(|header| *header != hello.data_plane_id) {
        return Err(Cut::TwoIds { hello: hello.data_plane_id, header });
    }
    let protocol = hello.protocol_max.min(*PROTOCOLS.end());
    if protocol < hello.protocol_min.max(*PROTOCOLS.start()) {
        return Err(Cut::Protocol { min: hello.protocol_min, max: hello.protocol_max });
    }
    let mut reached = publisher.0.reached.subscribe();
    // Nothing can be said before the database was read once.
    let current = tokio::select! {
        known = reached.wait_for(Option::is_some) => known.ok().and_then(|known| *known),
        () = publisher.0.stop.cancelled() => None,
        () = out.closed() => return Err(Cut::Left),
    };
    let current = current.ok_or(Cut::Stopping)?;
    let held = hello.held.as_ref().and_then(version);
    let mut session = Session {
        seat: publisher.0.fleet.seat(&hello, held),
        publisher: publisher.clone(),
        reached,
        out: out.clone(),
        held,
        newest: held,
        outstanding: None,
        pause: None,
        shrunk: None,
        confirm_shrink: false,
        confirmations: publisher.0.confirmations.subscribe(),
        planes: publisher.0.planes.subscribe(),
        totals: hello.features.iter().any(|feature| feature == BUDGETS).then(|| publisher.0.totals.listen()),
        heard_at: Instant::now(),
    };
    session.send(Down::Welcome(welcome(protocol, current))).await?;
    session.tell_fleet().await?;
    Ok(session)
}

fn welcome(protocol: u32, current: Version) -> pb::Welcome {
    pb::Welcome {
        protocol,
        current: Some(current.to_wire()),
        heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        forward_paths: paths::FORWARDED.map(str::to_owned).to_vec(),
    }
}

struct Session {
    publisher: Publisher,
    seat: Seat,
    reached: watch::Receiver<Option<Version>>,
    out: Out,
    /// What the data plane holds. None: nothing, or nothing that can be built upon.
    held: Option<Version>,
    /// The newest version that it is known to have held: within an epoch it refuses to go back.
    newest: Option<Version>,
    outstanding: Option<Outstanding>,
    pause: Option<Pause>,
    /// Why the last update was refused, where it left too little.
    shrunk: Option<Shrunk>,
    /// The next whole snapshot may leave as little as it does.
    confirm_shrink: bool,
    confirmations: watch::Receiver<u64>,
    planes: watch::Receiver<Option<u32>>,
    /// None where the data plane knows no budgets.
    totals: Option<Listening>,
    heard_at: Instant,
}

/// An update that is not acknowledged yet.
struct Outstanding {
    to: Version,
    until: Instant,
}

/// Nothing is pushed before `until`, unless the database comes further than to `at`.
struct Pause {
    at: Option<Version>,
    until: Instant,
}

impl Pause {
    fn holds(&self, reached: Option<Version>) -> bool {
        let is_news = match (self.at, reached) {
            (Some(at), Some(reached)) => at.epoch != reached.epoch || at.revision < reached.revision,
            (at, reached) => at != reached,
        };
        !is_news && Instant::now() < self.until
    }
}

impl Session {
    async fn serve<S>(&mut self, inbound: &mut S) -> Cut
    where
        S: Stream<Item = Result<pb::FromDataPlane, Status>> + Unpin,
    {
        let (stop, out) = (self.publisher.0.stop.clone(), self.out.clone());
        loop {
            tokio::select! {
                pushed = self.push_next() => if let Err(cut) = pushed {
                    return cut;
                },
                () = out.closed() => return Cut::Left,
                () = stop.cancelled() => return Cut::Stopping,
            }
            let deadline = self.next_deadline();
            tokio::select! {
                message = inbound.next() => if let Err(cut) = heard(message).and_then(|message| self.hear(message)) {
                    return cut;
                },
                moved = self.reached.changed() => if moved.is_err() {
                    return Cut::Stopping;
                },
                confirmed = self.confirmations.changed() => if confirmed.is_ok() && self.shrunk.is_some() {
                    (self.confirm_shrink, self.pause) = (true, None);
                },
                counted = self.planes.changed() => match counted {
                    Ok(()) => if let Err(cut) = self.tell_fleet().await {
                        return cut;
                    },
                    Err(_closed) => return Cut::Stopping,
                },
                totals = Listening::next(&mut self.totals) => if let Some(totals) = totals
                    && let Err(cut) = self.send(Down::Totals(pb::Totals::clone(&totals))).await {
                    return cut;
                },
                () = sleep_until(deadline) => if let Some(cut) = self.overdue() {
                    return cut;
                },
                () = self.seat.replaced() => return Cut::Replaced,
                () = stop.cancelled() => return Cut::Stopping,
            }
        }
    }

    fn silent_from(&self) -> Instant {
        self.heard_at + SILENT_FOR
    }

    fn next_deadline(&self) -> Instant {
        let ack = self.outstanding.as_ref().map(|outstanding| outstanding.until);
        let pause = self.pause.as_ref().map(|pause| pause.until);
        [ack, pause].into_iter().flatten().fold(self.silent_from(), Instant::min)
    }

    fn overdue(&mut self) -> Option<Cut> {
        let now = Instant::now();
        match &self.outstanding {
            Some(outstanding) if outstanding.until <= now => {
                Some(Cut::NoAck { revision: outstanding.to.revision, within: self.publisher.0.ack_within })
            }
            Some(_) | None if self.silent_from() <= now => Some(Cut::Silent),
            Some(_) | None => None,
        }
    }

    fn hear(&mut self, message: Option<Up>) -> Result<(), Cut> {
        self.heard_at = Instant::now();
        let Some(message) = message else { return Ok(()) };
        match message {
            Up::Hello(_) => return Err(Cut::Malformed("Hello comes once")),
            Up::Ack(ack) => {
                let applied = ack.applied.as_ref().and_then(version);
                let applied = applied.ok_or(Cut::Malformed("Ack needs the version that was applied"))?;
                self.seat.applied(applied, ack.durable.as_ref().and_then(version));
                self.settle(applied);
            }
            Up::Nack(nack) => {
                tracing::warn!(
                    data_plane = self.seat.id(),
                    rejections = nack.rejections.len(),
                    first = nack.rejections.first().map(|rejection| rejection.reason.as_str()),
                    "a data plane did not take an update, or parts of it"
                );
                self.seat.rejected(&nack.rejections);
                // A reason without a resource is about the whole, of which nothing was taken, whatever version it has.
                let taken_in_part = nack.rejections.iter().all(|rejection| rejection.id.is_some());
                match nack.kept.as_ref().and_then(version).filter(|_| taken_in_part && nack.shrinks.is_empty()) {
                    Some(kept) if self.outstanding.as_ref().is_some_and(|outstanding| outstanding.to == kept) => {
                        self.seat.applied(kept, None);
                        self.settle(kept);
                    }
                    _ => self.refused(),
                }
                if let Some(kept) = nack.kept.as_ref().and_then(version).filter(|_| !nack.shrinks.is_empty()) {
                    self.shrunk = Some(Shrunk { kept, shrinks: nack.shrinks, looked_up: false });
                    self.seat.refuses_shrink(true);
                }
            }
            Up::Status(status) => self.seat.status(&status),
            Up::Resync(resync) => {
                tracing::info!(data_plane = self.seat.id(), reason = resync.reason, "a data plane asks for everything");
                (self.held, self.outstanding, self.pause) = (None, None, None);
            }
        }
        Ok(())
    }

    /// The data plane holds `applied`: the outstanding update is done if that is what it led to.
    fn settle(&mut self, applied: Version) {
        if self.outstanding.as_ref().is_some_and(|outstanding| outstanding.to == applied) {
            self.outstanding = None;
            (self.held, self.newest) = (Some(applied), Some(applied));
            (self.pause, self.shrunk, self.confirm_shrink) = (None, None, false);
            self.seat.refuses_shrink(false);
        }
    }

    /// The outstanding update was refused whole. The next one holds everything, once there is reason to try.
    fn refused(&mut self) {
        let refused = self.outstanding.take().map(|outstanding| outstanding.to);
        self.held = None;
        // What was composed may be ahead of what is known of the database: hearing of it later is no news.
        let reached = *self.reached.borrow();
        let is_ahead = |refused: &Version| {
            reached.is_some_and(|reached| reached.epoch == refused.epoch && reached.revision < refused.revision)
        };
        let at = refused.filter(is_ahead).or(reached);
        self.pause = Some(Pause { at, until: Instant::now() + RETRY_REFUSED });
    }

    /// Pushes what the data plane lacks, if nothing is outstanding.
    async fn push_next(&mut self) -> Result<(), Cut> {
        let reached = *self.reached.borrow_and_update();
        if reached.is_none() || self.outstanding.is_some() {
            return Ok(());
        }
        self.explain_shrink().await;
        if self.pause.as_ref().is_some_and(|pause| pause.holds(reached)) {
            return Ok(());
        }
        let parts = self.publisher.0.clone();
        if let Err(error) = self.tell_totals().await? {
            tracing::warn!(data_plane = self.seat.id(), %error, "what is spent of budgets cannot be read");
            self.pause = Some(Pause { at: reached, until: Instant::now() + RETRY_DATABASE });
            return Ok(());
        }
        let to = match parts.shelf.update(&parts.source, self.held, self.newest, &self.reached).await {
            Ok(Update::Nothing) => {
                self.pause = None;
                return Ok(());
            }
            Ok(Update::Delta(delta)) => {
                // It follows what is held, so it is of the same epoch.
                let to = self.held.map(|held| Version { revision: delta.to, ..held });
                self.send(Down::Delta(pb::Delta::clone(&delta))).await?;
                let Some(to) = to else { return Ok(()) };
                to
            }
            Ok(Update::Whole(whole)) => {
                let to = whole.version;
                if let Some(newest) =
                    self.newest.filter(|newest| newest.epoch == to.epoch && newest.revision > to.revision)
                {
                    tracing::error!(
                        data_plane = self.seat.id(),
                        held = newest.revision,
                        database = to.revision,
                        "the database is older than what a data plane holds: it was put back to an earlier state. \
                         Give it a new epoch: update installation set epoch = gen_random_uuid()"
                    );
                }
                self.send_whole(whole).await?;
                to
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(
                    data_plane = self.seat.id(),
                    error = format!("{error:#}"),
                    "no update could be composed"
                );
                self.pause = Some(Pause { at: reached, until: Instant::now() + RETRY_DATABASE });
                return Ok(());
            }
        };
        self.pause = None;
        // Nobody listened while this was sent, which may have taken its time.
        self.heard_at = Instant::now();
        self.outstanding = Some(Outstanding { to, until: Instant::now() + parts.ack_within });
        Ok(())
    }

    /// Tells what is spent of budgets: an update may bring keys that it is about. The inner error is the database's.
    async fn tell_totals(&mut self) -> Result<sqlx::Result<()>, Cut> {
        loop {
            let Some(listening) = &mut self.totals else { return Ok(Ok(())) };
            if !listening.has_all {
                listening.has_all = true;
                if let Err(error) = self.tell_all_totals().await? {
                    self.totals.iter_mut().for_each(|listening| listening.has_all = false);
                    return Ok(Err(error));
                }
            } else if let Some(totals) = listening.waiting() {
                self.send(Down::Totals(pb::Totals::clone(&totals))).await?;
            } else if listening.has_all {
                return Ok(Ok(()));
            }
        }
    }

    async fn tell_all_totals(&self) -> Result<sqlx::Result<()>, Cut> {
        let mut db = match self.publisher.0.source.db.acquire().await {
            Ok(db) => db,
            Err(error) => return Ok(Err(error)),
        };
        let mut all = std::pin::pin!(Teller::all(&mut db));
        while let Some(totals) = all.next().await {
            match totals {
                Ok(totals) => self.send(Down::Totals(totals)).await?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Asks the change log why so much is gone, once per refusal.
    async fn explain_shrink(&mut self) {
        let Some(shrunk) = self.shrunk.as_mut().filter(|shrunk| !shrunk.looked_up) else { return };
        shrunk.looked_up = true;
        match is_explained(&self.publisher.0.source.db, shrunk).await {
            Ok(true) => {
                tracing::info!(data_plane = self.seat.id(), "the change log explains why so much is gone: confirmed");
                (self.confirm_shrink, self.pause) = (true, None);
            }
            Ok(false) => tracing::error!(
                data_plane = self.seat.id(),
                "a data plane refuses a snapshot that leaves far less than it holds, and no change explains it. Is this the right \
                 database? If it is meant: POST /fleet/confirm_shrink"
            ),
            Err(error) => tracing::warn!(%error, "the change log could not be asked why so much is gone"),
        }
    }

    /// Says how many data planes share the limits; one that was not counted yet counts too.
    async fn tell_fleet(&mut self) -> Result<(), Cut> {
        // Until they are counted, a data plane keeps to the number that it remembers.
        let Some(counted) = *self.planes.borrow_and_update() else { return Ok(()) };
        let here = u32::try_from(self.publisher.0.fleet.ids().len()).unwrap_or(u32::MAX);
        self.send(Down::Fleet(pb::Fleet { data_planes: counted.max(here) })).await
    }

    /// Sends everything, when it is this data plane's turn.
    async fn send_whole(&self, whole: Arc<Whole>) -> Result<(), Cut> {
        let _turn = self.publisher.0.transfers.acquire().await.map_err(|_closed| Cut::Stopping)?;
        let version = Some(whole.version.to_wire());
        let begin = pb::SnapshotBegin {
            version: version.clone(),
            resources: whole.resources,
            uncompressed_bytes: whole.uncompressed_bytes,
            confirm_shrink: self.confirm_shrink,
        };
        self.send(Down::Begin(begin)).await?;
        for (index, (zstd, crc32)) in (0_u32..).zip(&whole.chunks) {
            self.send(Down::Chunk(pb::SnapshotChunk { index, zstd: zstd.clone(), crc32: *crc32 })).await?;
        }
        let sha256 = whole.sha256.to_vec().into();
        self.send(Down::End(pb::SnapshotEnd { version, sha256 })).await
    }

    async fn send(&self, message: Down) -> Result<(), Cut> {
        let message = pb::FromControlPlane { message: Some(message) };
        match timeout(SEND_WITHIN, self.out.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(Cut::Left),
            Err(_elapsed) => Err(Cut::Stuck),
        }
    }
}

/// None is a message of a later release, which can do without an answer: the protocol number says so.
fn heard(message: Option<Result<pb::FromDataPlane, Status>>) -> Result<Option<Up>, Cut> {
    let message = message.ok_or(Cut::Left)?.map_err(|status| Cut::Broken(Box::new(status)))?;
    Ok(message.message)
}

fn version(version: &pb::Version) -> Option<Version> {
    let epoch = uuid::Uuid::from_slice(&version.epoch).ok()?;
    Some(Version { epoch, revision: version.revision })
}

impl Version {
    pub(super) fn to_wire(self) -> pb::Version {
        pb::Version { epoch: self.epoch.as_bytes().to_vec().into(), revision: self.revision }
    }
}
