//! What a snapshot is made from, beside the rows.

use std::fmt;
use std::sync::Arc;

use sqlx::{PgPool, PgTransaction};

use crate::prices;
use crate::vault::Vault;

/// Looks up a name that a reference such as `os.environ/NAME` gives. The process's environment in
/// production, a table in tests.
#[derive(Clone)]
pub(crate) struct Environment(Arc<LookUp>);

type LookUp = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The environment that `look_up` knows.
    pub(crate) fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// The value under `name`, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}

/// What the process knows and data planes must: it is published beside the settings in the database.
#[derive(Clone)]
pub(crate) struct PublishedSettings {
    /// SHA-256 of the master key; empty where there is none.
    pub(crate) master_key_sha256: Vec<u8>,
    /// The user that the master key stands for.
    pub(crate) master_user_id: String,
    /// Started with `--insecure-no-auth`.
    pub(crate) no_auth: bool,
}

impl fmt::Debug for PublishedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedSettings").field("no_auth", &self.no_auth).finish_non_exhaustive()
    }
}

pub(crate) struct Source {
    pub(crate) db: PgPool,
    pub(crate) vault: Vault,
    pub(crate) prices: &'static prices::Table,
    pub(crate) environment: Environment,
    pub(crate) extras: PublishedSettings,
}

impl Source {
    /// A transaction that sees one moment of the database, from its first query to its end.
    pub(crate) async fn one_moment(&self) -> sqlx::Result<PgTransaction<'static>> {
        self.db.begin_with("begin isolation level repeatable read, read only").await
    }
}

/// A snapshot could not be composed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("reading rows for a snapshot")]
    Rows(#[from] sqlx::Error),
    #[error("compressing a snapshot")]
    Compress(#[from] std::io::Error),
    #[error("a thread that encodes snapshots ended early")]
    Encoder(#[from] tokio::task::JoinError),
    #[error("stored settings `{section}`")]
    Settings { section: String, source: crate::vault::OpenError },
}
