//! Usage on its way to the control plane.
//!
//! Each core appends to a segment of its own: an opening record before the upstream call, a closing one
//! before the last byte leaves. The write returns before the answer does, so a killed process loses
//! nothing that a client has seen; the disk is synced every 50 ms for all cores together. [`ship`] reads the
//! segments back, delivers the closings and unlinks what is acknowledged; [`recover`] books the openings
//! that a crash left without a closing as interrupted. [`room`] knows how full the spool is, and counts what is served
//! unbooked where the operator prefers that to refusing.

mod entry;
pub(crate) mod recover;
mod room;
pub(crate) mod segment;
pub(crate) mod ship;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

pub(crate) use self::entry::{Entry, Field, Opening};
pub(crate) use self::room::{Room, Unbooked};
use crate::settings::SpoolFull;
use crate::telemetry::metrics;
use room::Fill;
use segment::{RecordKind, Segment};

/// How many closings are kept in memory when the disk refuses them.
const MAX_HOMELESS: usize = 10_000;

/// What all cores and the shipper share of the ledger.
pub(crate) struct Ledger {
    directory: PathBuf,
    room: Room,
    fill: Fill,
    boot: u64,
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Closings that the disk did not take; they live as long as the process.
    homeless: Mutex<VecDeque<Bytes>>,
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

/// What the ledger holds of a call that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Its opening record: whatever happens, it is booked.
    OnDisk,
    /// Nothing, since there was no room: its end is written if there is room by then, and counted if not.
    Nowhere,
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
    /// Opens the spool in `directory`.
    pub(crate) fn open(directory: PathBuf, room: Room, boot: u64) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&directory)?;
        Ok(Arc::new(Self {
            directory,
            room,
            fill: Fill::default(),
            boot,
            segments: Mutex::default(),
            homeless: Mutex::default(),
            waiting: AtomicU64::new(0),
            work: Notify::new(),
        }))
    }

    /// Bytes on disk that are not acknowledged.
    pub(crate) fn bytes(&self) -> u64 {
        self.fill.bytes()
    }

    /// Closings that are read but not acknowledged.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Calls that were served without being booked, since the start.
    pub(crate) fn unbooked(&self) -> Unbooked {
        self.fill.unbooked()
    }

    /// Measures how full the spool is: often, so that it is not overrun while the shipper waits for a control plane.
    fn weigh(&self) {
        let bytes = self.segments().iter().map(|segment| segment.undelivered()).sum();
        self.fill.measured(bytes, self.room);
        metrics::spool(bytes, self.waiting());
    }

    fn is_waiting_for(&self, closings: u64) {
        self.waiting.store(closings, Ordering::Relaxed);
        self.weigh();
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

    fn keep_homeless(&self, event: Bytes) {
        let Ok(mut homeless) = self.homeless.lock() else { return };
        if homeless.len() >= MAX_HOMELESS {
            metrics::usage_lost(1);
            tracing::error!("usage is lost: neither disk nor memory takes it");
            return;
        }
        homeless.push_back(event);
        drop(homeless);
        self.work.notify_one();
    }

    fn take_homeless(&self) -> Vec<Bytes> {
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

    /// Notes that an upstream call begins. Where its end could not be noted, it is refused, or is to go unbooked.
    pub(crate) fn open<'a>(&self, entry: impl Into<Entry<'a>>) -> Result<Opened, OpenError> {
        let entry = entry.into();
        let opened = match self.ledger.fill.is_full() {
            true => Err(OpenError::Full { bytes: self.ledger.bytes() }),
            false => self.append(RecordKind::Opening, entry).map_err(OpenError::Disk),
        };
        match (opened, self.ledger.room.when_full) {
            (Ok(()), _) => Ok(Opened::OnDisk),
            (Err(error), SpoolFull::Refuse) => Err(error),
            (Err(_), SpoolFull::ServeAndCount) => Ok(Opened::Nowhere),
        }
    }

    /// Notes how a call ended. When this returns, a kill of the process does not lose it, unless it was opened nowhere.
    pub(crate) fn close<'a>(&self, entry: impl Into<Entry<'a>>, opened: Opened) {
        let entry = entry.into();
        if opened == Opened::Nowhere && self.ledger.fill.is_full() {
            return self.ledger.fill.count_unbooked(entry.rest);
        }
        match (self.append(RecordKind::Closing, entry), opened) {
            (Ok(()), _) => self.ledger.work.notify_one(),
            (Err(error), Opened::OnDisk) => {
                tracing::error!(%error, "the spool did not take a closing record: it is kept in memory");
                let mut event = Vec::new();
                entry.write(&mut event);
                self.ledger.keep_homeless(event.into());
            }
            (Err(_), Opened::Nowhere) => self.ledger.fill.count_unbooked(entry.rest),
        }
    }

    /// Closes the current segment, so that it can be unlinked once delivered.
    pub(crate) fn finish(&self) {
        if let Some(writer) = self.writer.borrow_mut().take() {
            writer.segment.close();
        }
        self.ledger.work.notify_one();
    }

    fn append(&self, kind: RecordKind, entry: Entry<'_>) -> io::Result<()> {
        let mut writer = self.writer.borrow_mut();
        if let Some(full) = writer.take_if(|writer| writer.segment.is_due()) {
            full.segment.close();
        }
        let writer = match writer.as_mut() {
            Some(writer) => writer,
            None => writer.insert(self.next_segment()?),
        };
        let mut buffer = self.buffer.borrow_mut();
        segment::frame(&mut buffer, kind, |buffer| entry.write(buffer));
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
