//! What a call took of its owners' limits and budgets, until it ends.

use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::SmallVec;

use super::account::{Large, Terms};
use super::counts::{Money, Reserved};
use super::local::Counter;
use super::window::Second;
use super::{Ceilings, Owner};

/// What a call took, of all of its owners. Gives its place back when dropped, and its reservation for what was used.
pub(crate) struct Taken {
    pub(super) parts: SmallVec<[Part; 3]>,
    pub(super) planes: NonZeroU32,
    pub(super) used: u64,
    pub(super) clock: fn() -> Second,
}

pub(super) struct Part {
    pub(super) counter: Arc<Counter>,
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
        self.parts.iter_mut().filter(|part| !part.money.is_empty()).all(|part| {
            let terms = Terms { planes, now_ms, edge: part.shown.owner.edge(), large: Large::Refused };
            part.counter.lock().reserve_up_to(&mut part.money, nano_usd, terms)
        })
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
        for part in &self.parts {
            part.counter.lock().give_back(part.reserved, &part.money, self.used, now);
        }
    }
}
