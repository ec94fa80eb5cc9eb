//! HTTP as values: a call to send, a reply that came, a stream of events, a secret to carry.
//!
//! Nothing here opens a socket, waits or keeps time. The engine moves the bytes; dialects and providers say what they
//! mean. Both need the same words for them, and these are the words.

mod call;
pub mod event_stream;
mod secret;

pub use call::{Call, Reply};
pub use secret::Secret;
