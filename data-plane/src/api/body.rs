//! Bodies: of an answer to a client, whatever it is made of, and of a request on its way in.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::door::Turn;
use crate::error::ProxyError;
use crate::gateway::InFlight;
use crate::pipeline::stream::StreamRelay;
use crate::telemetry::limits;

/// Why a body broke off. Only forwarded ones can: ours end in words.
type Broken = tonic::Status;

/// What is sent to a client.
pub(crate) enum AnswerBody {
    Whole(Option<Bytes>),
    Stream(Box<StreamRelay>),
    Forwarded(Box<tonic::body::Body>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match this {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let polled = stream.poll_bytes(cx);
                    #[cfg(test)]
                    super::fault::in_stream(&polled);
                    polled
                }));
                match polled {
                    Ok(polled) => polled.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
                    Err(_panic) => Poll::Ready(Some(Ok(Frame::data(this.broken())))),
                }
            }
            Self::Forwarded(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(stream) => stream.is_over(),
            Self::Forwarded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
            Self::Forwarded(body) => body.size_hint(),
        }
    }
}

impl AnswerBody {
    /// Ends a stream whose relay panicked: its client hears so, and what came is booked when the relay is dropped.
    #[cold]
    fn broken(&mut self) -> Bytes {
        limits::reached("panic");
        tracing::error!("a call panicked in the middle of its stream: the stream ends with an error");
        *self = Self::Whole(None);
        dialects::openai::stream::error_event(&ProxyError::Panicked.tell().body())
    }
}

/// What goes out of a call: its body, and its places, which are given back when the last byte has gone.
pub(crate) struct Outgoing {
    pub(crate) body: AnswerBody,
    pub(crate) _turn: Turn,
    pub(crate) _place: Option<InFlight>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body that gives a client who is refused early the time to hear it: what was not read when this is
/// dropped is read and thrown away, within bounds, instead of resetting the connection under the answer.
pub(crate) struct RequestBody(Option<Incoming>);

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        Self(Some(incoming))
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match self.0.as_mut()?.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return Some(Ok(bytes)),
                    Err(_trailers) => {}
                },
                Some(Err(error)) => {
                    self.0 = None;
                    return Some(Err(error));
                }
                None => {
                    self.0 = None;
                    return None;
                }
            }
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        const MOST_BYTES: usize = 64 << 20;
        let Some(mut rest) = self.0.take().filter(|rest| !rest.is_end_stream()) else { return };
        tokio::task::spawn_local(async move {
            let discard = async {
                let mut read = 0;
                while let Some(Ok(frame)) = rest.frame().await {
                    read += frame.data_ref().map_or(0, Bytes::len);
                    if read > MOST_BYTES {
                        break;
                    }
                }
            };
            drop(tokio::time::timeout(PATIENCE, discard).await);
        });
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
