//! A request's body on its way to a provider: pieces, written as they are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dialects::splice::Pieces;
use http_body::{Body, Frame, SizeHint};

/// A body whose length is known.
pub(crate) enum Outgoing {
    /// In one piece, as nearly all are.
    Whole(Option<Bytes>),
    Pieces(VecDeque<Bytes>),
}

impl Outgoing {
    pub(super) fn new(mut pieces: Pieces) -> Self {
        match pieces.len() {
            0 | 1 => Self::Whole(pieces.pop().filter(|piece| !piece.is_empty())),
            _ => Self::Pieces(pieces.into_iter().collect()),
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Whole(piece) => piece.take(),
            Self::Pieces(pieces) => pieces.pop_front(),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(piece) => piece.is_none(),
            Self::Pieces(pieces) => pieces.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = match self {
            Self::Whole(piece) => piece.as_ref().map_or(0, Bytes::len),
            Self::Pieces(pieces) => pieces.iter().map(Bytes::len).sum(),
        };
        SizeHint::with_exact(length as u64)
    }
}
