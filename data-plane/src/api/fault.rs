//! Panics on purpose, for tests alone: what a defect in a call would do to it and to others.

use std::task::Poll;

use bytes::Bytes;

/// A call with this id panics after its answer came.
pub(crate) const CALL: &str = "panic-on-purpose";

/// A stream that has this text panics before it is sent.
pub(crate) const TEXT: &[u8] = b"panic-here";

#[allow(clippy::panic, reason = "this is what it is for")]
pub(crate) fn in_call(call_id: &str) {
    if call_id == CALL {
        panic!("on purpose");
    }
}

#[allow(clippy::panic, reason = "this is what it is for")]
pub(crate) fn in_stream(polled: &Poll<Option<Bytes>>) {
    if let Poll::Ready(Some(bytes)) = polled
        && bytes.windows(TEXT.len()).any(|window| window == TEXT)
    {
        panic!("on purpose");
    }
}
