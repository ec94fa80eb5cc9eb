//! The counters of this process, shared by its cores: exact for one data plane, each one's part where there are several.
//!
//! An owner's counter has a lock of its own; a call holds those of its owners together for as long as it takes to look and
//! to take, always in the order of [`Owner`]. The locks around the tables are held for one look-up by calls that have
//! limits or budgets, and there are many tables.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use proto::v1 as pb;
use smallvec::SmallVec;

use super::account::Said;
use super::account::{Large, News, Terms};
use super::budget::{Budgets, Quote};
use super::counts::{Counts, Money, Reserved, Staged, UnderWay};
use super::taken::{Part, Shown, Taken};
use super::window::Second;
use super::{Allowance, Ceilings, Exceeded, Obstacle, Owner};

const TABLES: usize = 256;

/// A table with more counters than this forgets those at rest.
const TIDY_ABOVE: usize = 256;

/// Names an owner: its kind and its id (of a key: the hash).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Id(Owner, Box<str>);

struct Table {
    counters: HashMap<Id, Arc<Counter>, RandomState>,
    tidy_above: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { counters: HashMap::default(), tidy_above: TIDY_ABOVE }
    }
}

/// All counters of the process.
pub(crate) struct Counters {
    tables: Box<[Mutex<Table>]>,
    hasher: RandomState,
    /// How many data planes share each limit, this one among them.
    planes: AtomicU32,
}

#[derive(Debug)]
pub(super) struct Counter {
    counts: Mutex<Counts>,
    /// Owners that it counts for: more than one where one took another's place.
    names: AtomicUsize,
}

impl Default for Counter {
    fn default() -> Self {
        Self { counts: Mutex::default(), names: AtomicUsize::new(1) }
    }
}

/// What an owner of a call limits.
pub(crate) struct Demand<'a> {
    pub(crate) owner: Owner,
    pub(crate) id: Cow<'a, str>,
    pub(crate) ceilings: Ceilings,
    pub(crate) budgets: Budgets<'a>,
    /// The budgets may refuse it; otherwise it only counts against them.
    pub(crate) is_held: bool,
}

impl<'a> Demand<'a> {
    pub(crate) fn of(owner: Owner, id: impl Into<Cow<'a, str>>, allowance: &'a Allowance) -> Self {
        Self::new(owner, id, allowance.ceilings, allowance.budgets())
    }

    pub(crate) fn new(owner: Owner, id: impl Into<Cow<'a, str>>, ceilings: Ceilings, budgets: Budgets<'a>) -> Self {
        Self { owner, id: id.into(), ceilings, budgets, is_held: true }
    }

    /// There is nothing to count.
    pub(crate) fn is_none(&self) -> bool {
        self.ceilings.is_none() && self.budgets.is_none()
    }
}

/// What others are told of an owner.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) under_way: UnderWay,
    /// By scope.
    pub(super) accounts: Vec<(Box<str>, Said)>,
}

/// What a call wants.
pub(crate) struct Ask<'a> {
    pub(crate) tokens: u64,
    pub(crate) quote: Quote,
    /// The public name.
    pub(crate) model: &'a str,
    pub(crate) large: Large,
    pub(crate) now_ms: i64,
    pub(crate) clock: fn() -> Second,
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
    /// From now on, limits and budgets are shared by so many data planes.
    pub(crate) fn share_among(&self, planes: NonZeroU32) {
        self.planes.store(planes.get(), Ordering::Relaxed);
    }

    fn planes(&self) -> NonZeroU32 {
        NonZeroU32::new(self.planes.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN)
    }

    /// Takes a call from all of `demands`, which are in the order of [`Owner`], or from none. Of several obstacles, budgets
    /// are told before limits, as LiteLLM looks at them first.
    pub(crate) fn take<'a>(&self, demands: &[Demand<'a>], ask: &Ask<'a>) -> Result<Taken, Obstacle> {
        debug_assert!(demands.is_sorted_by_key(|demand| demand.owner));
        let planes = self.planes();
        let counters: SmallVec<[Arc<Counter>; 3]> =
            demands.iter().map(|demand| self.counter(demand.owner, &demand.id, (ask.clock)())).collect();
        let mut held: SmallVec<[MutexGuard<'_, Counts>; 3]> = counters.iter().map(|counter| counter.lock()).collect();
        // Looked at only now: who waited for a counter would count in a second that is over.
        let now = (ask.clock)();

        let mut moneys: SmallVec<[Money; 3]> = SmallVec::new();
        let mut exceeded: Option<(u8, Exceeded)> = None;
        for (demand, counts) in demands.iter().zip(held.iter_mut()) {
            let terms =
                Terms { planes, now_ms: ask.now_ms, edge: demand.owner.edge(), large: ask.large, is_shared: false };
            moneys.push(counts.affords(demand, ask, terms, &mut |budget, spent| {
                let rank = Exceeded::rank(demand.owner, budget.of);
                if exceeded.as_ref().is_none_or(|(lowest, _)| rank < *lowest) {
                    exceeded = Some((rank, Exceeded::new(demand.owner, budget, spent)));
                }
            }));
        }
        if let Some((_, exceeded)) = exceeded {
            return Err(Obstacle::Budget(Box::new(exceeded)));
        }
        let mut reservations: SmallVec<[Option<u64>; 3]> = SmallVec::new();
        for (demand, counts) in demands.iter().zip(held.iter_mut()) {
            let share = demand.ceilings.share(planes);
            let admitted = counts.admits(share, ask.tokens, now);
            reservations.push(admitted.map_err(|refused| Obstacle::Limit(refused.told(demand)))?);
        }
        let mut taken: SmallVec<[(Option<Reserved>, Shown); 3]> = SmallVec::new();
        for (((demand, counts), tokens), money) in demands.iter().zip(held.iter_mut()).zip(reservations).zip(&moneys) {
            let reserved = counts.take(tokens, money, now);
            let left = counts.left(demand.ceilings.share(planes), now);
            taken.push((reserved, Shown { owner: demand.owner, ceilings: demand.ceilings, left }));
        }
        drop(held);
        let parts = counters.into_iter().zip(taken).zip(moneys);
        let parts = parts
            .map(|((counter, (reserved, shown)), money)| Part { counter, id: Box::default(), reserved, money, shown })
            .collect();
        Ok(Taken { parts, planes, used: 0, clock: ask.clock, redis: None, staged_at: None })
    }

    /// Takes a call from all of `demands` without looking: others are asked whether it may. What they have to know of each owner
    /// comes with it, in the order in which `sequence` counts.
    pub(super) fn stage<'a, S>(
        &self,
        demands: &[Demand<'a>],
        ask: &Ask<'a>,
        sequence: impl FnOnce() -> S,
    ) -> (Taken, SmallVec<[Staged<'a>; 3]>, S) {
        let counters: SmallVec<[Arc<Counter>; 3]> =
            demands.iter().map(|demand| self.counter(demand.owner, &demand.id, (ask.clock)())).collect();
        let mut held: SmallVec<[MutexGuard<'_, Counts>; 3]> = counters.iter().map(|counter| counter.lock()).collect();
        let now = (ask.clock)();
        let mut staged: SmallVec<[Staged<'a>; 3]> =
            demands.iter().zip(held.iter_mut()).map(|(demand, counts)| counts.stage(demand, ask, now)).collect();
        let sequence = sequence();
        drop(held);
        let part = |((demand, counter), staged): ((&Demand<'a>, _), &mut Staged<'a>)| Part {
            counter,
            id: demand.id.as_ref().into(),
            reserved: staged.reserved,
            money: std::mem::take(&mut staged.money),
            shown: Shown { owner: demand.owner, ceilings: demand.ceilings, left: demand.ceilings },
        };
        let parts = demands.iter().zip(counters).zip(&mut staged).map(part).collect();
        let taken =
            Taken { parts, planes: self.planes(), used: 0, clock: ask.clock, redis: None, staged_at: Some(now) };
        (taken, staged, sequence)
    }

    /// What others are told of an owner, and the number that `sequence` gives to it. None where nothing is counted.
    pub(super) fn said<S>(
        &self,
        owner: Owner,
        id: &str,
        now_ms: i64,
        sequence: impl FnOnce() -> S,
    ) -> Option<(Standing, S)> {
        let counter = self.table(owner, id)?.counters.get(&Id(owner, id.into())).map(Arc::clone)?;
        let mut counts = counter.lock();
        let accounts = counts.accounts_mut().iter_mut();
        let accounts = accounts.map(|account| (account.scope.clone(), account.said(now_ms))).collect();
        Some((Standing { under_way: counts.under_way(), accounts }, sequence()))
    }

    /// All of whom there is anything to tell.
    pub(super) fn everybody(&self) -> Vec<(Owner, Box<str>)> {
        self.all().map(|(Id(owner, id), _)| (owner, id)).collect()
    }

    /// Those of whom others have to be told who knew nothing before.
    pub(super) fn worth_telling(&self, now_ms: i64) -> Vec<(Owner, Box<str>)> {
        self.all()
            .filter(|(_, counter)| counter.lock().is_worth_telling(now_ms))
            .map(|(Id(owner, id), _)| (owner, id))
            .collect()
    }

    /// Takes in what the control plane says is booked of a budget.
    pub(crate) fn is_booked(&self, total: &pb::Total, news: News, now_ms: i64, now: Second) {
        let Some(owner) = Owner::of(total.kind()) else { return };
        let counter = self.counter(owner, &total.id, now);
        let mut counts = counter.lock();
        let account = counts.account(&total.scope);
        account.into_iter().for_each(|account| account.is_booked(total, news, self.planes(), now_ms));
    }

    /// One owner took another's place: from now on, both are one. What was heard of the new one already stays known.
    pub(crate) fn follow(&self, owner: Owner, old: &str, new: &str, now_ms: i64) {
        let find = |id: &str| self.table(owner, id)?.counters.get(&Id(owner, id.into())).map(Arc::clone);
        // Where the old one has no counter, there is nothing to carry on.
        let Some(counter) = find(old) else { return };
        let heard = {
            let Some(mut table) = self.table(owner, new) else { return };
            let id = Id(owner, new.into());
            // One that calls were counted in already goes on.
            let is_taken = |known: &Arc<Counter>| Arc::ptr_eq(known, &counter) || !known.lock().is_unused();
            if table.counters.get(&id).is_some_and(is_taken) {
                return;
            }
            counter.names.fetch_add(1, Ordering::Relaxed);
            table.counters.insert(id, Arc::clone(&counter))
        };
        let Some(heard) = heard else { return };
        let heard = heard.lock();
        let mut counts = counter.lock();
        for account in heard.accounts() {
            let place = counts.account(&account.scope);
            place.into_iter().for_each(|place| place.take_over(account, self.planes(), now_ms));
        }
    }

    /// Notes what an earlier process spent on a model and could not deliver.
    pub(crate) fn owe(&self, owner: Owner, id: &str, model: &str, cost: i64, now: Second) {
        self.counter(owner, id, now).lock().owe(model, cost);
    }

    /// What a restart has to know of budgets.
    pub(crate) fn kept(&self) -> Vec<pb::Total> {
        let mut kept = Vec::new();
        for (Id(owner, id), counter) in self.all() {
            let of_owner = |total| pb::Total { kind: owner.kind().into(), id: id.clone().into(), ..total };
            kept.extend(counter.lock().accounts().iter().filter_map(|account| account.kept().map(of_owner)));
        }
        kept
    }

    /// All counters, with no table locked for longer than it takes to list it.
    fn all(&self) -> impl Iterator<Item = (Id, Arc<Counter>)> {
        self.tables.iter().flat_map(|table| {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.counters.iter().map(|(id, counter)| (id.clone(), Arc::clone(counter))).collect::<Vec<_>>()
        })
    }

    fn table(&self, owner: Owner, id: &str) -> Option<MutexGuard<'_, Table>> {
        let table = usize::try_from(self.hasher.hash_one(Id(owner, id.into()))).unwrap_or(0) % TABLES;
        Some(self.tables.get(table)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn counter(&self, owner: Owner, id: &str, now: Second) -> Arc<Counter> {
        let id = Id(owner, id.into());
        let Some(mut table) = self.table(owner, id.1.as_ref()) else { return Arc::default() };
        if let Some(counter) = table.counters.get(&id) {
            return Arc::clone(counter);
        }
        if table.counters.len() >= table.tidy_above {
            // Nobody else holds it, and nobody can take hold of it while the table is locked.
            table.counters.retain(|_, counter| {
                let names = counter.names.load(Ordering::Relaxed);
                let is_kept = Arc::strong_count(counter) > names || !counter.lock().is_at_rest(now);
                if !is_kept {
                    counter.names.store(names.saturating_sub(1), Ordering::Relaxed);
                }
                is_kept
            });
            table.tidy_above = TIDY_ABOVE.max(table.counters.len() * 2);
        }
        Arc::clone(table.counters.entry(id).or_default())
    }
}

impl Counter {
    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::limits::{Kind, Reached};

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
        Demand::new(Owner::Key, "k", ceilings, Budgets::default())
    }

    fn team(ceilings: Ceilings) -> Demand<'static> {
        Demand::new(Owner::Team, "t", ceilings, Budgets::default())
    }

    fn ask(tokens: u64, nano_usd: i64) -> Ask<'static> {
        let (quote, large) = (Quote::Nanos(nano_usd), Large::Alone);
        Ask { tokens, quote, model: "gpt-4o", large, now_ms: 1_000, clock: now }
    }

    fn take(counters: &Arc<Counters>, demands: &[Demand<'static>], tokens: u64) -> Result<Taken, Reached> {
        counters.take(demands, &ask(tokens, 0)).map_err(|obstacle| match obstacle {
            Obstacle::Limit(reached) => reached,
            other => panic!("{other:?}"),
        })
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
        taken.spend(300, 0);
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
        large.spend(700, 0);
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
        fn user(id: &str) -> Demand<'_> {
            Demand::new(Owner::User, id, ceilings(Some(1), None, None), Budgets::default())
        }
        let busy = counters.take(&[user("busy")], &ask(1, 0)).unwrap();
        counters.is_booked(&total(Owner::User, "spent", 5), News::Round, 0, now());
        NOW.set(now() + 100);
        for round in 0..2 {
            for number in 0..TABLES * TIDY_ABOVE {
                let id = format!("{round} {number}");
                drop(counters.take(&[user(&id)], &ask(1, 0)).unwrap());
            }
            NOW.set(now() + 100);
        }
        let kept: usize = counters.tables.iter().map(|table| table.lock().unwrap().counters.len()).sum();
        assert!(kept < TABLES * TIDY_ABOVE * 3 / 2, "{kept}");
        assert_eq!(counters.counter(Owner::User, "busy", now()).lock().at_once, 1);
        assert_eq!(counters.kept(), [total(Owner::User, "spent", 5)]);
        drop(busy);
    }

    #[test]
    fn a_call_that_grows_reserves_more_as_long_as_there_is_more() {
        let counters = Arc::<Counters>::default();
        let budgets = Budgets { of_all: Some(100), others: &[] };
        let demand = || Demand::new(Owner::Key, "k", Ceilings::default(), budgets);
        let mut growing = counters.take(&[demand()], &ask(1, 30)).unwrap();
        assert!(growing.has_money() && growing.reserve_up_to(60, 0));
        assert!(counters.take(&[demand()], &ask(1, 50)).is_err(), "60 are reserved, and alone it is not");
        let other = counters.take(&[demand()], &ask(1, 40)).unwrap();
        assert!(!growing.reserve_up_to(61, 0));
        drop(other);
        assert!(growing.reserve_up_to(100, 0) && !growing.reserve_up_to(101, 0));
        growing.spend(1, 100);
        drop(growing);
        assert!(counters.take(&[demand()], &ask(1, 0)).is_err(), "all is spent");
    }

    #[test]
    fn who_takes_anothers_place_goes_on_with_its_limits_and_with_what_is_not_booked_yet() {
        let counters = Arc::<Counters>::default();
        let budgets = Budgets { of_all: Some(100), others: &[] };
        let of = |id: &'static str| Demand::new(Owner::Key, id, ceilings(Some(3), None, Some(2)), budgets);
        let mut under_way = counters.take(&[of("old")], &ask(1, 30)).unwrap();
        counters.take(&[of("old")], &ask(1, 20)).unwrap().spend(1, 20);
        // What is booked of the new one is told before it is known, and a part of it is what was counted for the old one.
        counters.is_booked(&total(Owner::Key, "new", 50), News::Round, 0, now());
        let receipt = pb::Total { version: 2, of_batch_nano_usd: 5, ..total(Owner::Key, "new", 55) };
        counters.is_booked(&receipt, News::Receipt, 0, now());
        counters.follow(Owner::Key, "nobody", "new", 0);
        counters.follow(Owner::Key, "old", "new", 0);

        // 55 are booked, 15 are not, and 30 reserved: there is nothing left.
        let refused = |id| match counters.take(&[of(id)], &ask(1, 1)) {
            Err(Obstacle::Budget(exceeded)) => (exceeded.spent.spent_nano_usd, exceeded.spent.reserved_nano_usd),
            Err(_) | Ok(_) => panic!("a budget is in the way"),
        };
        assert_eq!((refused("new"), refused("old")), ((70, 30), (70, 30)));
        under_way.spend(1, 10);
        drop(under_way);
        let last = counters.take(&[of("new")], &ask(1, 20)).unwrap();
        assert_eq!(last.shown().next().unwrap().left.requests_per_minute, Some(0));
        counters.follow(Owner::Key, "old", "new", 0);
        drop(last);
        assert!(counters.take(&[of("new")], &ask(1, 1)).is_err(), "following again begins nothing anew");
    }

    fn total(owner: Owner, id: &str, spent: i64) -> pb::Total {
        let (kind, id) = (owner.kind().into(), id.to_owned());
        pb::Total { kind, id, spent_nano_usd: spent, version: 1, ..pb::Total::default() }
    }

    #[test]
    fn a_call_is_paid_by_all_of_its_owners_and_the_first_that_cannot_is_told_in_litellms_order() {
        let counters = Arc::<Counters>::default();
        let of =
            |demand: Demand<'static>, most| Demand { budgets: Budgets { of_all: Some(most), others: &[] }, ..demand };
        let demands =
            |key_has, team_has| [of(key(Ceilings::default()), key_has), of(team(Ceilings::default()), team_has)];
        let mut taken = counters.take(&demands(100, 50), &ask(1, 30)).unwrap();
        let refused = |demands: &[Demand<'static>], cost| match counters.take(demands, &ask(1, cost)) {
            Err(Obstacle::Budget(exceeded)) => (exceeded.owner, exceeded.spent.reserved_nano_usd),
            other => panic!("{:?}", other.err()),
        };
        assert_eq!(refused(&demands(100, 50), 30), (Owner::Team, 30));
        assert_eq!(refused(&demands(40, 50), 30), (Owner::Key, 30));
        taken.spend(1, 20);
        drop(taken);
        // A limit that is reached is told after a budget that is.
        let limited = Demand { ceilings: ceilings(Some(0), None, None), ..of(key(Ceilings::default()), 10) };
        assert_eq!(refused(&[limited], 1).0, Owner::Key);
        let _all_that_is_left = counters.take(&demands(100, 50), &ask(1, 30)).unwrap();
    }

    #[test]
    fn who_is_only_counted_is_not_refused_and_booked_all_the_same() {
        let counters = Arc::<Counters>::default();
        let budgets = Budgets { of_all: Some(10), others: &[] };
        let user = |is_held| Demand { is_held, ..Demand::new(Owner::User, "u", Ceilings::default(), budgets) };
        let mut of_team = counters.take(&[user(false)], &ask(1, 100)).unwrap();
        of_team.spend(1, 100);
        drop(of_team);
        assert!(counters.take(&[user(true)], &ask(1, 1)).is_err());
        let receipt = pb::Total { of_batch_nano_usd: 100, version: 2, ..total(Owner::User, "u", 5) };
        counters.is_booked(&receipt, News::Receipt, 0, now());
        assert!(counters.take(&[user(true)], &ask(1, 1)).is_ok(), "an admin wrote it down to 5 meanwhile");
    }
}
