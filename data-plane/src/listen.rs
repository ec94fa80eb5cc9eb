//! Listening: one thread, one runtime, one accept queue per core; and the way down.
//!
//! At shutdown readiness goes first, new calls are still accepted for a moment, then each accept queue is
//! emptied and running calls may end; what is left is cut with words and booked.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::gateway::{Core, Gateway};
use crate::patient::Patient;

const BACKLOG: i32 = 4096;
/// Until a request's head is complete. hyper counts the idle time before it too, so this is how long a connection is
/// kept open without a call.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// What a client gets to hear that its stream is cut.
const LAST_WORDS: Duration = Duration::from_secs(2);
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Opens one listener per thread on `address`. They share the port: the kernel spreads connections over them.
pub fn bind(address: SocketAddr, threads: usize) -> anyhow::Result<Vec<TcpListener>> {
    let in_use = || format!("cannot listen on {address}: is another program using the port?");
    // Sockets that share a port would not notice a second gateway on it: this one does.
    drop(TcpListener::bind(address).with_context(in_use)?);
    (0..threads).map(|_| listener(address)).collect::<Result<_, _>>().with_context(in_use)
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves on all listeners until `shutdown`, then lets calls end.
pub(crate) async fn serve(
    gateway: &Arc<Gateway>,
    listeners: Vec<TcpListener>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (stop_accepting, cut) = (CancellationToken::new(), CancellationToken::new());
    let mut threads = Vec::new();
    let mut ended = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let (gateway, stop, cut) = (Arc::clone(gateway), stop_accepting.clone(), cut.clone());
        let (over, is_over) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            let served = core(gateway, index, listener, stop, cut);
            drop(over);
            served
        });
        threads.push(thread.context("starting a thread")?);
        ended.push(is_over);
    }

    let all_ended = futures_util::future::join_all(ended);
    tokio::pin!(all_ended);
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = &mut all_ended => anyhow::bail!("all serving threads ended"),
    }
    gateway.stop();
    tokio::time::sleep(gateway.settings.linger).await;
    stop_accepting.cancel();
    if tokio::time::timeout(gateway.settings.drain, &mut all_ended).await.is_err() {
        tracing::warn!("calls that still run are cut");
        cut.cancel();
        all_ended.await;
    }
    for thread in threads {
        match thread.join() {
            Ok(served) => served?,
            Err(_panic) => anyhow::bail!("a serving thread panicked"),
        }
    }
    Ok(())
}

/// One core's thread: accepts, serves, and ends when its calls have.
fn core(
    gateway: Arc<Gateway>,
    index: usize,
    listener: TcpListener,
    stop: CancellationToken,
    cut: CancellationToken,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let core = Rc::new(Core::new(gateway, index));
    let served = runtime.block_on(async {
        let cut_here = Rc::clone(&core.cut);
        tokio::task::spawn_local(async move {
            cut.cancelled().await;
            cut_here.raise();
        });
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => take(&core, &connections, stream, peer),
                Err(error) => {
                    // Too many open files, mostly: connections end, so waiting helps.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(listener);
        core.stop.raise();
        connections.close();
        connections.wait().await;
        wait_for_detached(&core).await;
        anyhow::Ok(())
    });
    // What still runs is dropped, and with that booked; only then is the segment at its end.
    drop(runtime);
    core.ledger.finish();
    served
}

fn take(core: &Rc<Core>, connections: &TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let socket = SockRef::from(&stream);
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_keepalive(true)) {
        tracing::debug!(%error, "a socket option was refused");
    }
    connections.spawn_local(connection(Rc::clone(core), stream, peer));
}

async fn connection(core: Rc<Core>, stream: TcpStream, peer: SocketAddr) {
    let client_ip = peer.ip().to_canonical();
    let service = service_fn(|request| {
        let answered = api::answer(Rc::clone(&core), client_ip, request);
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_header_size(MAX_HEAD_BYTES)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = core.stop.raised() => {
            serving.as_mut().graceful_shutdown();
            // A stream that is cut says so in an event; what cannot even take that is dropped, and booked so.
            let over = async {
                core.cut.raised().await;
                tokio::time::sleep(LAST_WORDS).await;
            };
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = over => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}

/// Calls whose client left are read on; at shutdown they get the time that is left, until they are cut.
async fn wait_for_detached(core: &Core) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while core.calls.get() > 0 && !core.cut.is_raised() {
        tick.tick().await;
    }
}
