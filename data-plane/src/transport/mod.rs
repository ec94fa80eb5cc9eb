//! The only module that opens sockets to providers.
//!
//! A request that was not written is sent again on a fresh connection; one that was is never repeated here, because it
//! may have been billed.

mod body;
mod connect;
mod outgoing;
mod pool;
mod upstream;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dialects::splice::Pieces;
use http::{Request, Response};
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
    /// Held once by each call that waits for a provider or reads its answer.
    busy: Rc<()>,
}

/// A connection in use, and where it goes back to.
struct Lease {
    sender: Sender,
    origin: Arc<Origin>,
    home: Arc<Pool>,
    _busy: Rc<()>,
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
        Self { tls, pool: pools.join(), pools, busy: Rc::default() }
    }

    /// Sends one request and waits for the head of its answer, at most `timeout`.
    pub(crate) async fn send(
        self: &Rc<Self>,
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
        self: &Rc<Self>,
        upstream: &Upstream,
        body: Pieces,
    ) -> Result<Response<UpstreamBody>, TransportError> {
        let mut request = upstream.request(body);
        let busy = Rc::clone(&self.busy);
        loop {
            let (mut sender, home, reused) = match self.take_idle(&upstream.origin).await {
                Some((sender, home)) => (sender, home, Reused::Yes),
                // Rare, and large: in a box it does not make every call's future larger.
                None => (Box::pin(self.dial(&upstream.origin)).await?, Arc::clone(&self.pool), Reused::No),
            };
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    let lease = Lease { sender, origin: Arc::clone(&upstream.origin), home, _busy: busy };
                    return Ok(answer.map(|incoming| UpstreamBody::new(incoming, lease)));
                }
                Err(mut unsent) => match (unsent.take_message(), reused) {
                    (Some(whole), Reused::Yes) => request = whole,
                    (Some(_), Reused::No) | (None, _) => return Err(TransportError::Broken(unsent.into_error())),
                },
            }
        }
    }

    /// A connection that can still be used, and the pool it goes back to: ours, or another core's if nothing else runs here.
    async fn take_idle(&self, origin: &Arc<Origin>) -> Option<(Sender, Arc<Pool>)> {
        loop {
            let ours = self.pool.take(origin).map(|sender| (sender, Arc::clone(&self.pool)));
            // One count is ours, one the call's.
            let is_alone = || Rc::strong_count(&self.busy) <= 2;
            let theirs = || is_alone().then(|| self.pools.borrow(origin)).flatten();
            let (mut sender, home) = ours.or_else(theirs)?;
            if sender.ready().await.is_ok() {
                return Some((sender, home));
            }
        }
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
