//! The segments on their way: read as far as memory may be used for it, counted out by receipts, and unlinked when nothing in
//! them is waited for.

use std::sync::Arc;

use super::super::segment::{Record, RecordKind, Segment, StretchEnd};
use super::{Parcel, READ_AHEAD_EVENTS, READ_BYTES, Shipper, Tail};
use crate::telemetry::metrics;

impl Shipper {
    pub(super) fn find_segments(&mut self) {
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
    pub(super) async fn read(&mut self) {
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
        self.drop_delivered().await;
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

    pub(super) async fn drop_delivered(&mut self) {
        let done = |tail: &Tail| {
            tail.segment.is_closed()
                && tail.offset >= tail.segment.written()
                && tail.unacknowledged == 0
                && tail.open == 0
        };
        let ids: Vec<u64> = self.tails.iter().filter(|(_, tail)| done(tail)).map(|(id, _)| *id).collect();
        // What these segments held is known from the totals alone from now on.
        let is_kept = ids.is_empty() || !self.spent.has_news() || self.remember().await;
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
            self.remember().await;
        }
    }

    /// Writes what is spent of budgets, and up to where the spool has been counted into it: where blocking is allowed, since
    /// there may be a million.
    pub(super) async fn remember(&self) -> bool {
        let tails = self.tails.values().map(|tail| (tail.segment.name(), tail.acknowledged));
        let (spent, positions) = (Arc::clone(&self.spent), tails.collect::<Vec<_>>());
        let saved = tokio::task::spawn_blocking(move || spent.save(positions.into_iter())).await;
        let saved = saved.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = &saved {
            tracing::error!(%error, "what is spent of budgets could not be written: a start without the control plane would lack it");
        }
        saved.is_ok()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.tails.values().all(|tail| tail.offset >= tail.segment.written())
    }

    pub(super) fn measure(&self) {
        for tail in self.tails.values().filter(|tail| tail.unacknowledged == 0) {
            tail.segment.deliver_up_to(tail.offset);
        }
        let unacknowledged: usize = self.tails.values().map(|tail| tail.unacknowledged).sum();
        self.ledger.is_waiting_for(unacknowledged as u64);
    }
}

pub(super) type EventId = [u8; 16];

/// The id of an event, which is its first field. The rest is not looked at: what cannot be booked is the control
/// plane's to say.
pub(super) fn event_id_of(event: &[u8]) -> Option<EventId> {
    const FIRST_FIELD: [u8; 2] = [1 << 3 | 2, 16];
    event.strip_prefix(&FIRST_FIELD)?.first_chunk().copied()
}
