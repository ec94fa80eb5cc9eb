//! What a call took of its owners' limits and budgets, until it ends.

use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::SmallVec;

use super::account::{Large, Terms};
use super::counts::{Granted, Money, Reserved};
use super::local::Counter;
use super::redis::Redis;
use super::redis::told::Count;
use super::window::Second;
use super::{Ceilings, Owner};

/// What a call took, of all of its owners. Gives its place back when dropped, and its reservation for what was used.
pub(crate) struct Taken {
    pub(super) parts: SmallVec<[Part; 3]>,
    pub(super) planes: NonZeroU32,
    pub(super) used: u64,
    pub(super) clock: fn() -> Second,
    /// Whom to tell what the call used.
    pub(super) redis: Option<Arc<Redis>>,
    /// When it was counted, as long as others have not let it through.
    pub(super) staged_at: Option<Second>,
}

pub(super) struct Part {
    pub(super) counter: Arc<Counter>,
    /// Of the owner; empty where nobody is told.
    pub(super) id: Box<str>,
    /// None where tokens have no limit.
    pub(super) reserved: Option<Reserved>,
    pub(super) money: Money,
    pub(super) shown: Shown,
}

/// The limits of one owner, and what the call left of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) owner: Owner,
    pub(crate) ceilings: Ceilings,
    pub(crate) left: Ceilings,
}

impl Taken {
    /// The call, or one of its tries, used so many tokens and cost so much. To be said before it can be booked: what is
    /// booked must be known to be ours.
    pub(crate) fn spend(&mut self, tokens: u64, nano_usd: i64) {
        self.used = self.used.saturating_add(tokens);
        for part in self.parts.iter_mut().filter(|part| !part.money.is_empty()) {
            part.counter.lock().spend(&mut part.money, nano_usd);
        }
    }

    /// Whether it counts against any budget.
    pub(crate) fn has_money(&self) -> bool {
        self.parts.iter().any(|part| !part.money.is_empty())
    }

    /// The call costs so much by now: it reserves what it has not yet, if there is so much.
    pub(crate) fn reserve_up_to(&mut self, nano_usd: i64, now_ms: i64) -> bool {
        let planes = self.planes;
        let is_shared = self.redis.as_ref().is_some_and(|redis| redis.is_there());
        self.parts.iter_mut().filter(|part| !part.money.is_empty()).all(|part| {
            let edge = part.shown.owner.edge();
            let terms = Terms { planes, now_ms, edge, large: Large::Refused, is_shared };
            part.counter.lock().reserve_up_to(&mut part.money, nano_usd, terms)
        })
    }

    /// Others were asked, and let it through.
    pub(super) fn is_granted(&mut self, granted: impl Iterator<Item = Granted>) {
        let now = (self.clock)();
        self.staged_at = None;
        for (part, granted) in self.parts.iter_mut().zip(granted) {
            part.counter.lock().is_granted(&mut part.reserved, &mut part.money, &granted, now);
            part.shown.left = granted.left;
        }
    }

    /// Others were asked, and have no room for a request of this owner.
    pub(super) fn is_full(&self, owner: usize, wait_s: u64) {
        let now = (self.clock)();
        self.parts.iter().skip(owner).take(1).for_each(|part| part.counter.lock().is_full_for(wait_s, now));
    }

    /// What an owner spent of their budget of everything, this call with it; nothing where they have none.
    pub(crate) fn spent_by(&self, owner: Owner) -> Option<i64> {
        let part = self.parts.iter().find(|part| part.shown.owner == owner)?;
        part.counter.lock().spent_of_all(&part.money)
    }

    /// The limits that the call was held against.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown> {
        self.parts.iter().map(|part| part.shown)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let now = (self.clock)();
        for part in &mut self.parts {
            let mut counts = part.counter.lock();
            counts.give_back(part.reserved, &part.money, self.used, now);
            if let Some(at) = self.staged_at {
                counts.unstage(at, now);
            }
            drop(counts);
            let Some(redis) = &self.redis else { continue };
            // What Redis counted of a call that it did not let through, or may have, it does not count under way any more.
            let reserved = part.reserved.filter(|_| self.staged_at.is_none());
            let used = reserved.map(|reserved| Count::replaced(reserved.at, reserved.tokens, now, self.used));
            redis.tell(part.shown.owner, std::mem::take(&mut part.id), used.into_iter().flatten());
        }
    }
}
