//! A provider that speaks OpenAI's dialect, misbehaves on request, and keeps its own books.
//!
//! How it behaves is said per call by a directive in the text that it is sent, such as `[[fake status=429 retry_after=7]]`
//! (see [`conduct`]), or for all calls when it is started. Its [`Ledger`] is the witness against which spend is judged. It
//! runs on its own thread, so that a story that waits never holds it up.

mod answers;
pub mod conduct;
mod ledger;
mod serve;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::conduct::Conduct;
pub use self::ledger::{Entry, Ledger, Sent};

/// A running provider. Dropped, it hangs up on everybody.
pub struct FakeProvider {
    address: SocketAddr,
    ledger: Ledger,
    gate: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl FakeProvider {
    /// A provider that answers well unless told otherwise.
    pub fn start() -> anyhow::Result<Self> {
        Self::behaving("")
    }

    /// A provider that behaves by `directive` (the words between `[[fake` and `]]`) unless a call says otherwise.
    pub fn behaving(directive: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port for the fake provider")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ledger = Ledger::default();
        let (gate, gate_seen) = watch::channel(false);
        let stop = CancellationToken::new();
        let usual = Conduct::default().told(directive)?;
        let connections = Arc::<AtomicUsize>::default();
        let shop = serve::Shop {
            name: address.port(),
            ledger: ledger.clone(),
            usual,
            gate: gate_seen,
            connections: Arc::clone(&connections),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("fake-provider".to_owned())
            .spawn(move || runtime.block_on(serve::until(stopped, listener, shop)))?;
        Ok(Self { address, ledger, gate, connections, stop, thread: Some(thread) })
    }

    /// Its `api_base`.
    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Its own books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Lets every answer go on that waits at the gate (directive `gate`), now and later.
    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// Lets answers wait at the gate again.
    pub fn close_gate(&self) {
        self.gate.send_replace(false);
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A provider that panicked has failed its story already.
            let _ = thread.join();
        }
    }
}

/// An `api_base` at which nobody listens: connections are refused.
pub fn nobody() -> anyhow::Result<String> {
    Ok(format!("http://127.0.0.1:{}/v1", crate::ports::free()?))
}
