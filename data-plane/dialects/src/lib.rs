//! Wire formats: what a request, an answer, a stream and a fault look like.
//!
//! This crate reads and writes bytes. Who speaks a dialect, at which address and with which credentials is for
//! `providers`; sending and receiving is for the engine.
//!
//! - [`json`] finds its way in a body without building values from it; [`splice`] edits one with a single copy.
//! - [`openai`] is the dialect of OpenAI: requests, answers, streams, faults, mocks, the list of models.
//! - [`Usage`] and [`Task`] are the words that all dialects share.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
pub mod openai;
pub mod splice;
mod task;
mod usage;

pub use task::{Dialect, Task};
pub use usage::Usage;
