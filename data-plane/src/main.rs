//! `turnpike-data-plane`: flags to settings, a runtime, and the exit code.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use data_plane::settings::Flags;
use mimalloc::MiMalloc;
use tokio_util::sync::CancellationToken;

/// Calls allocate and free small pieces on each core.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    data_plane::telemetry::init();
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> anyhow::Result<()> {
    let address = SocketAddr::new(flags.host(), flags.port());
    let listeners = data_plane::bind(address, flags.shared().threads())?;
    let metrics = flags.shared().metrics_port.map(|port| SocketAddr::new(flags.host(), port));
    let settings = flags.settings()?;
    // gRPC, syncing and jobs; calls have threads of their own.
    let background = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    background.block_on(async {
        data_plane::telemetry::metrics::serve(metrics).await?;
        let shutdown = CancellationToken::new();
        data_plane::telemetry::on_signal(shutdown.clone())?;
        tracing::info!(%address, "listening");
        data_plane::run(settings, listeners, shutdown).await
    })
}
