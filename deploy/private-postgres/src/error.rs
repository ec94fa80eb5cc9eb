//! What can go wrong, told to the person who has to mend it.

use std::io;
use std::path::PathBuf;

use crate::binaries::FindError;

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    NoServer(#[from] FindError),

    #[error("cannot use {path:?} for Postgres: {source}; choose another data directory, or mend its permissions")]
    DataDir { path: PathBuf, source: io::Error },

    #[error("{path:?} is in use by another process{}; stop that one, or choose another data directory", by(*.pid))]
    InUse { path: PathBuf, pid: Option<u32> },

    #[error(
        "user id {uid} has no name in the user database, and Postgres does not run without one; add it to /etc/passwd"
    )]
    NamelessUser { uid: u32 },

    #[error(
        "Postgres does not run as root, and there is neither a user `postgres` nor a user `nobody` to run it as; \
         add one of them, or start as another user"
    )]
    NoServerUser,

    #[error(
        "the cluster in {cluster:?} belongs to user id {owner}, and this process runs as `{ours}`; start as its owner or as root"
    )]
    NotOurs { cluster: PathBuf, owner: u32, ours: String },

    #[error(
        "user `{user}`, who runs the server, cannot enter {cluster:?}; open the directories above it to that user \
         (`chmod o+x`), or move the data directory to an open place"
    )]
    Closed { cluster: PathBuf, user: String },

    #[error(
        "the cluster in {cluster:?} was made by Postgres {cluster_major}, and this machine has {found}; install the server of \
         Postgres {cluster_major} (or point PG_BINDIR at it), or bring the cluster over with pg_upgrade, or move the \
         directory away to start with an empty database"
    )]
    OtherMajor { cluster: PathBuf, cluster_major: u32, found: String },

    #[error(
        "{note:?} says that the cluster lies in {place:?}, and that is gone; bring it back, or remove the note to start \
         with an empty database"
    )]
    Lost { note: PathBuf, place: PathBuf },

    #[error(
        "{path:?} does not say which version of Postgres made the cluster ({found:?}); restore it, or move the directory away"
    )]
    UnknownMajor { path: PathBuf, found: String },

    #[error("cannot run {program:?}: {source}")]
    Run { program: PathBuf, source: io::Error },

    #[error("{program:?} could not make the cluster; it said:\n{output}")]
    Initialise { program: PathBuf, output: String },

    #[error(
        "the server that an earlier process left behind in {cluster:?} (process {pid}) does not stop; end it, then start again"
    )]
    Leftover { cluster: PathBuf, pid: i32 },

    #[error("Postgres ended while it started ({status}); its log ends with:\n{log}")]
    Ended { status: String, log: String },

    #[error("Postgres was not ready after {seconds} s; its log ends with:\n{log}")]
    Late { seconds: u64, log: String },
}

/// Why a server may still be running.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    #[error("cannot signal Postgres (process {pid}): {source}")]
    Signal { pid: u32, source: nix::Error },

    #[error("cannot tell whether Postgres (process {pid}) has ended: {source}")]
    Wait { pid: u32, source: io::Error },

    #[error("Postgres (process {pid}) does not stop; end it before the next start")]
    Stays { pid: u32 },
}

/// Why a statement did not run.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    #[error("there is no `psql` in {dir:?} nor in PATH; install the Postgres client (Debian: postgresql-client)")]
    NoClient { dir: PathBuf },

    #[error("cannot run {program:?}: {source}")]
    Run { program: PathBuf, source: io::Error },

    #[error("Postgres refused: {output}")]
    Refused { output: String },
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
