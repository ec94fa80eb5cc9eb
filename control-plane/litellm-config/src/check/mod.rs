//! Rules that need more than a table of keys: names that must exist, providers, the master key.

pub(crate) mod aliases;
pub(crate) mod master_key;
pub(crate) mod model_ref;
pub(crate) mod names;
