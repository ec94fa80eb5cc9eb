//! What the control plane says about itself, and when it is told to stop.

use std::io::{self, IsTerminal as _};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: for people at a terminal, else as JSON lines where `TURNPIKE_LOG_FORMAT=json`.
/// `wanted` is a level or a list of filters; one that cannot be read counts as `info`.
pub fn init(wanted: &str) {
    // What Postgres notes at each start is no news, unless somebody asks for all of it.
    let quiet = format!("sqlx::postgres::notice=warn,{}", wanted.to_lowercase());
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let json = std::env::var("TURNPIKE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let started = if json { lines.json().try_init() } else { lines.try_init() };
    // Standalone has started it for both planes.
    drop(started);
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
        tracing::info!("stopping");
        shutdown.cancel();
    });
    Ok(())
}
