//! A durable Postgres that stories stop and start again, with its address and its data kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use private_postgres::{Options, Server, StopMode};
use tempfile::TempDir;

use crate::database::Database;

/// A server of our own, set up as the product sets up its own. Dropped, it stops and its data goes.
pub struct RestartableServer {
    // Dropped in this order.
    server: Option<Server>,
    url: String,
    options: Options,
    _folder: TempDir,
}

impl RestartableServer {
    /// Starts one on an empty cluster.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("turnpike-pg-").tempdir().context("a place for Postgres")?;
        // Postgres drops to another user when the tests run as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let options = Options::new(fs::canonicalize(folder.path())?);
        let server = launch(options.clone()).await?;
        Ok(Self { url: server.url().to_owned(), server: Some(server), options, _folder: folder })
    }

    /// The database that the cluster came with; its address holds over restarts.
    pub async fn database(&self) -> anyhow::Result<Database> {
        Database::at(&self.url).await
    }

    /// Stops it: politely, or at once so that the next start recovers from its log.
    pub async fn stop(&mut self, mode: StopMode) -> anyhow::Result<()> {
        let server = self.server.take().context("Postgres does not run")?;
        Ok(tokio::task::spawn_blocking(move || server.stop(mode)).await??)
    }

    /// Starts it again.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server = Some(launch(self.options.clone()).await?);
        Ok(())
    }
}

async fn launch(options: Options) -> anyhow::Result<Server> {
    let started = tokio::task::spawn_blocking(move || private_postgres::start(&options)).await?;
    started.context("starting Postgres for the story")
}
