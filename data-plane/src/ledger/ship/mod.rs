//! Delivers the spool to the control plane, and unlinks what it has acknowledged.
//!
//! Reading is from the segment files (the page cache, in practice), so that delivery after a crash and
//! delivery in good times are the same path. A batch whose receipt did not come is sent again; intake books
//! each event once. How the segments are read and unlinked is [`segments`]' story.

mod segments;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use prost::Message as _;
use proto::v1::{self as pb, usage_client::UsageClient};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use self::segments::EventId;
use super::Ledger;
use super::recover::Leftovers;
use super::segment::Segment;
use crate::control::ControlPlane;
use crate::limits::account::News;
use crate::limits::memory::Memory;
use crate::telemetry::metrics;

const BATCH_EVENTS: usize = 1_000;
const BATCH_BYTES: usize = 2 << 20;
const BATCHES_IN_FLIGHT: usize = 4;
/// No more than this is read ahead of the acknowledgements; the rest waits on disk.
const READ_AHEAD_EVENTS: usize = 10_000;
/// Small enough that the allocator has such a piece at hand, and need not ask the system for it each time.
const READ_BYTES: usize = 128 << 10;
const LOOK_AT_NEWS: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_millis(100);
const SYNC_EVERY: Duration = Duration::from_millis(50);
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
const RECEIPT_WITHIN: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Brings written records to the disk, for all cores together, and measures how full the spool is.
pub(crate) async fn sync(ledger: Arc<Ledger>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(SYNC_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = tick.tick() => false,
            () = shutdown.cancelled() => true,
        };
        let segments = ledger.segments();
        let synced = tokio::task::spawn_blocking(move || segments.iter().try_for_each(|segment| segment.sync())).await;
        ledger.weigh();
        if let Ok(Err(error)) = synced {
            tracing::error!(%error, "the spool could not be synced to the disk");
        }
        if last {
            return;
        }
    }
}

/// The delivery: what is read, what is on its way, what each segment still waits for.
pub(crate) struct Shipper {
    ledger: Arc<Ledger>,
    control: ControlPlane,
    spent: Arc<Memory>,
    tails: BTreeMap<u64, Tail>,
    next_tail: u64,
    /// Live openings: which segment holds them.
    open: HashMap<EventId, u64, RandomState>,
    pending: VecDeque<Parcel>,
    /// Sent, and not answered for.
    in_flight: VecDeque<Sent>,
    sequence: u64,
    acknowledged: u64,
}

/// A batch on its way.
struct Sent {
    sequence: u64,
    at: Instant,
    parcels: Vec<Parcel>,
}

/// A segment being read.
struct Tail {
    segment: Arc<Segment>,
    offset: u64,
    unacknowledged: usize,
    /// Up to here, everything is acknowledged.
    acknowledged: u64,
    open: usize,
    /// Bytes in it could not be read: it is kept for people to look at.
    is_damaged: bool,
}

/// A closing on its way, as the spool holds it. `tail` is the segment it came from, and where it ends there; those without one
/// came from memory.
struct Parcel {
    tail: Option<(u64, u64)>,
    event: Bytes,
}

impl Shipper {
    /// Takes over what an earlier process left: its openings are known, its closings are read again.
    pub(crate) fn new(ledger: Arc<Ledger>, control: ControlPlane, spent: Arc<Memory>, leftovers: Leftovers) -> Self {
        let mut shipper = Self {
            ledger,
            control,
            spent,
            tails: BTreeMap::new(),
            next_tail: 0,
            open: HashMap::default(),
            pending: VecDeque::new(),
            in_flight: VecDeque::new(),
            sequence: 0,
            acknowledged: 0,
        };
        for segment in leftovers.segments {
            shipper.ledger.add(segment);
        }
        shipper.find_segments();
        for (index, event) in leftovers.interrupted {
            // The end of an opening says nothing of the closings before it.
            let tail = u64::try_from(index).ok().map(|tail| (tail, 0));
            if let Some(tail) = tail.and_then(|(tail, _)| shipper.tails.get_mut(&tail)) {
                tail.unacknowledged += 1;
            }
            metrics::ending(pb::Ending::Interrupted);
            shipper.pending.push_back(Parcel { tail, event: event.encode_to_vec().into() });
        }
        // Openings of the earlier process are settled above: reading them again must not count them as live.
        shipper.open.clear();
        shipper
    }

    /// Delivers until shutdown, then for at most `flush` more until all is delivered.
    pub(crate) async fn run(mut self, shutdown: CancellationToken, flush: Duration) {
        let mut backoff = FIRST_BACKOFF;
        let deadline = shutdown_deadline(shutdown.clone(), flush);
        tokio::pin!(deadline);
        loop {
            let before = self.sequence;
            let delivered = tokio::select! {
                delivered = self.deliver(&shutdown) => delivered,
                () = &mut deadline => return self.leave().await,
            };
            match delivered {
                Ok(()) => return self.leave().await,
                Err(status) => {
                    let (code, message) = (status.code(), status.message());
                    tracing::warn!(
                        ?code,
                        message,
                        spooled = self.pending.len(),
                        "usage stays spooled: the control plane did not take it"
                    );
                }
            }
            self.read().await;
            if self.acknowledged > before {
                backoff = FIRST_BACKOFF;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = &mut deadline => return self.leave().await,
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn leave(&mut self) {
        self.take_back();
        self.read().await;
        if self.spent.has_news() {
            self.remember().await;
        }
        let (bytes, waiting) = (self.ledger.bytes(), self.pending.len());
        match waiting {
            0 => tracing::info!("all usage is delivered"),
            _ => tracing::warn!(bytes, events = waiting, "usage stays in the spool for the next start"),
        }
        let homeless = self.pending.iter().filter(|parcel| parcel.tail.is_none()).count();
        if homeless > 0 {
            metrics::usage_lost(homeless as u64);
            tracing::error!(events = homeless, "usage that the disk had refused is lost with the process");
        }
    }

    /// What was sent without an answer goes again, first.
    fn take_back(&mut self) {
        while let Some(sent) = self.in_flight.pop_back() {
            sent.parcels.into_iter().rev().for_each(|parcel| self.pending.push_front(parcel));
        }
    }

    /// One stream's life. Ends well only at shutdown with nothing left.
    async fn deliver(&mut self, shutdown: &CancellationToken) -> Result<(), tonic::Status> {
        let (send, batches) = mpsc::channel(BATCHES_IN_FLIGHT);
        let mut request = tonic::Request::new(ReceiverStream::new(batches));
        self.control.identity.sign_metadata(&mut request);
        let mut client = UsageClient::new(self.control.channel.clone());
        let begun = tokio::time::timeout(BEGIN_WITHIN, client.report(request)).await;
        let begun = begun.map_err(|_late| tonic::Status::deadline_exceeded("the stream did not begin in time"))?;
        let result = self.exchange(&send, &mut begun?.into_inner(), shutdown).await;
        self.take_back();
        result
    }

    async fn exchange(
        &mut self,
        send: &mpsc::Sender<pb::UsageBatch>,
        receipts: &mut tonic::Streaming<pb::UsageReceipt>,
        shutdown: &CancellationToken,
    ) -> Result<(), tonic::Status> {
        loop {
            self.read().await;
            while self.in_flight.len() < BATCHES_IN_FLIGHT && !self.pending.is_empty() {
                let batch = self.next_batch();
                send.send(batch).await.map_err(|_closed| tonic::Status::unavailable("the stream is closed"))?;
            }
            if self.in_flight.is_empty() && shutdown.is_cancelled() && self.is_drained() {
                return Ok(());
            }
            if self.spent.is_due() {
                self.remember().await;
            }
            let oldest = self.in_flight.front().map(|sent| sent.at);
            if oldest.is_some_and(|sent| sent.elapsed() > RECEIPT_WITHIN) {
                return Err(tonic::Status::deadline_exceeded("no receipt came in time"));
            }
            let ledger = Arc::clone(&self.ledger);
            let look_again = async {
                // With something on its way, or a shutdown on its way, the files are looked at again soon.
                if oldest.is_none() && !shutdown.is_cancelled() {
                    tokio::select! {
                        () = ledger.work.notified() => {}
                        () = shutdown.cancelled() => {}
                        // Others may have spent meanwhile.
                        () = tokio::time::sleep(LOOK_AT_NEWS) => {}
                    }
                }
                tokio::time::sleep(LINGER).await;
            };
            tokio::select! {
                receipt = receipts.message() => {
                    let closed = || tonic::Status::unavailable("the control plane closed the stream");
                    self.settle(&receipt?.ok_or_else(closed)?).await?;
                }
                () = look_again => {}
            }
        }
    }

    fn next_batch(&mut self) -> pb::UsageBatch {
        self.sequence += 1;
        let mut bytes = 0;
        let mut parcels = Vec::new();
        while let Some(parcel) = self.pending.pop_front() {
            bytes += parcel.event.len();
            parcels.push(parcel);
            if parcels.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES {
                break;
            }
        }
        let batch = pb::UsageBatch {
            sequence: self.sequence,
            data_plane_id: self.control.identity.data_plane_id.clone(),
            events: parcels.iter().map(|parcel| parcel.event.clone()).collect(),
        };
        self.in_flight.push_back(Sent { sequence: self.sequence, at: Instant::now(), parcels });
        batch
    }

    /// Takes a receipt in. A batch that was not committed ends the stream, and goes again after a pause.
    async fn settle(&mut self, receipt: &pb::UsageReceipt) -> Result<(), tonic::Status> {
        let Some(at) = self.in_flight.iter().position(|sent| sent.sequence == receipt.sequence) else { return Ok(()) };
        if !receipt.committed {
            return Err(tonic::Status::unavailable("the control plane could not commit the batch"));
        }
        let Some(Sent { parcels, .. }) = self.in_flight.remove(at) else { return Ok(()) };
        if receipt.dead_lettered > 0 {
            tracing::error!(events = receipt.dead_lettered, "the control plane put usage aside that it cannot book");
        }
        for (tail, end) in parcels.iter().filter_map(|parcel| parcel.tail) {
            if let Some(tail) = self.tails.get_mut(&tail) {
                tail.unacknowledged -= 1;
                tail.acknowledged = tail.acknowledged.max(end);
            }
        }
        self.spent.hear(&receipt.totals, News::Receipt);
        self.acknowledged = receipt.sequence;
        self.drop_delivered().await;
        self.measure();
        Ok(())
    }
}

async fn shutdown_deadline(shutdown: CancellationToken, flush: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(flush).await;
}
