//! The one place where the current snapshot hangs.
//!
//! Readers never wait and never block the writer. Before the first snapshot there is none, and the data
//! plane is not ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{Snapshot, Version};

/// Holds the current snapshot and tells waiters when it changes.
pub(crate) struct SnapshotCell {
    current: ArcSwapOption<Snapshot>,
    changed: watch::Sender<Option<Version>>,
    confirmed_at_ms: AtomicI64,
    alone: AtomicBool,
}

impl SnapshotCell {
    pub(crate) fn empty() -> Self {
        let (changed, _) = watch::channel(None);
        Self {
            current: ArcSwapOption::empty(),
            changed,
            confirmed_at_ms: AtomicI64::new(0),
            alone: AtomicBool::new(false),
        }
    }

    /// The current snapshot; `None` before the first.
    pub(crate) fn load(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Lets a core that already holds `seen` keep it without touching the shared reference count.
    pub(crate) fn is_current(&self, seen: &Arc<Snapshot>) -> bool {
        self.current.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, seen))
    }

    /// Replaces the snapshot. Only the subscription (or the disk copy before it) calls this.
    pub(crate) fn swap(&self, next: Snapshot) {
        let version = next.version;
        self.current.store(Some(Arc::new(next)));
        self.changed.send_replace(Some(version));
    }

    /// Notes that the control plane said, at this moment, that the snapshot is current.
    pub(crate) fn confirm(&self, now_ms: i64) {
        self.confirmed_at_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the control plane last confirmed the snapshot; 0: never in this process.
    pub(crate) fn confirmed_at_ms(&self) -> i64 {
        self.confirmed_at_ms.load(Ordering::Relaxed)
    }

    /// Notes that the control plane cannot be reached, or is slow to speak: what we hold has to do.
    pub(crate) fn stand_alone(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }

    /// Whether what we hold was confirmed in this process, or has to do without. Until then a disk copy is served to
    /// whoever calls, and readiness waits: a plane that starts again should not refuse keys made meanwhile.
    pub(crate) fn is_settled(&self) -> bool {
        self.confirmed_at_ms() != 0 || self.alone.load(Ordering::Relaxed)
    }

    /// Waits until the snapshot is at `revision` or later.
    pub(crate) async fn reached(&self, revision: u64) {
        let mut changes = self.changed.subscribe();
        let reached = changes.wait_for(|version| version.is_some_and(|version| version.revision >= revision)).await;
        drop(reached); // the sender lives in self: it cannot be closed
    }
}
