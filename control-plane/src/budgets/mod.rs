//! Budgets: how much an owner may spend, within which window.
//!
//! A budget is a field of its owner's own row, which [`fields`] reads, or a [`row`] of its own that several owners are
//! linked to ([`link`]). Either way each owner has an [`account`]: what was spent in its current window, which intake adds to,
//! [`calendar`] ends and data planes are told of ([`publish`]). They admit calls; here nothing is refused.

mod account;
pub(crate) mod calendar;
mod error;
mod fields;
pub(crate) mod http;
mod link;
mod patch;
pub(crate) mod publish;
mod row;
mod store;
pub(crate) mod takeover;
pub(crate) mod told;
mod view;

use proto::NanoUsd;

pub(crate) use account::{
    Brought, bring, due, end_windows, forget, keep, keep_all, lock, lock_all, reset_spent, set_spent,
};
pub(crate) use error::BudgetError;
pub(crate) use fields::read;
pub(crate) use link::{Wanted, add_own, among, held, linked};
pub(crate) use patch::{BudgetPatch, LIMITS, LINK};
pub(crate) use row::BudgetRow;
pub(crate) use store::shared;
pub(crate) use view::BudgetView;

/// A budget of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Unique within its owner. Empty: all that the owner spends; see [`fields`] for the others.
    pub(crate) scope: String,
    /// Only calls of this model count.
    pub(crate) model: Option<String>,
    /// None: spend is only counted.
    pub(crate) most: Option<NanoUsd>,
    /// As the admin wrote it. None: forever.
    pub(crate) window: Option<String>,
}

impl Budget {
    /// The budget of all that an owner spends; nothing where neither was set.
    pub(crate) fn of_all(most: Option<NanoUsd>, window: Option<&str>) -> Option<Self> {
        let is_set = most.is_some() || window.is_some();
        is_set.then(|| Self { scope: String::new(), model: None, most, window: window.map(str::to_owned) })
    }
}
