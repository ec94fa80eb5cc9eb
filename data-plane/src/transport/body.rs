//! The body of a provider's answer, which gives its connection back when it was read to the end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;

use super::{Lease, TransportError};

/// An answer's body on its connection. Dropped before its end, it closes the connection.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            return match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => Poll::Ready(Some(Ok(bytes))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    self.give_back();
                    Poll::Ready(None)
                }
            };
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn give_back(&mut self) {
        if let Some(Lease { sender, origin, home, .. }) = self.lease.take() {
            home.put(&origin, sender);
        }
    }
}

/// The whole body, of at most `limit` bytes, with no pause longer than `pause`.
pub(crate) async fn collect(body: &mut UpstreamBody, limit: usize, pause: Duration) -> Result<Bytes, TransportError> {
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    loop {
        let chunk = tokio::time::timeout(pause, body.chunk()).await;
        let chunk =
            chunk.map_err(|_late| TransportError::Timeout { what: "the answer did not go on", after: pause })?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(TransportError::Broken)?;
        let so_far = first.len() + more.as_ref().map_or(0, BytesMut::len);
        if so_far + chunk.len() > limit {
            return Err(TransportError::TooLarge { limit });
        }
        match &mut more {
            Some(more) => more.extend_from_slice(&chunk),
            None if first.is_empty() => first = chunk,
            None => {
                let mut joined = BytesMut::with_capacity((first.len() + chunk.len()) * 2);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&chunk);
                first = Bytes::new();
                more = Some(joined);
            }
        }
    }
    Ok(more.map_or(first, BytesMut::freeze))
}
