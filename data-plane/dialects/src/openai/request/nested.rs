//! An object inside the body: in place, or in a string that holds it.

use std::fmt;
use std::ops::Range;

use crate::json::{as_string, members, scan, slice, unescape};

/// A JSON object of the body. LiteLLM's clients may send `metadata` as an object or as a string that holds one.
#[derive(Clone, PartialEq, Eq)]
pub enum Nested {
    At(Range<usize>),
    Text(Box<[u8]>),
}

impl Nested {
    /// Takes the raw value at `range` if it is an object in either form.
    pub(super) fn read(body: &[u8], range: &Range<usize>) -> Option<Self> {
        let value = slice(body, range);
        if value.starts_with(b"{") {
            return Some(Self::At(range.clone()));
        }
        let text = as_string(value)?;
        scan(text.as_bytes()).ok()?;
        Some(Self::Text(text.into_owned().into_bytes().into()))
    }

    /// A key of the object that stands there twice: what it says would depend on who reads it.
    pub(super) fn repeated(&self, body: &[u8]) -> Option<String> {
        let mut keys: Vec<_> = members(self.json(body)).filter_map(|(key, _)| unescape(key)).collect();
        keys.sort_unstable();
        let mut pairs = keys.windows(2);
        pairs.find_map(|pair| match pair {
            [one, other] if one == other => Some(one.chars().take(64).collect()),
            _ => None,
        })
    }

    /// The raw JSON of the object. `body` is the one it was read from.
    pub fn json<'b>(&'b self, body: &'b [u8]) -> &'b [u8] {
        match self {
            Self::At(range) => slice(body, range),
            Self::Text(text) => text,
        }
    }
}

/// Shows where it stands, not what it says: it may be anything a client wants to keep.
impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(range) => write!(f, "Nested::At({range:?})"),
            Self::Text(text) => write!(f, "Nested::Text({} bytes)", text.len()),
        }
    }
}
