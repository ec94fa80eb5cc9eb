//! Sockets: taking connections, TLS, HTTP, and ending all of it in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use proto::channel::JoinTokenDigest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::enrol::ServerIdentity;
use crate::http::caller::Origin;
use crate::patience::Patient;

/// Most connections of one listener. More wait in line.
const CONNECTIONS: usize = 4_096;

/// How long a TLS handshake or a request's head may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Most bytes of a request's head: in HTTP/1 all of it, in HTTP/2 the list of its headers.
const HEAD: usize = 64 << 10;
const HEAD_LIST: u32 = 16 << 10;

/// Calls at once on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// Streams that a client may open and reset at once before it is taken for a flood, and those that we reset.
const PENDING_RESETS: usize = 20;
const OUR_RESETS: usize = 1_024;

/// How long running calls may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// Where the control plane listens.
#[derive(Debug)]
pub struct Listeners {
    /// The admin API over TCP, where it is wanted; data planes forward to the other listener.
    pub admin: Option<TcpListener>,
    /// Data planes.
    pub grpc: GrpcListener,
}

/// Where data planes connect.
#[derive(Debug)]
pub enum GrpcListener {
    /// Over TLS; they must show the join token.
    Tcp {
        /// The port.
        listener: TcpListener,
        /// Our certificate.
        identity: ServerIdentity,
        /// What they must show.
        join_token: JoinTokenDigest,
    },
    /// Standalone's socket. Its file's permissions say who may connect.
    Unix(UnixListener),
}

/// Serves the admin API on a TCP port until `shutdown`.
pub(crate) async fn admin(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    Connections::new(router, None, shutdown).take(Clients(listener)).await;
}

/// Serves data planes until `shutdown`.
pub(crate) async fn data_planes(listener: GrpcListener, router: Router, shutdown: CancellationToken) {
    match listener {
        GrpcListener::Tcp { listener, identity, join_token: _ } => {
            let tls = TlsAcceptor::from(identity.server_config());
            Connections::new(router, Some(tls), shutdown).take(DataPlanes(listener)).await;
        }
        GrpcListener::Unix(listener) => Connections::new(router, None, shutdown).take(listener).await,
    }
}

/// Something that connections come from.
trait Accept: Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Origin)>> + Send;
}

struct Clients(TcpListener);

impl Accept for Clients {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Origin)> {
        let (stream, peer) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Origin::Peer(peer.ip())))
    }
}

struct DataPlanes(TcpListener);

impl Accept for DataPlanes {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Origin)> {
        let (stream, _) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Origin::DataPlane))
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Origin)> {
        Ok((UnixListener::accept(self).await?.0, Origin::DataPlane))
    }
}

struct Connections {
    router: Router,
    tls: Option<TlsAcceptor>,
    shutdown: CancellationToken,
    running: TaskTracker,
    places: Arc<Semaphore>,
}

impl Connections {
    fn new(router: Router, tls: Option<TlsAcceptor>, shutdown: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        Self { router, tls, shutdown, running: TaskTracker::new(), places }
    }

    /// Takes connections until the shutdown, then waits for the running ones.
    async fn take(self, listener: impl Accept) {
        loop {
            let next = async {
                let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
                let (stream, origin) = listener.accept().await?;
                Ok::<_, io::Error>((stream, origin, place))
            };
            let taken = tokio::select! {
                () = self.shutdown.cancelled() => break,
                taken = next => taken,
            };
            match taken {
                Ok((stream, origin, place)) => {
                    let (router, tls, shutdown) = (self.router.clone(), self.tls.clone(), self.shutdown.clone());
                    self.running.spawn(async move {
                        let _place = place;
                        match tls {
                            None => converse(stream, router, origin, shutdown).await,
                            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                                Ok(Ok(stream)) => converse(stream, router, origin, shutdown).await,
                                Ok(Err(error)) => tracing::info!(%error, "a TLS handshake failed"),
                                Err(_) => tracing::info!("a TLS handshake took too long"),
                            },
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must go before the next can come.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener); // who comes now is refused at once, not left waiting
        self.running.close();
        if tokio::time::timeout(DRAIN, self.running.wait()).await.is_err() {
            tracing::warn!(connections = self.running.len(), "connections are cut: their calls did not end in time");
        }
    }
}

/// HTTP on one connection, both versions, until it ends or the shutdown has drained it.
async fn converse<S>(stream: S, router: Router, origin: Origin, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        origin.note(&mut request);
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(HEAD);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(match origin {
            Origin::Peer(_) => Some(STREAMS),
            // The calls of all its clients come over this one connection.
            Origin::DataPlane => None,
        })
        .max_header_list_size(HEAD_LIST)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OUR_RESETS)
        .keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(15))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .adaptive_window(false);
    let connection = http.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke");
    }
}
