//! The long-lived parts: those that all cores share, and those that each core has for itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::clock::Clock;
use crate::control::ControlPlane;
use crate::ledger::{CoreLedger, Ledger};
use crate::limits::fleet::Fleet;
use crate::limits::local::Counters;
use crate::limits::memory::Memory;
use crate::limits::redis::Redis;
use crate::pipeline::provider_headers::ProviderHeaders;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::snapshot::Snapshot;
use crate::snapshot::cell::SnapshotCell;
use crate::snapshot::disk::Disk;
use crate::snapshot::subscribe::{Forwarding, Load, Subscription};
use crate::telemetry::metrics;
use crate::transport::{Pools, Tls, Transport};

/// At most this many calls go on without their client.
const MAX_DETACHED: u32 = 100;

/// What all cores share.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) control: ControlPlane,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) forwarding: Arc<ArcSwap<Forwarding>>,
    pub(crate) ledger: Arc<Ledger>,
    /// Shared by the cores, like the limits themselves.
    pub(crate) counters: Arc<Counters>,
    /// Where other data planes share them; none where this one counts by itself.
    pub(crate) redis: Option<Arc<Redis>>,
    pub(crate) tls: Arc<Tls>,
    pools: Arc<Pools>,
    pub(crate) clock: Clock,
    pub(crate) in_flight: Arc<AtomicU32>,
    detached: AtomicU32,
    stopping: AtomicBool,
}

impl Gateway {
    pub(crate) fn new(settings: Settings, control: ControlPlane, ledger: Arc<Ledger>, tls: Tls) -> Self {
        Self {
            settings,
            control,
            snapshots: Arc::new(SnapshotCell::empty()),
            forwarding: Arc::default(),
            ledger,
            counters: Arc::default(),
            redis: None,
            tls: Arc::new(tls),
            pools: Arc::default(),
            clock: Clock,
            in_flight: Arc::default(),
            detached: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// `kept_back`: the disk holds a copy that was not loaded yet.
    pub(crate) fn subscription(
        &self,
        disk: Disk,
        (fleet, spent): (Fleet, Arc<Memory>),
        kept_back: Option<Duration>,
    ) -> Subscription {
        let (ledger, in_flight) = (Arc::clone(&self.ledger), Arc::clone(&self.in_flight));
        Subscription {
            control: self.control.clone(),
            cell: Arc::clone(&self.snapshots),
            disk: Some(disk),
            clock: self.clock,
            welcome: Arc::clone(&self.forwarding),
            fleet,
            spent,
            asked_at_ms: 0,
            kept_back_until: kept_back.map(|wait| tokio::time::Instant::now() + wait),
            status: Box::new(move || Load {
                spool_bytes: ledger.bytes(),
                spool_events: ledger.waiting(),
                in_flight: in_flight.load(Ordering::Relaxed),
                unbooked: ledger.unbooked(),
            }),
        }
    }

    /// Readiness goes; calls are still served.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// A place for a call that goes on without its client; `None` when all are taken.
    pub(crate) fn detach(self: &Arc<Self>) -> Option<Detached> {
        self.detached
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < MAX_DETACHED).then_some(count + 1))
            .ok()?;
        metrics::call_detached();
        Some(Detached(Arc::clone(self)))
    }
}

/// Gives its place back when dropped.
pub(crate) struct Detached(Arc<Gateway>);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.detached.fetch_sub(1, Ordering::Relaxed);
        metrics::detached_call_ended();
    }
}

/// A core's own reference to a shared snapshot, so that cores do not fight over one reference count.
#[allow(clippy::redundant_allocation, reason = "the outer count is one core's, the inner one all cores'")]
pub(crate) type Held = Rc<Arc<Snapshot>>;

/// One core's own parts. Nothing here is shared, so nothing here is locked.
pub(crate) struct Core {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) transport: Rc<Transport>,
    pub(crate) ledger: CoreLedger,
    /// Raised when no more connections are taken, and open ones end with the call they carry.
    pub(crate) stop: Rc<Signal>,
    /// Raised when running calls may not go on any longer.
    pub(crate) cut: Rc<Signal>,
    /// Calls of clients that are being served, and how many there may be.
    in_flight: Cell<u32>,
    most_in_flight: u32,
    snapshot: RefCell<Option<Held>>,
    random: RefCell<SmallRng>,
    pub(crate) provider_headers: ProviderHeaders,
}

impl Core {
    pub(crate) fn new(gateway: Arc<Gateway>, index: usize, most_in_flight: u32) -> Self {
        Self {
            transport: Rc::new(Transport::new(Arc::clone(&gateway.tls), Arc::clone(&gateway.pools))),
            ledger: CoreLedger::new(Arc::clone(&gateway.ledger), index),
            gateway,
            stop: Rc::default(),
            cut: Rc::default(),
            in_flight: Cell::new(0),
            most_in_flight,
            snapshot: RefCell::default(),
            random: RefCell::new(SmallRng::from_seed(rand::random())),
            provider_headers: ProviderHeaders::default(),
        }
    }

    /// The current snapshot; `None` before the first.
    pub(crate) fn snapshot(&self) -> Option<Held> {
        let mut held = self.snapshot.borrow_mut();
        match held.as_ref() {
            Some(held) if self.gateway.snapshots.is_current(held) => Some(Rc::clone(held)),
            _ => {
                *held = self.gateway.snapshots.load().map(Rc::new);
                held.clone()
            }
        }
    }

    /// A place for a call; `None` when this core serves as many as it may.
    pub(crate) fn take_call(self: &Rc<Self>) -> Option<InFlight> {
        let taken = self.in_flight.get();
        (taken < self.most_in_flight).then(|| {
            self.in_flight.set(taken + 1);
            InFlight(Rc::clone(self))
        })
    }

    /// Something random, from this core's own generator.
    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.random.borrow_mut())
    }
}

/// A call that is being served. Gives its place back when dropped.
pub(crate) struct InFlight(Rc<Core>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
