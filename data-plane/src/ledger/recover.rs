//! What an earlier process left in the spool.
//!
//! Closings are delivered as if nothing had happened. An opening without a closing is a call that died with
//! the process: it is booked as interrupted, with the estimate that the opening carries. Its event id is the
//! call's own, so a closing that did get through before makes it a no-op.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use proto::v1::{self as pb, UsageEvent};

use super::segment::{RecordKind, Segment};
use crate::limits::memory::Positions;

const READ_BYTES: usize = 4 << 20;

/// The segments an earlier process left, oldest first, and the calls it left open.
pub(crate) struct Leftovers {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// With the index of the segment that holds the opening.
    pub(crate) interrupted: Vec<(usize, UsageEvent)>,
}

/// Reads the spool directory, and lets `owe` have what was used and not acknowledged when the totals were last written: what
/// `positions` do not cover, and the interrupted calls.
pub(crate) fn leftovers_owed(
    directory: &Path,
    positions: &Positions,
    owe: &mut dyn FnMut(&UsageEvent),
) -> io::Result<Leftovers> {
    let left = read(directory, positions, owe)?;
    left.interrupted.iter().for_each(|(_, event)| owe(event));
    Ok(left)
}

/// Reads the spool directory. Files that cannot be opened are set aside by name and said, never fatal.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn leftovers(directory: &Path) -> io::Result<Leftovers> {
    leftovers_owed(directory, &Positions::new(), &mut |_| {})
}

fn read(directory: &Path, positions: &Positions, owe: &mut dyn FnMut(&UsageEvent)) -> io::Result<Leftovers> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    let mut segments = Vec::new();
    for path in paths {
        match Segment::reopen(path.clone()) {
            Ok(segment) => segments.push(Arc::new(segment)),
            Err(error) => tracing::error!(file = %path.display(), %error, "a spool segment cannot be opened"),
        }
    }
    let mut found = Found::default();
    for (index, segment) in segments.iter().enumerate() {
        let acknowledged = positions.get(&segment.name()).copied().unwrap_or(0);
        scan(segment, index, &mut found, &mut |end, event| {
            if end > acknowledged {
                owe(event)
            }
        })?;
    }
    let mut interrupted: Vec<_> = found.open.into_values().collect();
    interrupted.sort_by(|(_, a), (_, b)| a.event_id.cmp(&b.event_id));
    for (_, event) in &mut interrupted {
        event.set_ending(pb::Ending::Interrupted);
        event.success = false;
    }
    Ok(Leftovers { segments, interrupted })
}

/// Openings without a closing, and closings whose opening has not been seen: files may come in any order.
#[derive(Default)]
struct Found {
    open: HashMap<Vec<u8>, (usize, UsageEvent)>,
    closed: HashSet<Vec<u8>>,
}

fn scan(
    segment: &Segment,
    index: usize,
    found: &mut Found,
    closed: &mut dyn FnMut(u64, &UsageEvent),
) -> io::Result<()> {
    let mut offset = 0;
    loop {
        let stretch = segment.read(offset, READ_BYTES)?;
        if stretch.next == offset.max(8) {
            break;
        }
        for record in stretch.records {
            let Ok(event) = UsageEvent::decode(record.payload) else {
                tracing::error!(file = %segment.path().display(), "a spool record does not decode: left out");
                continue;
            };
            let id = event.event_id.to_vec();
            match record.kind {
                RecordKind::Opening if found.closed.contains(&id) => {}
                RecordKind::Opening => {
                    found.open.entry(id).or_insert((index, event));
                }
                RecordKind::Closing => {
                    closed(record.end, &event);
                    if found.open.remove(&id).is_none() {
                        found.closed.insert(id);
                    }
                }
            }
        }
        offset = stretch.next;
    }
    if offset < segment.written() && segment.written() > 8 {
        tracing::warn!(file = %segment.path().display(), at = offset, "a spool segment ends in a torn record");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{CoreLedger, Ledger, Opened, Room};
    use super::*;
    use crate::settings::SpoolFull;

    const ROOM: Room = Room { max_bytes: 1 << 30, when_full: SpoolFull::Refuse };

    fn event(id: u8) -> UsageEvent {
        UsageEvent { event_id: vec![id; 16].into(), cost_nano_usd: 5, ..Default::default() }
    }

    #[test]
    fn an_opening_without_its_closing_is_interrupted_once() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path().to_owned(), ROOM, 1).unwrap();
        let core = CoreLedger::new(ledger, 0);
        core.open(&event(1)).unwrap();
        core.open(&event(2)).unwrap();
        core.close(&event(1), Opened::OnDisk);
        core.finish();
        core.open(&event(3)).unwrap();
        core.close(&event(3), Opened::OnDisk);

        let left = leftovers(directory.path()).unwrap();
        assert_eq!(left.segments.len(), 2);
        let ids: Vec<u8> = left.interrupted.iter().map(|(_, event)| event.event_id[0]).collect();
        assert_eq!(ids, [2]);
        assert_eq!(left.interrupted[0].1.ending(), pb::Ending::Interrupted);
    }

    #[test]
    fn what_was_not_acknowledged_is_owed_and_so_is_what_was_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let core = CoreLedger::new(Ledger::open(directory.path().to_owned(), ROOM, 1).unwrap(), 0);
        for id in [1, 2] {
            core.open(&event(id)).unwrap();
            core.close(&event(id), Opened::OnDisk);
        }
        core.open(&event(3)).unwrap();
        let owed = |positions: &Positions| {
            let mut owed = Vec::new();
            leftovers_owed(directory.path(), positions, &mut |event| owed.push(event.event_id[0])).unwrap();
            owed
        };
        assert_eq!(owed(&Positions::new()), [1, 2, 3]);
        let left = leftovers(directory.path()).unwrap();
        let records = left.segments[0].read(0, 1 << 20).unwrap().records;
        let acknowledged = [(left.segments[0].name(), records[1].end)].into_iter().collect();
        assert_eq!(owed(&acknowledged), [2, 3]);
    }

    #[test]
    fn a_closing_that_is_found_before_its_opening_counts() {
        let directory = tempfile::tempdir().unwrap();
        let core = CoreLedger::new(Ledger::open(directory.path().to_owned(), ROOM, 2).unwrap(), 0);
        core.open(&event(1)).unwrap();
        core.finish();
        // Read first, since it is of an earlier start.
        let earlier = CoreLedger::new(Ledger::open(directory.path().to_owned(), ROOM, 1).unwrap(), 0);
        earlier.close(&event(1), Opened::OnDisk);
        let left = leftovers(directory.path()).unwrap();
        assert_eq!((left.segments.len(), left.interrupted.len()), (2, 0));
    }

    #[test]
    fn a_foreign_or_empty_file_does_not_stop_the_start() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("0.seg"), b"").unwrap();
        std::fs::write(directory.path().join("1.seg"), [0xff; 100]).unwrap();
        let left = leftovers(directory.path()).unwrap();
        assert!(left.interrupted.is_empty());
    }
}
