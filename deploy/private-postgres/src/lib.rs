//! A Postgres server of one's own: found on this machine, started, and stopped with the process that asked for it.
//!
//! [`start`] finds the server's programs ([`ServerBinaries`]), makes a cluster in the data directory on first use, and
//! yields a running [`Server`] with a URL that `sqlx` and `psql` understand. The server listens on one Unix socket and
//! on no TCP port, so any number of them live side by side. [`Scratch`] is the same for tests: no durability, and
//! nothing is left behind.
//!
//! **Never as root.** Postgres refuses to run as root, so a root process runs it as the user who owns the cluster; a new
//! cluster goes to `postgres`, else `nobody`. Where that user cannot enter the data directory (a clone under `/root`), the cluster lies
//! under `/var/lib/turnpike/<id>`, and a note in the data directory says so.
//!
//! **Who may connect.** Authentication is `peer`: the kernel tells the server which user is at the other end of the
//! socket, and only the user of this process and the one who runs the server are mapped to the database role. There is
//! no password to store, leak or lose, and the URL is no secret. `trust` would rest on the permissions of a directory
//! alone; a password would have to lie in a file that the same users can read. The socket's directory is closed to
//! everybody else besides.
//!
//! **One server per directory, and none without us.** A lock that the kernel releases when this process dies guards the
//! directory. A guard process (a few lines of `sh` at the other end of a pipe) stops the server when this process is
//! killed; what it misses is found and stopped at the next start.
//!
//! What is left to others: schema and migrations, connection pools, backups, upgrades between major versions.

mod account;
mod binaries;
mod cluster;
mod entropy;
mod error;
mod guard;
mod log;
mod patience;
mod place;
mod postmaster;
mod scratch;
mod server;
mod settings;
mod socket;

use std::path::PathBuf;

pub use binaries::{FindError, OLDEST_MAJOR, ServerBinaries};
pub use error::{SqlError, StartError, StopError};
pub use scratch::Scratch;
pub use server::{Server, StopMode};

/// The database role that connects, and the name of the database that every cluster starts with.
pub const ROLE: &str = "turnpike";

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the cluster lies, or the note that says where it lies. Made on first start, with its parents.
    pub data_dir: PathBuf,
    /// What survives a crash of the machine.
    pub durability: Durability,
    /// Further server settings as `(name, value)`, stronger than the defaults of this crate; the address, the socket
    /// and who may connect stay ours.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A durable server with its cluster in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durability: Durability::Full, settings: Vec::new() }
    }
}

/// What survives a crash of the machine. Either survives a restart of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on disk when it is answered.
    Full,
    /// Nothing is flushed: for tests, several times faster.
    Scratch,
}

/// Starts a private Postgres and returns when it takes connections. Blocks: seconds on first use, a fraction of one later.
///
/// # Errors
/// [`StartError`] says what stood in the way and what to do about it.
pub fn start(options: &Options) -> Result<Server, StartError> {
    server::launch(options, None)
}

/// The URL of the server that another process runs on the cluster in `data_dir`, where there is one. It is that process's: it
/// may stop at any time.
pub fn url_of_running(data_dir: &std::path::Path) -> Option<String> {
    socket::url_of_running(data_dir)
}
