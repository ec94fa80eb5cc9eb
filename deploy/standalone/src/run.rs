//! Starting and stopping the parts, in order.
//!
//! Postgres, then the control plane on a Unix socket, then the data plane on the one port. Down in the other
//! order: calls end and their usage is taken in before the control plane goes, and the database goes last.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use control_plane::flags::{Fate, Foreign};
use control_plane::secret::Secret;
use control_plane::settings::Given;
use control_plane::{GrpcListener, Listeners};
use private_postgres::{Options, Server, StopMode};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::data_dir::DataDir;
use crate::flags::Flags;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(flags: Flags, foreign: &[Foreign]) -> anyhow::Result<()> {
    for flag in foreign {
        match flag.fate {
            Fate::WithoutEffect(why) => tracing::warn!("--{} has no effect: {why}", flag.name),
            Fate::Missing(what) => {
                anyhow::bail!("--{} asks for what is missing so far: {what}. Leave it out.", flag.name)
            }
        }
    }
    let address = SocketAddr::new(flags.host, flags.port);
    let listeners = data_plane::bind(address, flags.shared.threads())?;
    let data_dir = DataDir::open(&flags.data_dir)?;

    let postgres = match names_a_database(&flags)? {
        true => None,
        false => Some(start_postgres(&data_dir.postgres())?),
    };
    // gRPC, database, syncing and jobs; calls have threads of their own.
    let background = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = background.block_on(serve(flags, &data_dir, postgres.as_ref(), listeners));
    if let Some(postgres) = postgres {
        postgres.stop(StopMode::Fast).context("stopping the private Postgres")?;
    }
    served
}

/// Whether flags, environment or configuration name a database to use instead of a private one. A configuration that
/// cannot be used ends the start here, with all that is wrong in it, before anything else was started.
fn names_a_database(flags: &Flags) -> anyhow::Result<bool> {
    let environment = |name: &str| std::env::var(name).ok();
    let in_config = match &flags.config {
        Some(path) => control_plane::configuration::read(path)?.names_a_database(&environment),
        None => false,
    };
    Ok(in_config || flags.database_url.is_some() || std::env::var_os("DATABASE_HOST").is_some())
}

fn start_postgres(place: &Path) -> anyhow::Result<Server> {
    let server = private_postgres::start(&Options::new(place)).context("the private Postgres")?;
    for note in server.notes() {
        tracing::info!("{note}");
    }
    Ok(server)
}

fn control_settings(
    flags: &Flags,
    data_dir: &DataDir,
    postgres: Option<&Server>,
) -> anyhow::Result<control_plane::Settings> {
    let private = postgres.map(|postgres| postgres.url().to_owned());
    let given = Given {
        config: flags.config.clone(),
        database_url: flags.database_url.clone().or(private).map(Secret::new),
        database_connections: None,
        admin_calls_per_second: flags.admin_calls_per_second,
        vault_key: Some(Secret::new(data_dir.vault_key()?)),
        insecure_no_auth: flags.insecure_no_auth,
    };
    Ok(control_plane::Settings::gather(given)?)
}

async fn serve(
    flags: Flags,
    data_dir: &DataDir,
    postgres: Option<&Server>,
    listeners: Vec<std::net::TcpListener>,
) -> anyhow::Result<()> {
    data_plane::telemetry::metrics::serve(flags.shared.metrics_port.map(|port| SocketAddr::new(flags.host, port)))
        .await?;
    let stop = CancellationToken::new();
    data_plane::telemetry::on_signal(stop.clone())?;

    let socket = data_dir.control_socket()?;
    let admin = match flags.admin_port {
        Some(port) => {
            let address = SocketAddr::new(flags.host, port);
            let listener = TcpListener::bind(address).await;
            Some(listener.with_context(|| format!("the admin API cannot listen on {address}"))?)
        }
        None => None,
    };
    let grpc = GrpcListener::Unix(UnixListener::bind(&socket).with_context(|| format!("{}", socket.display()))?);
    let settings = control_settings(&flags, data_dir, postgres)?;
    let control_stop = CancellationToken::new();
    let mut control = tokio::spawn(control_plane::run(settings, Listeners { admin, grpc }, control_stop.clone()));

    let address = format!("unix:{}", socket.display());
    let settings = flags.shared.settings(address, None, data_dir.state(), None);
    let data = data_plane::run(settings, listeners, stop.clone());
    tokio::pin!(data);
    let ended = tokio::select! {
        ended = &mut data => ended,
        // A configuration or a database that cannot be used ends the start, with all that is wrong.
        ended = &mut control => {
            stop.cancel();
            let why = ended.context("the control plane")?.and_then(|()| Err(anyhow::anyhow!("the control plane stopped")));
            data.await?;
            return why;
        }
    };
    control_stop.cancel();
    control.await.context("the control plane")??;
    ended
}
