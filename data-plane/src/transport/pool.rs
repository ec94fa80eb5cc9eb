//! Connections to providers that wait for their next call.
//!
//! Each core has a pool of its own, which nobody else wants while there is traffic. A core that finds nothing in it looks
//! into the others' before it dials, if it has no other call to wait for: where there is a call a second, they would all have
//! gone cold else. A borrowed connection is still driven by the core that dialled it. So it goes back there, and no core
//! ends before all calls have ([`crate::listen`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Origin, Sender};

const IDLE: Duration = Duration::from_secs(60);
const MAX_IDLE_PER_ORIGIN: usize = 256;

/// The pools of all cores.
#[derive(Default)]
pub(crate) struct Pools(Mutex<Vec<Arc<Pool>>>);

/// One core's pool. Its lock is contended only while another core looks into it.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Arc<Origin>, Vec<Idle>>>);

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pools {
    /// Another pool beside those there are.
    pub(super) fn join(&self) -> Arc<Pool> {
        let pool = Arc::<Pool>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pool));
        pool
    }

    /// A connection from anybody's pool, and that pool.
    pub(super) fn borrow(&self, origin: &Arc<Origin>) -> Option<(Sender, Arc<Pool>)> {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().find_map(|pool| Some((pool.take(origin)?, Arc::clone(pool))))
    }
}

impl Pool {
    /// A connection that may still be used, the most recently used first.
    pub(super) fn take(&self, origin: &Arc<Origin>) -> Option<Sender> {
        let mut idle = self.lock();
        let idle = idle.get_mut(origin)?;
        loop {
            let Idle { sender, since } = idle.pop()?;
            if since.elapsed() < IDLE && !sender.is_closed() {
                return Some(sender);
            }
        }
    }

    /// Takes a connection back whose answer was read to the end.
    pub(super) fn put(&self, origin: &Arc<Origin>, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.lock();
        let idle = match idle.get_mut(origin) {
            Some(idle) => idle,
            None => idle.entry(Arc::clone(origin)).or_default(),
        };
        // The oldest are at the front.
        let cold = idle.iter().take_while(|idle| now.duration_since(idle.since) >= IDLE).count();
        idle.drain(..cold);
        if idle.len() < MAX_IDLE_PER_ORIGIN {
            idle.push(Idle { sender, since: now });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<Origin>, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
