//! Budgets: how much an owner may spend, within which window.
//!
//! An owner's budgets are fields of its own row; [`fields`] reads them. Each has an [`account`]: what was spent in its
//! current window, which intake adds to, [`calendar`] ends and data planes are told of ([`publish`]). They admit calls; here
//! nothing is refused.

mod account;
pub(crate) mod calendar;
mod fields;
pub(crate) mod publish;
pub(crate) mod told;

use proto::NanoUsd;

pub(crate) use account::{due, end_windows, forget, keep, lock, reset_spent, set_spent};
pub(crate) use fields::read;

/// A budget of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
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
