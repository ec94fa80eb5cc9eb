//! A listener that nobody may connect to: each connection is counted, whatever it says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use tokio::net::TcpListener;

/// An address that must stay silent.
pub struct Canary {
    address: SocketAddr,
    touched: Arc<AtomicUsize>,
}

impl Canary {
    /// Listens; who connects is counted and hung up on.
    pub async fn listen() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let touched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&touched);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { address, touched })
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An error if anybody connected.
    pub async fn was_silent(&self) -> anyhow::Result<()> {
        // Whoever connected before this did stands before it in the queue.
        drop(tokio::net::TcpStream::connect(self.address).await?);
        let what = "the canary sees our own connection";
        crate::wait::eventually(what, std::time::Duration::from_secs(10), async || {
            Ok((self.touched.load(Ordering::Relaxed) > 0).then_some(()))
        })
        .await?;
        let touched = self.touched.load(Ordering::Relaxed) - 1;
        ensure!(touched == 0, "{touched} connections went to an address that a client chose");
        Ok(())
    }
}
