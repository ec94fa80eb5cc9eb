//! Publishing against a real database: deltas as a model client applies them, and sessions over channels.

mod deltas;
mod sessions;
mod shrinks;
mod totals;
pub(super) mod world;
