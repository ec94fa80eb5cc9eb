//! One file of the spool: a header, then records `length | crc32 | kind | payload`.
//!
//! Append only, and no side file for positions: what is acknowledged is unlinked whole, and reading a
//! segment again does no harm because events are booked once under their own id. A torn tail is what a
//! crash leaves and ends the reading; damage before it is skipped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

const MAGIC: &[u8; 8] = b"tpspool1";
const FRAME_BYTES: usize = 9;
/// A record may be no larger, written or read.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// A segment is closed when it has grown so large.
const SEGMENT_BYTES: u64 = 8 << 20;

/// What a record says of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Opening,
    Closing,
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    pub(crate) payload: Bytes,
    /// Where it ends in the segment.
    pub(crate) end: u64,
}

/// A segment file and how far it is written and synced.
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    written: AtomicU64,
    synced: AtomicU64,
    /// Up to here, everything was acknowledged at some moment.
    delivered: AtomicU64,
    closed: AtomicBool,
}

impl Segment {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = (&file).write_all(MAGIC) {
            // A full disk still makes empty files: each refused call would leave one.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self {
            path,
            file,
            written: AtomicU64::new(MAGIC.len() as u64),
            synced: AtomicU64::new(0),
            delivered: AtomicU64::new(MAGIC.len() as u64),
            closed: AtomicBool::new(false),
        })
    }

    /// Opens what an earlier process left.
    pub(crate) fn reopen(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).open(&path)?;
        let length = file.metadata()?.len();
        let (written, synced) = (AtomicU64::new(length), AtomicU64::new(length));
        let delivered = AtomicU64::new(MAGIC.len() as u64);
        Ok(Self { path, file, written, synced, delivered, closed: AtomicBool::new(true) })
    }

    /// Writes one framed record. Whole or not at all: a failed write is cut off again.
    pub(crate) fn append(&self, framed: &[u8]) -> io::Result<()> {
        if framed.len() > MAX_RECORD_BYTES {
            return Err(io::Error::other(format!("a record of {} bytes is larger than a record may be", framed.len())));
        }
        let before = self.written.load(Ordering::Relaxed);
        if let Err(error) = (&self.file).write_all(framed) {
            if let Err(error) = self.file.set_len(before) {
                tracing::error!(%error, "a torn record could not be cut off the spool");
                self.close();
            }
            return Err(error);
        }
        self.written.store(before + framed.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Whether it is time for another segment.
    pub(crate) fn is_due(&self) -> bool {
        self.written.load(Ordering::Relaxed) >= SEGMENT_BYTES || self.is_closed()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Notes that everything up to `offset` is acknowledged.
    pub(crate) fn deliver_up_to(&self, offset: u64) {
        self.delivered.store(offset, Ordering::Relaxed);
    }

    /// The bytes that hold what is not acknowledged, and what came after it.
    pub(crate) fn undelivered(&self) -> u64 {
        self.written().saturating_sub(self.delivered.load(Ordering::Relaxed))
    }

    /// Brings what is written to the disk; blocks.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let written = self.written();
        if self.synced.load(Ordering::Relaxed) >= written {
            return Ok(());
        }
        if self.synced.load(Ordering::Relaxed) == 0
            && let Some(directory) = self.path.parent()
        {
            // A new file is durable only once its directory is.
            File::open(directory)?.sync_all()?;
        }
        self.file.sync_data()?;
        self.synced.store(written, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn unlink(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Keeps what cannot be read for people to look at.
    pub(crate) fn set_aside(&self) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_extension("damaged"))
    }

    /// The name of its file.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The whole records from `offset` on, up to about `limit` bytes, and where the next one begins.
    pub(crate) fn read(&self, offset: u64, limit: usize) -> io::Result<Stretch> {
        let offset = offset.max(MAGIC.len() as u64);
        let mut stretch = self.stretch(offset, limit)?;
        if stretch.next == 0 && stretch.end == StretchEnd::Whole {
            // Nothing whole in so little: a large record, perhaps.
            stretch = self.stretch(offset, MAX_RECORD_BYTES + FRAME_BYTES)?;
        }
        stretch.next += offset;
        stretch.records.iter_mut().for_each(|record| record.end += offset);
        Ok(stretch)
    }

    fn stretch(&self, offset: u64, limit: usize) -> io::Result<Stretch> {
        let there = usize::try_from(self.written().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; there.min(limit)];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        buffer.truncate(filled);
        Ok(parse(&Bytes::from(buffer)))
    }
}

/// Puts a whole record into `buffer`, which is cleared first.
pub(crate) fn frame(buffer: &mut Vec<u8>, kind: RecordKind, encode: impl FnOnce(&mut Vec<u8>)) {
    buffer.clear();
    buffer.extend_from_slice(&[0; FRAME_BYTES - 1]);
    buffer.push(match kind {
        RecordKind::Opening => 1,
        RecordKind::Closing => 2,
    });
    encode(buffer);
    let (head, rest) = buffer.split_at_mut(FRAME_BYTES - 1);
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    let (length_at, crc_at) = head.split_at_mut(4);
    length_at.copy_from_slice(&length.to_le_bytes());
    crc_at.copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
}

/// What was read at once.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) records: Vec<Record>,
    /// Where the next record begins.
    pub(crate) next: u64,
    /// Records whose bytes were changed after they were written, or that we do not know: left out.
    pub(crate) damaged: u64,
    /// Why it ended where it did.
    pub(crate) end: StretchEnd,
}

/// What follows the records that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StretchEnd {
    /// Nothing, or the beginning of a record: more to come, or what a crash tore.
    #[default]
    Whole,
    /// Bytes that are no record: where the next one begins cannot be told.
    Garbage,
}

/// Cuts whole records off the front of `bytes`.
pub(crate) fn parse(bytes: &Bytes) -> Stretch {
    let mut stretch = Stretch::default();
    let mut at = 0;
    while let Some((length, crc)) = head_at(bytes, at) {
        if !(1..=MAX_RECORD_BYTES).contains(&length) {
            stretch.end = StretchEnd::Garbage;
            break;
        }
        let body = at + 8..at + 8 + length;
        let Some(content) = bytes.get(body.clone()) else { break };
        at = body.end;
        if crc32fast::hash(content) != crc {
            stretch.damaged += 1;
            continue;
        }
        let kind = match content.first() {
            Some(1) => RecordKind::Opening,
            Some(2) => RecordKind::Closing,
            _ => {
                // A later version's. Not ours to book, nor to lose: the file is kept aside.
                stretch.damaged += 1;
                continue;
            }
        };
        stretch.records.push(Record { kind, payload: bytes.slice(body.start + 1..body.end), end: body.end as u64 });
    }
    stretch.next = at as u64;
    stretch
}

fn head_at(bytes: &Bytes, at: usize) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?);
    Some((length, crc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        frame(&mut buffer, RecordKind::Closing, |buffer| buffer.extend_from_slice(payload));
        buffer
    }

    #[test]
    fn what_is_appended_is_read_from_any_record_on() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path().join("a.seg")).unwrap();
        segment.append(&framed(b"one")).unwrap();
        let first = segment.read(0, 1 << 20).unwrap();
        segment.append(&framed(b"two")).unwrap();
        let second = segment.read(first.next, 1 << 20).unwrap();
        assert_eq!(first.records[0].payload, "one");
        assert_eq!(second.records[0].payload, "two");
        assert_eq!(second.next, segment.written());
        segment.sync().unwrap();

        let reopened = Segment::reopen(segment.path().to_owned()).unwrap();
        assert_eq!(reopened.read(0, 1 << 20).unwrap().records.len(), 2);
    }

    #[test]
    fn a_record_larger_than_a_record_may_be_is_refused_and_harms_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path().join("a.seg")).unwrap();
        assert!(segment.append(&framed(&vec![0; MAX_RECORD_BYTES + 1])).is_err());
        segment.append(&framed(b"next")).unwrap();
        assert_eq!(segment.read(0, 1 << 20).unwrap().records[0].payload, "next");
    }

    #[test]
    fn damage_in_the_middle_loses_the_damaged_record_alone() {
        let mut bytes = [framed(b"one"), framed(b"two"), framed(b"three")].concat();
        bytes[framed(b"one").len() + 10] ^= 1;
        let stretch = parse(&Bytes::from(bytes.clone()));
        let payloads: Vec<_> = stretch.records.iter().map(|record| record.payload.clone()).collect();
        assert_eq!(payloads, ["one", "three"]);
        assert_eq!((stretch.damaged, stretch.end), (1, StretchEnd::Whole));

        bytes[framed(b"one").len() + 3] = 0xff;
        let stretch = parse(&Bytes::from(bytes));
        assert_eq!((stretch.records.len(), stretch.end), (1, StretchEnd::Garbage));
    }

    proptest! {
        #[test]
        fn a_tail_torn_anywhere_loses_only_the_torn_record(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8), cut in any::<prop::sample::Index>()) {
            let whole: Vec<Vec<u8>> = payloads.iter().map(|payload| framed(payload)).collect();
            let bytes: Vec<u8> = whole.concat();
            let cut = cut.index(bytes.len() + 1);
            let mut ends = whole.iter().scan(0, |end, record| { *end += record.len(); Some(*end) });
            let expected = ends.by_ref().take_while(|end| *end <= cut).count();
            let stretch = parse(&Bytes::copy_from_slice(&bytes[..cut]));
            prop_assert_eq!(stretch.records.len(), expected);
            prop_assert_eq!(stretch.end, StretchEnd::Whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let stretch = parse(&Bytes::from(bytes.clone()));
            prop_assert!(stretch.next <= bytes.len() as u64);
        }
    }
}
