//! The counters of this process, shared by its cores: exact for one data plane, each one's part where there are several.
//!
//! An owner's counter has a lock of its own; a call holds those of its owners together for as long as it takes to look and
//! to take, always in the order of [`Owner`]. The locks around the tables are held for one look-up by calls that have
//! limits, and there are many tables.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::window::{Second, Window};
use super::{Ceilings, Kind, Owner, Reached};

const TABLES: usize = 256;

/// A table with more counters than this forgets those at rest.
const TIDY_ABOVE: usize = 256;

/// Names an owner: its kind and its id (of a key: the hash).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Id(Owner, Box<str>);

type Table = HashMap<Id, Arc<Counter>, RandomState>;

/// All counters of the process.
pub(crate) struct Counters {
    tables: Box<[Mutex<Table>]>,
    hasher: RandomState,
    /// How many data planes share each limit, this one among them.
    planes: AtomicU32,
}

#[derive(Debug, Default)]
struct Counter(Mutex<Counts>);

/// Windows are made when something is first counted in them: there may be many owners, and few have both limits.
#[derive(Debug, Default)]
struct Counts {
    requests: Option<Box<Window>>,
    tokens: Option<Box<Window>>,
    at_once: u64,
    /// Calls that have reserved tokens and not settled yet.
    reserving: u64,
}

/// What an owner of a call limits.
pub(crate) struct Demand<'a> {
    pub(crate) owner: Owner,
    pub(crate) id: &'a str,
    pub(crate) ceilings: Ceilings,
}

/// What a call took, of all of its owners. Gives its place back when dropped, and its reservation for what was used.
pub(crate) struct Taken {
    parts: SmallVec<[Part; 3]>,
    used: u64,
    clock: fn() -> Second,
}

struct Part {
    counter: Arc<Counter>,
    /// None where tokens have no limit.
    reserved: Option<Reserved>,
    shown: Shown,
}

/// Tokens that are counted before they are used.
#[derive(Clone, Copy)]
struct Reserved {
    tokens: u64,
    /// The second that they count in.
    at: Second,
}

/// The limits of one owner, and what the call left of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) owner: Owner,
    pub(crate) ceilings: Ceilings,
    pub(crate) left: Ceilings,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            tables: (0..TABLES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            planes: AtomicU32::new(1),
        }
    }
}

impl Counters {
    /// From now on, limits are shared by so many data planes.
    pub(crate) fn share_among(&self, planes: NonZeroU32) {
        self.planes.store(planes.get(), Ordering::Relaxed);
    }

    fn planes(&self) -> NonZeroU32 {
        NonZeroU32::new(self.planes.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    /// Takes a call with so many tokens from all of `demands`, which are in the order of [`Owner`], or from none.
    pub(crate) fn take(&self, demands: &[Demand<'_>], tokens: u64, clock: fn() -> Second) -> Result<Taken, Reached> {
        debug_assert!(demands.is_sorted_by_key(|demand| demand.owner));
        let planes = self.planes();
        let counters: SmallVec<[Arc<Counter>; 3]> =
            demands.iter().map(|demand| self.counter(demand, clock())).collect();
        let mut held: SmallVec<[MutexGuard<'_, Counts>; 3]> = counters.iter().map(|counter| counter.lock()).collect();
        // Looked at only now: who waited for a counter would count in a second that is over.
        let now = clock();
        let mut reservations: SmallVec<[Option<u64>; 3]> = SmallVec::new();
        for (demand, counts) in demands.iter().zip(held.iter_mut()) {
            let share = demand.ceilings.share(planes);
            let reservation = counts.admits(share, tokens, now).map_err(|refused| refused.told(demand))?;
            reservations.push(reservation);
        }
        let mut taken: SmallVec<[(Option<Reserved>, Shown); 3]> = SmallVec::new();
        for ((demand, counts), tokens) in demands.iter().zip(held.iter_mut()).zip(reservations) {
            let reserved = counts.take(tokens, now);
            let left = counts.left(demand.ceilings.share(planes), now);
            taken.push((reserved, Shown { owner: demand.owner, ceilings: demand.ceilings, left }));
        }
        drop(held);
        let parts = counters.into_iter().zip(taken);
        let parts = parts.map(|(counter, (reserved, shown))| Part { counter, reserved, shown }).collect();
        Ok(Taken { parts, used: 0, clock })
    }

    fn counter(&self, demand: &Demand<'_>, now: Second) -> Arc<Counter> {
        let id = Id(demand.owner, demand.id.into());
        let table = usize::try_from(self.hasher.hash_one(&id)).unwrap_or(0) % TABLES;
        let Some(table) = self.tables.get(table) else { return Arc::default() };
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = table.get(&id) {
            return Arc::clone(counter);
        }
        if table.len() >= TIDY_ABOVE {
            // Nobody else holds it, and nobody can take hold of it while the table is locked.
            table.retain(|_, counter| Arc::strong_count(counter) > 1 || !counter.lock().is_at_rest(now));
        }
        Arc::clone(table.entry(id).or_default())
    }
}

impl Counter {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit that is reached, before it is said whose.
struct Refused {
    kind: Kind,
    left: u64,
    wait_s: u64,
}

impl Refused {
    fn told(self, demand: &Demand<'_>) -> Reached {
        let Self { kind, left, wait_s } = self;
        let limit = match kind {
            Kind::Requests => demand.ceilings.requests_per_minute,
            Kind::Tokens => demand.ceilings.tokens_per_minute,
            Kind::AtOnce => demand.ceilings.at_once,
        };
        Reached { owner: demand.owner, kind, limit: limit.unwrap_or(0), left, wait_s }
    }
}

impl Counts {
    /// How many tokens the call reserves, if tokens are limited; or what is in its way.
    fn admits(&mut self, share: Ceilings, tokens: u64, now: Second) -> Result<Option<u64>, Refused> {
        if let Some(limit) = share.requests_per_minute {
            let requests = window(&mut self.requests, now);
            let left = limit.saturating_sub(requests.sum(now));
            if left == 0 {
                return Err(Refused { kind: Kind::Requests, left, wait_s: requests.wait(now, 1, limit) });
            }
        }
        if let Some(limit) = share.at_once
            && self.at_once >= limit
        {
            // A place is free when a call ends, and nobody knows when that is.
            return Err(Refused { kind: Kind::AtOnce, left: 0, wait_s: 1 });
        }
        let Some(limit) = share.tokens_per_minute else { return Ok(None) };
        let counted = window(&mut self.tokens, now);
        let left = limit.saturating_sub(counted.sum(now));
        if tokens <= left {
            return Ok(Some(tokens));
        }
        // A call that wants more than there ever is would never be served: alone, it takes what is left.
        if tokens > limit && left > 0 && self.reserving == 0 {
            return Ok(Some(left));
        }
        Err(Refused { kind: Kind::Tokens, left, wait_s: counted.wait(now, tokens.min(limit), limit) })
    }

    fn take(&mut self, tokens: Option<u64>, now: Second) -> Option<Reserved> {
        if let Some(requests) = &mut self.requests {
            requests.add(now, 1);
        }
        self.at_once += 1;
        let tokens = tokens?;
        self.reserving += 1;
        let at = window(&mut self.tokens, now).add(now, tokens);
        Some(Reserved { tokens, at })
    }

    fn left(&mut self, share: Ceilings, now: Second) -> Ceilings {
        let (requests, tokens) = (sum(&mut self.requests, now), sum(&mut self.tokens, now));
        Ceilings {
            requests_per_minute: share.requests_per_minute.map(|limit| limit.saturating_sub(requests)),
            tokens_per_minute: share.tokens_per_minute.map(|limit| limit.saturating_sub(tokens)),
            at_once: share.at_once.map(|limit| limit.saturating_sub(self.at_once)),
        }
    }

    fn is_at_rest(&mut self, now: Second) -> bool {
        self.at_once == 0 && sum(&mut self.requests, now) == 0 && sum(&mut self.tokens, now) == 0
    }
}

fn window(slot: &mut Option<Box<Window>>, now: Second) -> &mut Window {
    slot.get_or_insert_with(|| Box::new(Window::new(now)))
}

fn sum(slot: &mut Option<Box<Window>>, now: Second) -> u64 {
    slot.as_mut().map_or(0, |window| window.sum(now))
}

impl Taken {
    /// The call, or one of its tries, used so many tokens.
    pub(crate) fn use_tokens(&mut self, tokens: u64) {
        self.used = self.used.saturating_add(tokens);
    }

    /// The limits that the call was held against.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown> {
        self.parts.iter().map(|part| part.shown)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let now = (self.clock)();
        for part in &self.parts {
            let mut counts = part.counter.lock();
            counts.at_once = counts.at_once.saturating_sub(1);
            if let Some(Reserved { tokens, at }) = part.reserved {
                counts.reserving = counts.reserving.saturating_sub(1);
                let counted = window(&mut counts.tokens, now);
                counted.take_back(now, at, tokens);
                counted.add(now, self.used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<Second> = const { Cell::new(1_000) };
    }

    fn now() -> Second {
        NOW.get()
    }

    fn ceilings(requests: Option<u64>, tokens: Option<u64>, at_once: Option<u64>) -> Ceilings {
        Ceilings { requests_per_minute: requests, tokens_per_minute: tokens, at_once }
    }

    fn key(ceilings: Ceilings) -> Demand<'static> {
        Demand { owner: Owner::Key, id: "k", ceilings }
    }

    fn team(ceilings: Ceilings) -> Demand<'static> {
        Demand { owner: Owner::Team, id: "t", ceilings }
    }

    fn take(counters: &Arc<Counters>, demands: &[Demand<'_>], tokens: u64) -> Result<Taken, Reached> {
        counters.take(demands, tokens, now)
    }

    #[test]
    fn a_limit_admits_so_many_and_says_when_there_is_room_again() {
        let counters = Arc::<Counters>::default();
        let limited = || [key(ceilings(Some(2), None, None))];
        for left in [1, 0] {
            let taken = take(&counters, &limited(), 1).unwrap();
            assert_eq!(taken.shown().next().unwrap().left.requests_per_minute, Some(left));
        }
        let reached = take(&counters, &limited(), 1).err().unwrap();
        assert_eq!((reached.owner, reached.kind, reached.limit, reached.left), (Owner::Key, Kind::Requests, 2, 0));
        assert_eq!(reached.wait_s, 61);
        NOW.set(1_061);
        assert!(take(&counters, &limited(), 1).is_ok());
        assert!(take(&counters, &[key(ceilings(Some(0), None, None))], 1).is_err());
    }

    #[test]
    fn a_call_takes_from_all_of_its_owners_or_from_none() {
        let counters = Arc::<Counters>::default();
        let both =
            |team_limit| [key(ceilings(Some(10), Some(1_000), Some(1))), team(ceilings(Some(team_limit), None, None))];
        let reached = take(&counters, &both(0), 100).err().unwrap();
        assert_eq!(reached.owner, Owner::Team);
        let taken = take(&counters, &both(1), 100).unwrap();
        let left = taken.shown().next().unwrap().left;
        assert_eq!((left.requests_per_minute, left.tokens_per_minute, left.at_once), (Some(9), Some(900), Some(0)));
    }

    #[test]
    fn places_are_given_back_and_reservations_become_what_was_used() {
        let counters = Arc::<Counters>::default();
        let limited = || [key(ceilings(None, Some(1_000), Some(1)))];
        let mut taken = take(&counters, &limited(), 900).unwrap();
        assert_eq!(take(&counters, &limited(), 1).err().unwrap().kind, Kind::AtOnce);
        taken.use_tokens(300);
        drop(taken);
        let next = take(&counters, &limited(), 600).unwrap();
        assert_eq!(next.shown().next().unwrap().left.tokens_per_minute, Some(100));
    }

    #[test]
    fn a_call_larger_than_there_ever_is_is_let_in_alone() {
        let counters = Arc::<Counters>::default();
        let limited = || [key(ceilings(None, Some(1_000), None))];
        let mut large = take(&counters, &limited(), 5_000).unwrap();
        let reached = take(&counters, &limited(), 1).err().unwrap();
        assert_eq!((reached.kind, reached.left), (Kind::Tokens, 0));
        large.use_tokens(700);
        drop(large);
        assert!(take(&counters, &limited(), 500).is_err(), "it fits in another minute");
        let _small = take(&counters, &limited(), 100).unwrap();
        assert!(take(&counters, &limited(), 5_000).is_err(), "another call has reserved");
    }

    #[test]
    fn several_data_planes_have_a_part_each() {
        let counters = Arc::<Counters>::default();
        counters.share_among(NonZeroU32::new(5).unwrap());
        let limited = || [key(ceilings(Some(10), None, None))];
        assert!(take(&counters, &limited(), 1).is_ok() && take(&counters, &limited(), 1).is_ok());
        assert_eq!(take(&counters, &limited(), 1).err().unwrap().limit, 10);
    }

    #[test]
    fn counters_at_rest_are_forgotten_and_others_are_not() {
        let counters = Arc::<Counters>::default();
        let limited = ceilings(Some(1), None, None);
        let busy = take(&counters, &[Demand { owner: Owner::User, id: "busy", ceilings: limited }], 1).unwrap();
        NOW.set(now() + 100);
        for round in 0..2 {
            for number in 0..TABLES * TIDY_ABOVE {
                let id = format!("{round} {number}");
                drop(take(&counters, &[Demand { owner: Owner::User, id: &id, ceilings: limited }], 1));
            }
            NOW.set(now() + 100);
        }
        let kept: usize = counters.tables.iter().map(|table| table.lock().unwrap().len()).sum();
        assert!(kept < TABLES * TIDY_ABOVE * 3 / 2, "{kept}");
        let reached = counters.counter(&Demand { owner: Owner::User, id: "busy", ceilings: limited }, now());
        assert_eq!(reached.lock().at_once, 1);
        drop(busy);
    }
}
