//! Listening: one thread, one runtime, one accept queue per core; and the way down.
//!
//! At shutdown readiness goes first, new calls are still accepted for a moment, then each accept queue is
//! emptied and running calls may end; what is left is cut with words and booked.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::door::Watch;
use crate::door::clock::{Clock, Over};
use crate::door::crowd::{Crowd, Place};
use crate::door::limits::Limits;
use crate::door::refusal::Refusal;
use crate::door::socket::{Guarded, Tell as _};
use crate::gateway::{Core, Gateway};
use crate::telemetry::limits;

const BACKLOG: i32 = 4096;
/// What a client gets to hear that its stream is cut.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// hyper keeps no more than this of what comes or goes beside the head: a client that reads slowly is not read ahead for.
const BUFFER_BYTES: usize = 8 << 10;
/// hyper has room for so many headers without asking for memory.
const HYPER_HEADERS: usize = 100;

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
    limits::register();
    let (stop_accepting, cut) = (CancellationToken::new(), CancellationToken::new());
    let crowd = Arc::new(Crowd::new(&gateway.settings.limits));
    let most_calls = gateway.settings.limits.in_flight_of_one(listeners.len());
    let mut threads = Vec::new();
    let mut ended = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let seat = Seat {
            gateway: Arc::clone(gateway),
            index,
            crowd: Arc::clone(&crowd),
            most_calls,
            stop: stop_accepting.clone(),
            cut: cut.clone(),
        };
        let (over, is_over) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            let served = core(seat, listener);
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

/// What a core's thread begins with.
struct Seat {
    gateway: Arc<Gateway>,
    index: usize,
    crowd: Arc<Crowd>,
    most_calls: u32,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// One core's thread: accepts, serves, and ends when its calls have.
fn core(seat: Seat, listener: TcpListener) -> anyhow::Result<()> {
    let Seat { gateway, index, crowd, most_calls, stop, cut } = seat;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let limits = Rc::new(gateway.settings.limits.clone());
    let core = Rc::new(Core::new(gateway, index, most_calls));
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
                Ok((stream, peer)) => match Crowd::admit(&crowd, peer.ip()) {
                    Some(place) => {
                        let connection = Connection { core: Rc::clone(&core), limits: Rc::clone(&limits), peer, place };
                        connections.spawn_local(connection.run(stream));
                    }
                    None => {
                        limits::reached(Refusal::TooManyConnections.name());
                        stream.tell(&Refusal::TooManyConnections.bytes());
                    }
                },
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
        wait_for_all_calls(&core).await;
        anyhow::Ok(())
    });
    // What still runs is dropped, and with that booked; only then is the segment at its end.
    drop(runtime);
    core.ledger.finish();
    served
}

/// One client's connection.
struct Connection {
    core: Rc<Core>,
    limits: Rc<Limits>,
    peer: SocketAddr,
    place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Self { core, limits, peer, place } = self;
        let socket = SockRef::from(&stream);
        if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_keepalive(true)) {
            tracing::debug!(%error, "a socket option was refused");
        }
        let client_ip: Rc<str> = peer.ip().to_canonical().to_string().into();
        let watch = Watch::new();
        let mut clock = Clock::start(Rc::clone(&watch), Rc::clone(&limits), core.random(rand::RngExt::random::<f64>));
        let socket = Guarded::new(stream, Rc::clone(&watch), Rc::clone(&limits));
        let mut http = http1::Builder::new();
        http.max_header_size(limits.max_head_bytes()).max_buf_size(limits.max_head_bytes() + BUFFER_BYTES);
        if limits.max_headers > HYPER_HEADERS {
            http.max_headers(limits.max_headers);
        }
        let service = service_fn(|request| {
            let answered = api::answer(Rc::clone(&core), Rc::clone(&client_ip), request, watch.call());
            async move { Ok::<_, std::convert::Infallible>(answered.await) }
        });
        let serving = http.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(serving);
        let mut is_stopping = false;
        let ended = loop {
            // A stream that is cut says so in an event; what cannot even take that is dropped, and booked so.
            let over = async {
                core.cut.raised().await;
                tokio::time::sleep(LAST_WORDS).await;
            };
            let next = tokio::select! {
                biased;
                next = in_time(serving.as_mut(), &mut clock) => next,
                () = core.stop.raised(), if !is_stopping => Next::Stop,
                () = over, if is_stopping => return,
            };
            match next {
                Next::Ended(ended) => break ended,
                Next::Stop => {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                Next::Over(Over::Idle | Over::Old) => {
                    clock.forget_age();
                    serving.as_mut().graceful_shutdown();
                }
                Next::Over(Over::Head) => watch.refuse(Refusal::HeadTooSlow),
                Next::Over(Over::Refused) => return,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a client connection ended");
        }
        drop(place);
    }
}

/// What happens next to a connection.
enum Next {
    Ended(hyper::Result<()>),
    Over(Over),
    Stop,
}

/// Serves until the connection ends or its time is over.
async fn in_time(mut serving: Pin<&mut impl Future<Output = hyper::Result<()>>>, clock: &mut Clock) -> Next {
    std::future::poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Next::Ended(ended)),
        Poll::Pending => clock.poll(cx).map(Next::Over),
    })
    .await
}

/// Calls whose client left are read on; at shutdown they get the time that is left, until they are cut. Those of other
/// cores count too: one may have borrowed a connection that this core drives.
async fn wait_for_all_calls(core: &Core) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    // Those that are cut say their last words; by then all are over.
    let over = async {
        core.cut.raised().await;
        tokio::time::sleep(LAST_WORDS + Duration::from_secs(1)).await;
    };
    tokio::pin!(over);
    while core.gateway.in_flight.load(Ordering::Relaxed) > 0 {
        tokio::select! {
            _ = tick.tick() => {}
            () = &mut over => break,
        }
    }
}
