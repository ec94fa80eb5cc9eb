//! Strategies: which of several deployments serves next.

pub(crate) mod shuffle;
