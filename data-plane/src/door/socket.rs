//! A client's socket: lets pass what can be read in one way only, and gives up who takes nothing.
//!
//! While a socket is full nobody polls the stream behind it, so its clocks stand still; the one in here does not. The
//! connection ends with an error, and the stream is read on for and booked like that of any client who leaves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::framing::Framing;
use super::refusal::Refusal;
use super::{Phase, Watch};
use crate::door::limits::Limits;
use crate::telemetry::limits;

/// What can be said to a client in passing, without waiting.
pub(crate) trait Tell {
    /// Sends `bytes` as far as they fit, and says that nothing more comes.
    fn tell(&self, bytes: &[u8]);
}

impl Tell for TcpStream {
    fn tell(&self, bytes: &[u8]) {
        let socket = SockRef::from(self);
        // Who is gone need not be told.
        let _ = socket.send(bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
    }
}

/// A socket behind the door.
pub(crate) struct Guarded<S> {
    socket: S,
    watch: Rc<Watch>,
    limits: Rc<Limits>,
    framing: Framing,
    /// The body of a call turned out to be none.
    broke_off: bool,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(socket: S, watch: Rc<Watch>, limits: Rc<Limits>) -> Self {
        Self { socket, watch, limits, framing: Framing::new(), broke_off: false, stalled: None }
    }

    fn patient<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let patience = self.limits.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stalled.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                limits::reached("client_stalled");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
            }
        }
    }
}

impl<S: AsyncRead + Tell + Unpin> Guarded<S> {
    /// Says why, once, and reads on for nobody, so that the answer is not lost to a reset.
    fn turn_away(&mut self, cx: &mut Context<'_>, refusal: Refusal) -> Poll<io::Result<()>> {
        match self.watch.phase.get() {
            // The call that it belongs to has no body that can be read: it says so itself.
            Phase::Call if self.broke_off => {
                limits::reached(refusal.name());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the body cannot be read")));
            }
            // The call before it goes on; its end wakes us.
            Phase::Call => {
                self.watch.waiting.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // Its answer still goes out: what waits for that has a clock, and comes back here.
            Phase::Idle | Phase::Head if self.stalled.is_some() => return Poll::Pending,
            Phase::Refused => {}
            Phase::Idle | Phase::Head => {
                limits::reached(refusal.name());
                tracing::debug!(?refusal, "a connection was refused");
                self.socket.tell(&refusal.bytes());
                self.watch.phase.set(Phase::Refused);
            }
        }
        let mut thrown_away = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(ended) => return Poll::Ready(ended),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + Tell + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(refusal) = this.watch.refusal.get() {
            return this.turn_away(cx, refusal);
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        if let Err(refused) = this.framing.see(came, &this.limits) {
            this.watch.refuse(refused.refusal);
            this.broke_off = refused.is_in_body;
            buffer.set_filled(before + refused.well);
            return if refused.well > 0 { Poll::Ready(Ok(())) } else { this.turn_away(cx, refused.refusal) };
        }
        if this.watch.phase.get() == Phase::Idle && this.framing.is_in_head() {
            this.watch.phase.set(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.patient(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write_vectored(cx, bytes);
        this.patient(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_flush(cx);
        this.patient(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::door::limits::tests::given;

    impl Tell for DuplexStream {
        fn tell(&self, _bytes: &[u8]) {}
    }

    fn guarded(size: usize) -> (Guarded<DuplexStream>, DuplexStream, Rc<Watch>) {
        let (ours, theirs) = tokio::io::duplex(size);
        let watch = Watch::new();
        (Guarded::new(ours, Rc::clone(&watch), Rc::new(given(&[]))), theirs, watch)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let (mut patient, mut theirs, _watch) = guarded(16);
        let patience = patient.limits.stall;
        patient.write_all(&[1; 16]).await.unwrap();
        let slow = tokio::spawn(async move {
            let mut taken = [0; 16];
            for _ in 0..3 {
                tokio::time::sleep(patience / 2).await;
                theirs.read_exact(&mut taken).await.unwrap();
            }
            theirs
        });
        for _ in 0..3 {
            patient.write_all(&[2; 16]).await.unwrap();
        }
        let _open = slow.await.unwrap();
        assert_eq!(patient.write_all(&[3; 16]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_request_behind_a_good_one_waits_for_the_end_of_the_call() {
        const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (mut socket, mut theirs, watch) = guarded(1024);
        theirs.write_all(&[GOOD, b"GET / HTTP/1.1\nHost: x\n\n"].concat()).await.unwrap();
        let mut read = [0; 1024];
        assert_eq!(socket.read(&mut read).await.unwrap(), GOOD.len());
        let call = watch.call();
        let end = async {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            assert!(watch.phase.get() == Phase::Call);
            drop((call, theirs));
        };
        let (read, ()) = tokio::join!(socket.read(&mut read), end);
        assert_eq!(read.unwrap(), 0);
        assert_eq!(watch.phase.get(), Phase::Refused);
    }
}
