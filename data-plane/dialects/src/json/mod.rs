//! The scanner: finds its way in JSON text without building values from it.
//!
//! A gateway needs a dozen members of a body that may be megabytes long, and must hand on the rest byte by byte. So one
//! pass notes where the members of the outermost object stand; everything else stays text. [`scan`] checks the whole
//! text, because what a client sent must not mean one thing here and another thing upstream. [`scan_event`] is for
//! what a provider answered: it only finds its way.

mod blocks;
mod cursor;
mod error;
mod head;
mod skip;
mod text;
mod walk;

pub(crate) use cursor::{Cursor, Span};
pub use error::{ScanError, WrongType};
pub(crate) use head::{BOOLEAN, NUMBER, STRING, UNSIGNED, as_boolean, as_number, as_string, as_unsigned, slice, typed};
pub use head::{Head, Limits, MEMBERS_MAX, Member, scan, scan_event, scan_within};
pub use text::{key_is, push_quoted, quoted, string_bytes, unescape};
pub use walk::{Elements, Members, elements, members, text_bytes};
