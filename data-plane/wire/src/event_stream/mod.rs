//! Server-sent events as bytes: where one ends, and what its lines say.
//!
//! The grammar is the one of the HTML standard, section "Server-sent events": lines end with LF, CRLF or CR; a blank line
//! ends an event; a line that starts with a colon is a comment. What the data *mean* is left to the dialects.

mod boundary;
mod event;
mod events;

pub use boundary::Boundary;
pub use event::{Data, Event, View};
pub use events::{EventTooLong, Events, LIMIT_BYTES};
