//! What the data plane says about itself: log lines and metrics.

pub(crate) mod limits;
pub mod metrics;

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. `LITELLM_LOG` (a level, or filter directives) says how much; default `info`.
pub fn init() {
    let wanted = std::env::var("LITELLM_LOG").unwrap_or_default().to_lowercase();
    let filter = EnvFilter::try_new(if wanted.is_empty() { "info" } else { &wanted });
    let filter = filter.unwrap_or_else(|_unreadable| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    drop(started); // standalone starts it once for both planes
}

/// Cancels `shutdown` at SIGTERM or SIGINT.
pub fn on_signal(shutdown: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: running calls may end");
        shutdown.cancel();
    });
    Ok(())
}
