//! Usage on its way to the control plane.
//!
//! Each core appends to a segment of its own: an opening record before the upstream call, a closing one
//! before the last byte leaves. The write returns before the answer does, so a killed process loses
//! nothing that a client has seen; the disk is synced every 50 ms for all cores together. [`ship`] reads the
//! segments back, delivers the closings and unlinks what is acknowledged; [`recover`] books the openings
//! that a crash left without a closing as interrupted.

pub(crate) mod recover;
pub(crate) mod segment;
pub(crate) mod ship;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message;
use proto::v1::UsageEvent;
use tokio::sync::Notify;

use crate::telemetry::metrics;
use segment::{RecordKind, Segment};

/// How many closings are kept in memory when the disk refuses them.
const MAX_HOMELESS: usize = 10_000;

/// What all cores and the shipper share of the ledger.
pub(crate) struct Ledger {
    directory: PathBuf,
    max_bytes: u64,
    boot: u64,
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Closings that the disk did not take; they live as long as the process.
    homeless: Mutex<VecDeque<UsageEvent>>,
    full: AtomicBool,
    bytes: AtomicU64,
    waiting: AtomicU64,
    work: Notify,
}

/// Why a call cannot be opened: booking it could not be promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the spool holds {bytes} bytes of usage that the control plane has not taken yet, and may hold no more")]
    Full { bytes: u64 },
    #[error("the spool cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// One core's way into the ledger. Not shared, so it takes no lock.
pub(crate) struct CoreLedger {
    ledger: Arc<Ledger>,
    core: usize,
    writer: RefCell<Option<Writer>>,
    buffer: RefCell<Vec<u8>>,
    sequence: RefCell<u64>,
}

struct Writer {
    segment: Arc<Segment>,
}

impl Ledger {
    /// Opens the spool in `directory`, which holds up to `max_bytes`.
    pub(crate) fn open(directory: PathBuf, max_bytes: u64, boot: u64) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&directory)?;
        Ok(Arc::new(Self {
            directory,
            max_bytes,
            boot,
            segments: Mutex::default(),
            homeless: Mutex::default(),
            full: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            work: Notify::new(),
        }))
    }

    /// Bytes on disk that are not acknowledged.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Closings that are read but not acknowledged.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn measure(&self, bytes: u64, waiting: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.waiting.store(waiting, Ordering::Relaxed);
        self.full.store(bytes >= self.max_bytes, Ordering::Relaxed);
        metrics::spool(bytes, waiting);
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.lock().map(|segments| segments.clone()).unwrap_or_default()
    }

    fn add(&self, segment: Arc<Segment>) {
        if let Ok(mut segments) = self.segments.lock() {
            segments.push(segment);
        }
    }

    fn forget(&self, segment: &Arc<Segment>) {
        if let Ok(mut segments) = self.segments.lock() {
            segments.retain(|other| !Arc::ptr_eq(other, segment));
        }
    }

    fn keep_homeless(&self, event: UsageEvent) {
        let Ok(mut homeless) = self.homeless.lock() else { return };
        if homeless.len() >= MAX_HOMELESS {
            metrics::usage_lost(1);
            tracing::error!(event.id = hex::encode(&event.event_id), "usage is lost: neither disk nor memory takes it");
            return;
        }
        homeless.push_back(event);
        drop(homeless);
        self.work.notify_one();
    }

    fn take_homeless(&self) -> Vec<UsageEvent> {
        self.homeless.lock().map(|mut homeless| homeless.drain(..).collect()).unwrap_or_default()
    }
}

impl CoreLedger {
    pub(crate) fn new(ledger: Arc<Ledger>, core: usize) -> Self {
        Self {
            ledger,
            core,
            writer: RefCell::default(),
            buffer: RefCell::new(Vec::with_capacity(1024)),
            sequence: RefCell::new(0),
        }
    }

    /// Notes that an upstream call begins. Refuses when its end could not be noted.
    pub(crate) fn open(&self, event: &UsageEvent) -> Result<(), OpenError> {
        if self.ledger.full.load(Ordering::Relaxed) {
            return Err(OpenError::Full { bytes: self.ledger.bytes() });
        }
        self.append(RecordKind::Opening, event).map_err(OpenError::Disk)
    }

    /// Notes how a call ended. When this returns, a kill of the process does not lose it.
    pub(crate) fn close(&self, event: UsageEvent) {
        match self.append(RecordKind::Closing, &event) {
            Ok(()) => self.ledger.work.notify_one(),
            Err(error) => {
                tracing::error!(%error, "the spool did not take a closing record: it is kept in memory");
                self.ledger.keep_homeless(event);
            }
        }
    }

    /// Closes the current segment, so that it can be unlinked once delivered.
    pub(crate) fn finish(&self) {
        if let Some(writer) = self.writer.borrow_mut().take() {
            writer.segment.close();
        }
        self.ledger.work.notify_one();
    }

    fn append(&self, kind: RecordKind, event: &UsageEvent) -> io::Result<()> {
        let mut writer = self.writer.borrow_mut();
        if let Some(full) = writer.take_if(|writer| writer.segment.is_due()) {
            full.segment.close();
        }
        let writer = match writer.as_mut() {
            Some(writer) => writer,
            None => writer.insert(self.next_segment()?),
        };
        let mut buffer = self.buffer.borrow_mut();
        segment::frame(&mut buffer, kind, |buffer| event.encode_raw(buffer));
        writer.segment.append(&buffer)
    }

    fn next_segment(&self) -> io::Result<Writer> {
        let mut sequence = self.sequence.borrow_mut();
        *sequence += 1;
        let name = format!("{:016x}-{:03}-{:08}.seg", self.ledger.boot, self.core, *sequence);
        let segment = Arc::new(Segment::create(self.ledger.directory.join(name))?);
        self.ledger.add(Arc::clone(&segment));
        Ok(Writer { segment })
    }
}
