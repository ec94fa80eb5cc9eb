//! A client's socket, with patience: who does not begin to speak, or takes no byte of an answer, is given up.
//!
//! hyper times the head of a request, but not the bytes before it by which it tells HTTP/1 from HTTP/2, and not how long an
//! answer stays untaken. Either would hold one of the listener's places for ever.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long the first bytes may take.
const BEGINS: Duration = Duration::from_secs(10);

/// As many bytes as the preface of HTTP/2 has: then hyper knows, and has clocks of its own.
const FIRST: usize = 24;

/// How long a client may take nothing.
const STALLS: Duration = Duration::from_secs(60);

/// A socket that fails when its client keeps it waiting for too long.
pub(crate) struct Patient<S> {
    socket: S,
    /// Runs until the first bytes are there.
    begins: Option<(usize, Pin<Box<Sleep>>)>,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, begins: Some((0, Box::pin(tokio::time::sleep(BEGINS)))), stalled: None }
    }

    fn wrote<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALLS)));
        std::task::ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buffer);
        let Some((came, begins)) = this.begins.as_mut() else { return polled };
        *came += buffer.filled().len() - before;
        if *came >= FIRST {
            this.begins = None;
        } else if polled.is_pending() && begins.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.wrote(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write_vectored(cx, bytes);
        this.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_flush(cx);
        this.wrote(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_begins_a_preface_and_does_not_go_on_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut patient = Patient::new(ours);
        theirs.write_all(b"PRI * HTTP").await.unwrap();
        let mut read = [0; 64];
        assert_eq!(patient.read(&mut read).await.unwrap(), 10);
        let began = Instant::now();
        assert_eq!(patient.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), BEGINS);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_may_be_silent_as_far_as_this_is_concerned() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut patient = Patient::new(ours);
        theirs.write_all(&[b'x'; FIRST]).await.unwrap();
        let mut read = [0; 64];
        assert_eq!(patient.read(&mut read).await.unwrap(), FIRST);
        assert!(tokio::time::timeout(Duration::from_secs(600), patient.read(&mut read)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut patient = Patient::new(ours);
        let began = Instant::now();
        assert_eq!(patient.write_all(&[1; 17]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), STALLS);
    }
}
