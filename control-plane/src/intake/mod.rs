//! Intake: usage batches to spend, exactly once.
//!
//! Data planes send batches ([`serve`]) and keep them until a receipt says that they are committed. Each event is
//! checked ([`event`]), inserted under its own id, and summed up only if it was new ([`book`]). What no retry can
//! book is put aside ([`batch`]), and the rest proceeds. The [`receipt`] says what is booked now of budgets. Rows lie in daily partitions ([`partitions`]).

mod aggregate;
mod batch;
mod book;
mod columns;
mod event;
mod newest;
pub(crate) mod partitions;
mod receipt;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use serve::Intake;
