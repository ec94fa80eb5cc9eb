//! Who is connected, and what they hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::v1 as pb;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::Version;

/// Reasons kept of a refused update.
const REJECTIONS_SHOWN: usize = 20;

/// One connected data plane, as `/fleet` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DataPlaneView {
    /// The id that it keeps across restarts.
    pub(crate) id: String,
    /// Its build.
    pub(crate) build: String,
    /// When this connection began, RFC 3339.
    pub(crate) connected_since: String,
    /// The epoch of what it holds; absent when it holds nothing.
    pub(crate) epoch: Option<String>,
    /// The revision that its calls see.
    pub(crate) revision_applied: Option<u64>,
    /// The revision that a restart of it would begin with, at least.
    pub(crate) revision_durable: Option<u64>,
    /// When it last said something, RFC 3339.
    pub(crate) last_heard: String,
    /// Age of its snapshot, as it said last, in milliseconds.
    pub(crate) snapshot_age_ms: u64,
    /// Usage that it has not delivered yet, in bytes.
    pub(crate) spool_bytes: u64,
    /// Usage that it has not delivered yet, in events.
    pub(crate) spool_events: u64,
    /// Calls in flight.
    pub(crate) in_flight: u32,
    /// Calls that it served since its start without booking them: its spool was full, and it is set to serve on.
    pub(crate) unbooked_calls: u64,
    /// What those calls cost, in billionths of a dollar.
    pub(crate) unbooked_nano_usd: u64,
    /// Why it did not take the last update, or parts of it (`kind id: reason`), at most 20.
    pub(crate) rejections: Vec<String>,
    /// It refuses the last snapshot because so much would be gone: `POST /fleet/confirm_shrink` says that it is meant.
    pub(crate) refuses_shrink: bool,
}

#[derive(Default)]
pub(super) struct Fleet(Arc<Shared>);

struct Shared {
    seats: Mutex<BTreeMap<String, Occupant>>,
    /// Ticks when somebody comes, goes, or applies.
    moved: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { seats: Mutex::default(), moved: watch::Sender::new(0) }
    }
}

struct Occupant {
    view: DataPlaneView,
    applied: Option<Version>,
    /// Cancelled when a newer connection takes the seat: of two streams of one data plane the old one is dead.
    replaced: CancellationToken,
}

impl Fleet {
    /// Seats a data plane until the seat is dropped. A connection that held the seat before is told to end.
    pub(super) fn seat(&self, hello: &pb::Hello, held: Option<Version>) -> Seat {
        let replaced = CancellationToken::new();
        let now = rfc3339(OffsetDateTime::now_utc());
        let view = DataPlaneView {
            id: hello.data_plane_id.clone(),
            build: hello.build.clone(),
            connected_since: now.clone(),
            last_heard: now,
            epoch: held.map(|held| held.epoch.to_string()),
            revision_applied: held.map(|held| held.revision),
            revision_durable: held.map(|held| held.revision),
            ..DataPlaneView::default()
        };
        let occupant = Occupant { view, applied: held, replaced: replaced.clone() };
        if let Some(former) = self.0.seats().insert(hello.data_plane_id.clone(), occupant) {
            former.replaced.cancel();
        }
        self.0.tick();
        Seat { shared: self.0.clone(), id: hello.data_plane_id.clone(), replaced }
    }

    /// Ticks when somebody comes, goes, or applies.
    pub(super) fn moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// The ids of those that are connected here.
    pub(super) fn ids(&self) -> Vec<String> {
        self.0.seats().keys().cloned().collect()
    }

    pub(super) fn view(&self) -> Vec<DataPlaneView> {
        self.0.seats().values().map(|occupant| occupant.view.clone()).collect()
    }

    /// The ids that have not applied `wanted` when `within` has passed.
    pub(super) async fn applied(&self, wanted: Version, within: Duration) -> Vec<String> {
        let mut moved = self.0.moved.subscribe();
        let all_have = async { while !self.late(wanted).is_empty() && moved.changed().await.is_ok() {} };
        match tokio::time::timeout(within, all_have).await {
            Ok(()) => Vec::new(),
            Err(_elapsed) => self.late(wanted),
        }
    }

    fn late(&self, wanted: Version) -> Vec<String> {
        let has = |held: Version| held.epoch == wanted.epoch && held.revision >= wanted.revision;
        let seats = self.0.seats();
        let late = seats.values().filter(|seat| !seat.applied.is_some_and(has));
        late.map(|seat| seat.view.id.clone()).collect()
    }
}

impl Shared {
    /// A holder that panicked left single assignments behind, never half of one.
    fn seats(&self) -> MutexGuard<'_, BTreeMap<String, Occupant>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        self.moved.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
    }
}

/// The place of one connection in the fleet; dropped, the data plane is gone.
pub(super) struct Seat {
    shared: Arc<Shared>,
    id: String,
    replaced: CancellationToken,
}

impl Seat {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Ends when a newer connection of the same data plane took the seat.
    pub(super) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// What it holds now, and what of that is on its disk.
    pub(super) fn applied(&self, applied: Version, durable: Option<Version>) {
        self.update(|occupant| {
            occupant.applied = Some(applied);
            occupant.view.epoch = Some(applied.epoch.to_string());
            occupant.view.revision_applied = Some(applied.revision);
            if let Some(durable) = durable.filter(|durable| durable.epoch == applied.epoch) {
                occupant.view.revision_durable = Some(durable.revision);
            }
        });
        self.shared.tick();
    }

    /// What it did not take of the last update; empty clears.
    pub(super) fn rejected(&self, rejections: &[pb::Rejection]) {
        let shown = rejections.iter().take(REJECTIONS_SHOWN).map(|rejection| {
            let (kind, id) = match &rejection.id {
                Some(id) => (id.kind().as_str_name().trim_start_matches("KIND_").to_lowercase(), id.id.as_str()),
                None => ("snapshot".to_owned(), ""),
            };
            format!("{kind} {id}: {}", rejection.reason)
        });
        let shown = shown.collect();
        self.update(|occupant| occupant.view.rejections = shown);
    }

    /// Whether it refuses a snapshot that leaves too little.
    pub(super) fn refuses_shrink(&self, refuses: bool) {
        self.update(|occupant| occupant.view.refuses_shrink = refuses);
    }

    pub(super) fn status(&self, status: &pb::Status) {
        self.update(|Occupant { view, .. }| {
            view.snapshot_age_ms = status.snapshot_age_ms;
            view.spool_bytes = status.spool_bytes;
            view.spool_events = status.spool_events;
            view.in_flight = status.in_flight;
            view.unbooked_calls = status.unbooked_calls;
            view.unbooked_nano_usd = status.unbooked_nano_usd;
        });
    }

    fn update(&self, change: impl FnOnce(&mut Occupant)) {
        let now = rfc3339(OffsetDateTime::now_utc());
        if self.replaced.is_cancelled() {
            return;
        }
        if let Some(occupant) = self.shared.seats().get_mut(&self.id) {
            occupant.view.last_heard = now;
            change(occupant);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.shared.seats();
        if !self.replaced.is_cancelled() {
            seats.remove(&self.id);
        }
        drop(seats);
        self.shared.tick();
    }
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn hello(id: &str) -> pb::Hello {
        pb::Hello { data_plane_id: id.to_owned(), ..pb::Hello::default() }
    }

    #[tokio::test]
    async fn a_revision_of_another_epoch_is_not_held() {
        let fleet = Fleet::default();
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seat = fleet.seat(&hello("a"), Some(Version { epoch: old, revision: 100 }));
        let wanted = Version { epoch: new, revision: 3 };
        assert_eq!(fleet.applied(wanted, Duration::ZERO).await, ["a"]);
        seat.applied(Version { epoch: new, revision: 2 }, None);
        assert_eq!(fleet.applied(wanted, Duration::ZERO).await, ["a"]);
        seat.applied(wanted, None);
        assert_eq!(fleet.applied(wanted, Duration::ZERO).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn waiting_ends_when_the_last_one_applies_or_leaves() {
        let fleet = Fleet::default();
        let wanted = Version { epoch: Uuid::nil(), revision: 1 };
        let (one, other) = (fleet.seat(&hello("one"), None), fleet.seat(&hello("other"), None));
        let waiting = fleet.applied(wanted, Duration::from_secs(60));
        let leaving = async {
            one.applied(wanted, None);
            tokio::task::yield_now().await;
            drop(other);
        };
        let (late, ()) = tokio::join!(waiting, leaving);
        assert_eq!(late, Vec::<String>::new());
        assert_eq!(fleet.view().len(), 1);
    }

    #[test]
    fn a_seat_that_was_taken_over_says_nothing_more() {
        let fleet = Fleet::default();
        let old = fleet.seat(&hello("a"), None);
        let _new = fleet.seat(&hello("a"), None);
        old.applied(Version { epoch: Uuid::nil(), revision: 9 }, None);
        drop(old);
        assert_eq!(fleet.view()[0].revision_applied, None);
    }
}
