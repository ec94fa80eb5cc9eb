//! An answer in pieces: reads the provider's event stream along while the bytes go to the client.
//!
//! [`Reader`] is the only way in. It finds usage, id and errors, puts in the model name the client asked for, keeps back
//! the usage that only the gateway asked for, and holds `[DONE]` until the call is booked. Bytes that need no change are
//! handed on without a copy.

mod chunk;
mod outlet;
mod reader;
mod template;

use bytes::Bytes;
use wire::event_stream::EventTooLong;

pub use reader::Reader;

use crate::json::ScanError;

/// The event that ends a stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// How a stream is shown to its client.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name to put in the place of the upstream's; none leaves it.
    pub model: Option<String>,
    /// Whether the usage event is kept back, because the client did not ask for it.
    pub hide_usage: bool,
}

/// How the upstream's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With `[DONE]`, or at least after a finish reason.
    Done,
    /// Before either.
    Cut,
}

/// What came is not an event stream of this dialect: the upstream broke off, as far as the client is concerned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    #[error(transparent)]
    EventTooLong(#[from] EventTooLong),
    #[error("the data of an event are not a JSON object")]
    NotJson {
        #[from]
        source: ScanError,
    },
    #[error("the body is not an event stream")]
    NotEvents,
}

/// `json` as one event. It must hold no line break outside of strings, as JSON that is not pretty-printed does not.
pub fn event(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 8);
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
    Bytes::from(out)
}

/// The event that tells a client about an error after the stream began; no `[DONE]` follows it.
pub fn error_event(error_json: &[u8]) -> Bytes {
    event(error_json)
}
