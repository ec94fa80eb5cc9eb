//! The only module that opens sockets to providers.
//!
//! A request that was not written is sent again on a fresh connection; one that was is never repeated here, because it
//! may have been billed.

mod body;
mod connect;
mod outgoing;
mod pool;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use dialects::splice::Pieces;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

pub(crate) use body::{UpstreamBody, collect};
pub(crate) use connect::Tls;
use outgoing::Outgoing;
use pool::Pool;
pub(crate) use pool::Pools;
pub(crate) use upstream::{Origin, Upstream};

const CONNECT: Duration = Duration::from_secs(5);

type Sender = SendRequest<Outgoing>;

/// One core's connections to providers.
pub(crate) struct Transport {
    tls: Arc<Tls>,
    pool: Arc<Pool>,
    pools: Arc<Pools>,
}

/// Why no answer came from a provider.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("no connection to {origin}: {source}")]
    Connect { origin: String, source: std::io::Error },
    #[error("{what} within {} s", .after.as_secs_f64())]
    Timeout { what: &'static str, after: Duration },
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl Transport {
    pub(crate) fn new(tls: Arc<Tls>, pools: Arc<Pools>) -> Self {
        Self { tls, pool: pools.join(), pools }
    }

    /// Sends one request and waits for the head of its answer, at most `timeout`.
    pub(crate) async fn send(
        self: &std::rc::Rc<Self>,
        upstream: &Upstream,
        body: Pieces,
        timeout: Duration,
    ) -> Result<Response<UpstreamBody>, TransportError> {
        let exchange = self.exchange(upstream, body);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(result) => result,
            Err(_elapsed) => Err(TransportError::Timeout { what: "no answer began", after: timeout }),
        }
    }

    async fn exchange(
        self: &std::rc::Rc<Self>,
        upstream: &Upstream,
        body: Pieces,
    ) -> Result<Response<UpstreamBody>, TransportError> {
        let mut request = upstream.request(body);
        loop {
            let (mut sender, reused) = match self.take_idle(&upstream.origin).await {
                Some(sender) => (sender, Reused::Yes),
                None => (self.dial(&upstream.origin).await?, Reused::No),
            };
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(self.keep(answer, sender, &upstream.origin)),
                Err(mut unsent) => match (unsent.take_message(), reused) {
                    (Some(whole), Reused::Yes) => request = whole,
                    (Some(_), Reused::No) | (None, _) => return Err(TransportError::Broken(unsent.into_error())),
                },
            }
        }
    }

    fn keep(
        self: &std::rc::Rc<Self>,
        answer: Response<Incoming>,
        sender: Sender,
        origin: &Arc<Origin>,
    ) -> Response<UpstreamBody> {
        answer.map(|incoming| UpstreamBody::new(incoming, sender, Arc::clone(origin), std::rc::Rc::clone(self)))
    }

    /// A connection that can still be used: ours, or another core's.
    async fn take_idle(&self, origin: &Arc<Origin>) -> Option<Sender> {
        loop {
            let mut sender = self.pool.take(origin).or_else(|| self.pools.borrow(origin))?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn put_back(&self, origin: &Arc<Origin>, sender: Sender) {
        self.pool.put(origin, sender);
    }

    async fn dial(&self, origin: &Origin) -> Result<Sender, TransportError> {
        let dialled = tokio::time::timeout(CONNECT, connect::dial(origin, &self.tls)).await;
        let dialled = dialled.unwrap_or_else(|_elapsed| {
            let late = format!("no connection within {} s", CONNECT.as_secs());
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, late))
        });
        let stream = dialled.map_err(|source| TransportError::Connect { origin: origin.to_string(), source })?;
        let shaken = hyper::client::conn::http1::Builder::new().handshake(stream).await;
        let (sender, connection) = shaken.map_err(TransportError::Broken)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a provider ended");
            }
        });
        Ok(sender)
    }
}

/// Whether a connection had carried a call before.
#[derive(Clone, Copy)]
enum Reused {
    Yes,
    No,
}

impl Upstream {
    fn request(&self, body: Pieces) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}
