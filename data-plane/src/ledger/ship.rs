//! Delivers the spool to the control plane, and unlinks what it has acknowledged.
//!
//! Reading is from the segment files (the page cache, in practice), so that delivery after a crash and
//! delivery in good times are the same path. A batch whose receipt did not come is sent again; intake books
//! each event once.

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

use super::Ledger;
use super::recover::Leftovers;
use super::segment::{Record, RecordKind, Segment, StretchEnd};
use crate::control::ControlPlane;
use crate::limits::budget::News;
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
                () = &mut deadline => return self.leave(),
            };
            match delivered {
                Ok(()) => return self.leave(),
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
            self.read();
            if self.acknowledged > before {
                backoff = FIRST_BACKOFF;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = &mut deadline => return self.leave(),
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    fn leave(&mut self) {
        self.take_back();
        self.read();
        if self.spent.has_news() {
            self.remember();
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
            self.read();
            while self.in_flight.len() < BATCHES_IN_FLIGHT && !self.pending.is_empty() {
                let batch = self.next_batch();
                send.send(batch).await.map_err(|_closed| tonic::Status::unavailable("the stream is closed"))?;
            }
            if self.in_flight.is_empty() && shutdown.is_cancelled() && self.is_drained() {
                return Ok(());
            }
            if self.spent.is_due() {
                self.remember();
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
                    self.settle(&receipt?.ok_or_else(closed)?)?;
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
    fn settle(&mut self, receipt: &pb::UsageReceipt) -> Result<(), tonic::Status> {
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
        self.drop_delivered();
        self.measure();
        Ok(())
    }

    fn find_segments(&mut self) {
        for segment in self.ledger.segments() {
            if !self.tails.values().any(|tail| Arc::ptr_eq(&tail.segment, &segment)) {
                self.tails.insert(
                    self.next_tail,
                    Tail { segment, offset: 0, unacknowledged: 0, acknowledged: 0, open: 0, is_damaged: false },
                );
                self.next_tail += 1;
            }
        }
    }

    /// Reads on in all segments, as far as memory may be used for it.
    fn read(&mut self) {
        self.find_segments();
        let tails: Vec<u64> = self.tails.keys().copied().collect();
        for id in tails {
            while self.pending.len() < READ_AHEAD_EVENTS && self.read_some(id) {}
        }
        // Their openings are on disk, so they come after what is there; what is not read yet waits with them.
        if self.pending.len() < READ_AHEAD_EVENTS {
            for event in self.ledger.take_homeless() {
                if let Some(event_id) = event_id_of(&event) {
                    self.note_closed(&event_id);
                }
                self.pending.push_back(Parcel { tail: None, event });
            }
        }
        self.drop_delivered();
        self.measure();
    }

    /// Reads one stretch of a segment; `false` when there is nothing more.
    fn read_some(&mut self, id: u64) -> bool {
        let Some(tail) = self.tails.get_mut(&id) else { return false };
        if tail.offset >= tail.segment.written() {
            return false;
        }
        let stretch = match tail.segment.read(tail.offset, READ_BYTES) {
            Ok(stretch) => stretch,
            Err(error) => {
                tracing::error!(file = %tail.segment.path().display(), %error, "a spool segment cannot be read");
                return false;
            }
        };
        if stretch.damaged > 0 || stretch.end == StretchEnd::Garbage {
            let (file, records) = (tail.segment.path().display(), stretch.damaged);
            tracing::error!(%file, records, "a spool segment is damaged: it is kept aside for you to look at");
            metrics::usage_lost(stretch.damaged.max(1));
            tail.is_damaged = true;
        }
        let is_stuck = stretch.next <= tail.offset || (tail.offset == 0 && stretch.next <= 8);
        if stretch.end == StretchEnd::Garbage || (is_stuck && tail.segment.is_closed()) {
            tail.offset = tail.segment.written(); // nothing more can be read: a torn tail, or worse, which was said
        } else if is_stuck {
            return false;
        } else {
            tail.offset = stretch.next;
        }
        for record in stretch.records {
            match event_id_of(&record.payload) {
                Some(event_id) => self.note(id, event_id, record),
                None => self.keep_aside(id),
            }
        }
        true
    }

    /// A record that is whole and says nothing to us: its file is kept for people, and the rest of it is delivered.
    fn keep_aside(&mut self, id: u64) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tracing::error!(file = %tail.segment.path().display(), "a spool record is no usage event: its file is kept aside");
        metrics::usage_lost(1);
        tail.is_damaged = true;
    }

    fn note(&mut self, id: u64, event_id: EventId, record: Record) {
        match record.kind {
            RecordKind::Opening => {
                // Those of an earlier process were settled at the start; its segments are closed from the beginning.
                if self.tails.get(&id).is_some_and(|tail| !self.is_leftover(&tail.segment)) {
                    self.open.insert(event_id, id);
                    if let Some(tail) = self.tails.get_mut(&id) {
                        tail.open += 1;
                    }
                }
            }
            RecordKind::Closing => {
                self.note_closed(&event_id);
                if let Some(tail) = self.tails.get_mut(&id) {
                    tail.unacknowledged += 1;
                }
                self.pending.push_back(Parcel { tail: Some((id, record.end)), event: record.payload });
            }
        }
    }

    fn note_closed(&mut self, event_id: &EventId) {
        if let Some(opened_in) = self.open.remove(event_id)
            && let Some(tail) = self.tails.get_mut(&opened_in)
        {
            tail.open -= 1;
        }
    }

    fn is_leftover(&self, segment: &Segment) -> bool {
        let ours = format!("{:016x}-", self.ledger.boot);
        !segment.path().file_name().is_some_and(|name| name.to_string_lossy().starts_with(&ours))
    }

    fn drop_delivered(&mut self) {
        let done = |tail: &Tail| {
            tail.segment.is_closed()
                && tail.offset >= tail.segment.written()
                && tail.unacknowledged == 0
                && tail.open == 0
        };
        let ids: Vec<u64> = self.tails.iter().filter(|(_, tail)| done(tail)).map(|(id, _)| *id).collect();
        // What these segments held is known from the totals alone from now on.
        let is_kept = ids.is_empty() || !self.spent.has_news() || self.remember();
        for id in ids {
            let Some(tail) = self.tails.remove(&id) else { continue };
            self.ledger.forget(&tail.segment);
            let gone = if tail.is_damaged { tail.segment.set_aside() } else { tail.segment.unlink() };
            if let Err(error) = gone {
                tracing::warn!(file = %tail.segment.path().display(), %error, "a delivered segment could not be removed");
            }
        }
        if !is_kept {
            // On a full disk there is room only now.
            self.remember();
        }
    }

    /// Writes what is spent of budgets, and up to where the spool has been counted into it.
    fn remember(&self) -> bool {
        let tails = self.tails.values().map(|tail| (tail.segment.name(), tail.acknowledged));
        let saved = self.spent.save(tails);
        if let Err(error) = &saved {
            tracing::error!(%error, "what is spent of budgets could not be written: a start without the control plane would lack it");
        }
        saved.is_ok()
    }

    fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.tails.values().all(|tail| tail.offset >= tail.segment.written())
    }

    fn measure(&self) {
        for tail in self.tails.values().filter(|tail| tail.unacknowledged == 0) {
            tail.segment.deliver_up_to(tail.offset);
        }
        let unacknowledged: usize = self.tails.values().map(|tail| tail.unacknowledged).sum();
        self.ledger.is_waiting_for(unacknowledged as u64);
    }
}

type EventId = [u8; 16];

/// The id of an event, which is its first field. The rest is not looked at: what cannot be booked is the control
/// plane's to say.
fn event_id_of(event: &[u8]) -> Option<EventId> {
    const FIRST_FIELD: [u8; 2] = [1 << 3 | 2, 16];
    event.strip_prefix(&FIRST_FIELD)?.first_chunk().copied()
}

async fn shutdown_deadline(shutdown: CancellationToken, flush: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(flush).await;
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::recover::leftovers;
    use super::super::segment::frame;
    use super::super::{CoreLedger, Opened, Room};
    use super::*;
    use proto::v1::UsageEvent;

    use crate::control::ControlAddresses;
    use crate::settings::SpoolFull;

    fn open(directory: &Path, max_bytes: u64, when_full: SpoolFull) -> (Shipper, CoreLedger, Arc<Ledger>) {
        let ledger = Ledger::open(directory.to_owned(), Room { max_bytes, when_full }, 9).unwrap();
        let control = ControlAddresses::parse("unix:/nowhere/control.sock", None).unwrap();
        let control = ControlPlane::new(control, "dp").unwrap();
        let (spent, _) = Memory::open(directory.join("spent"), Arc::default());
        let shipper = Shipper::new(Arc::clone(&ledger), control, Arc::new(spent), leftovers(directory).unwrap());
        (shipper, CoreLedger::new(Arc::clone(&ledger), 0), ledger)
    }

    fn event(id: u8) -> UsageEvent {
        UsageEvent { event_id: vec![id; 16].into(), cost_nano_usd: 5, model: "m".repeat(50), ..Default::default() }
    }

    /// Sends everything that waits, and takes the receipts in.
    fn deliver(shipper: &mut Shipper) -> Vec<u8> {
        shipper.read();
        let mut ids = Vec::new();
        while !shipper.pending.is_empty() {
            let batch = shipper.next_batch();
            ids.extend(batch.events.iter().filter_map(|event| Some(event_id_of(event)?[0])));
            let receipt = pb::UsageReceipt { sequence: batch.sequence, committed: true, ..Default::default() };
            shipper.settle(&receipt).unwrap();
        }
        ids
    }

    #[tokio::test]
    async fn a_record_that_says_nothing_to_us_keeps_its_file_aside_and_nothing_else_back() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path().join("0.seg")).unwrap();
        let mut buffer = Vec::new();
        for payload in [event(1).encode_to_vec(), vec![0xff; 40], event(2).encode_to_vec()] {
            frame(&mut buffer, RecordKind::Closing, |buffer| buffer.extend_from_slice(&payload));
            segment.append(&buffer).unwrap();
        }
        drop(segment);
        let (mut shipper, ..) = open(directory.path(), 1 << 30, SpoolFull::Refuse);
        assert_eq!(deliver(&mut shipper), [1, 2]);
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["0.damaged"]);
    }

    #[tokio::test]
    async fn what_is_delivered_makes_room_although_its_file_goes_later() {
        let directory = tempfile::tempdir().unwrap();
        let (mut shipper, core, ledger) = open(directory.path(), 400, SpoolFull::Refuse);
        let mut opened = 0;
        let refused = loop {
            match core.open(&event(opened)) {
                Ok(how) => core.close(&event(opened), how),
                Err(error) => break error,
            }
            opened += 1;
            ledger.weigh();
        };
        assert!(refused.to_string().contains("the spool holds"), "{refused}");
        assert!((2..9).contains(&opened), "{opened}");
        assert_eq!(deliver(&mut shipper).len(), usize::from(opened));
        assert_eq!((ledger.bytes(), ledger.waiting()), (0, 0));
        assert_eq!(core.open(&event(100)).unwrap(), Opened::OnDisk);
    }

    #[tokio::test]
    async fn a_full_spool_that_is_to_serve_counts_a_call_unless_there_is_room_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (mut shipper, core, ledger) = open(directory.path(), 100, SpoolFull::ServeAndCount);
        let how = core.open(&event(1)).unwrap();
        core.close(&event(1), how);
        ledger.weigh();
        let (one, other) = (core.open(&event(2)).unwrap(), core.open(&event(3)).unwrap());
        assert_eq!((one, other), (Opened::Nowhere, Opened::Nowhere));
        core.close(&event(2), one);
        let unbooked = ledger.unbooked();
        assert_eq!((unbooked.calls, unbooked.nano_usd), (1, 5));
        assert_eq!(deliver(&mut shipper), [1]);
        core.close(&event(3), other);
        assert_eq!(deliver(&mut shipper), [3]);
        assert_eq!(ledger.unbooked(), unbooked);
    }
}
