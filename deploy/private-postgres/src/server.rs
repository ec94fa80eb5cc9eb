//! A running server: started, known by its URL, stopped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries::ServerBinaries;
use crate::cluster;
use crate::error::{SqlError, StartError, StopError};
use crate::guard::Guard;
use crate::log::Log;
use crate::patience::wait_for;
use crate::place::Place;
use crate::postmaster::{PidFile, stop_leftover};
use crate::settings::arguments;
use crate::socket::SocketDir;
use crate::{Options, ROLE};

/// How long a start may take; recovery after a crash reads up to `max_wal_size` (1 GB) of log.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a polite stop may take before it is no longer polite; it writes what is in memory to disk.
const FAST_LIMIT: Duration = Duration::from_secs(30);
/// How long a stop at once may take.
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);
/// How long the server processes of a killed server may take to notice, and its shared memory to be free.
const ORPHANS_LIMIT: Duration = Duration::from_secs(10);

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Ends connections, writes everything to disk, and stops: the next start is quick.
    Fast,
    /// Stops at once; the next start recovers from the write-ahead log.
    Immediate,
}

/// A private Postgres that takes connections. Dropped, it stops (fast).
#[derive(Debug)]
pub struct Server {
    /// None once the server has ended.
    child: Option<Child>,
    pid: u32,
    url: String,
    notes: Vec<String>,
    binaries: ServerBinaries,
    // Dropped in this order: the lock of the place comes last.
    log: Option<Log>,
    _guard: Guard,
    socket: SocketDir,
    place: Place,
}

/// Starts the server; `remove` is a directory that goes, with the cluster, when this process dies.
pub(crate) fn launch(options: &Options, remove: Option<&Path>) -> Result<Server, StartError> {
    let place = Place::claim(options)?;
    let mut notes = Vec::new();
    let leftover = stop_leftover(&place.cluster())?;
    let binaries = cluster::prepare(&place, options.durability)?;
    notes.push(format!(
        "Postgres {} of {} runs as user {}; its cluster lies in {}",
        binaries.version(),
        binaries.dir().display(),
        place.account.name,
        place.root.display()
    ));
    if place.root != place.data_dir {
        notes.push(format!(
            "user {} cannot enter {}, so the cluster lies elsewhere; to be rid of it, remove both directories",
            place.account.name,
            place.data_dir.display()
        ));
    }
    notes.extend(leftover.map(|pid| format!("stopped the server that a killed process left behind (process {pid})")));

    let socket = SocketDir::prepare(&place)?;
    let arguments = arguments(options, &place, &socket)?;
    let mut guard = match remove {
        None => Guard::post(&place.cluster(), &[])?,
        Some(dir) => Guard::post(&place.cluster(), &[dir, &place.root])?,
    };
    let (child, log) = wait_for(ORPHANS_LIMIT, || match run(&place, &binaries, &arguments, &mut guard) {
        Err(StartError::Ended { log, .. }) if log.contains("pre-existing shared memory block") => None,
        other => Some(other),
    })
    .unwrap_or_else(|| run(&place, &binaries, &arguments, &mut guard))?;
    Ok(Server {
        pid: child.id(),
        child: Some(child),
        url: socket.url(ROLE),
        notes,
        binaries,
        log: Some(log),
        _guard: guard,
        socket,
        place,
    })
}

impl Server {
    /// The URL of the database `turnpike`, for `sqlx`, `psql` and all that read libpq's URLs. Not a secret: only this
    /// user may connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        self.socket.url(database)
    }

    /// What an operator should be told about this server: its version, its user, where the cluster lies.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The directory that holds the cluster: the data directory, or where its note leads.
    pub fn place(&self) -> &Path {
        &self.place.root
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The programs that run this server.
    pub fn binaries(&self) -> &ServerBinaries {
        &self.binaries
    }

    /// How the server ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// A `psql` that connects to `database`, stops at the first error and reads no start-up file.
    ///
    /// # Errors
    /// [`SqlError::NoClient`] where `psql` is not installed.
    pub fn psql(&self, database: &str) -> Result<Command, SqlError> {
        let program = self.binaries.psql().ok_or_else(|| SqlError::NoClient { dir: self.binaries.dir().to_owned() })?;
        let mut command = self.place.ours.command(&program);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.url_of(database));
        Ok(command)
    }

    /// Makes an empty database and yields its URL.
    ///
    /// # Errors
    /// [`SqlError`]: there is no `psql`, or the server refused (the name is taken).
    pub fn create_database(&self, name: &str) -> Result<String, SqlError> {
        let mut command = self.psql(ROLE)?;
        let quoted = name.replace('"', "\"\"");
        command.args(["-c", &format!("create database \"{quoted}\"")]);
        let program = PathBuf::from(command.get_program());
        let output = command.output().map_err(|source| SqlError::Run { program, source })?;
        if !output.status.success() {
            return Err(SqlError::Refused { output: String::from_utf8_lossy(&output.stderr).trim().to_owned() });
        }
        Ok(self.url_of(name))
    }

    /// Stops the server and waits until it has ended. A fast stop that takes too long becomes an immediate one.
    ///
    /// # Errors
    /// [`StopError`] where the server may still run.
    pub fn stop(mut self, mode: StopMode) -> Result<(), StopError> {
        self.halt(mode)
    }

    pub(crate) fn halt(&mut self, mode: StopMode) -> Result<(), StopError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let stopped = stop_child(&mut child, mode);
        if stopped.is_ok()
            && let Some(log) = self.log.take()
        {
            log.finish();
        }
        stopped
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.halt(StopMode::Fast) {
            tracing::warn!(%error, "a private Postgres may still run");
        }
    }
}

/// Runs the server until it is ready, or says why it is not.
fn run(
    place: &Place,
    binaries: &ServerBinaries,
    arguments: &[OsString],
    guard: &mut Guard,
) -> Result<(Child, Log), StartError> {
    let program = binaries.program("postgres");
    let failed = |source| StartError::Run { program: program.clone(), source };
    let mut command = place.account.command(&program);
    let mut child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    guard.watch(child.id());
    let Some(output) = child.stderr.take() else {
        return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
    };
    let log_file = place.root.join("postgres.log");
    let log = match Log::follow(output, log_file.clone()) {
        Ok(log) => log,
        Err(source) => return Err(abandon(child, StartError::DataDir { path: log_file, source })),
    };
    let cluster = place.cluster();
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let outcome = wait_for(START_LIMIT, || match child.try_wait() {
        Ok(Some(status)) => Some(Err(status)),
        Ok(None) | Err(_) => PidFile::read(&cluster).filter(|file| file.pid == pid && file.ready).map(Ok),
    });
    match outcome {
        Some(Ok(_ready)) => Ok((child, log)),
        Some(Err(status)) => Err(StartError::Ended { status: status.to_string(), log: log.finish() }),
        None => {
            let late = StartError::Late { seconds: START_LIMIT.as_secs(), log: log.tail() };
            Err(abandon(child, late))
        }
    }
}

/// Ends a server that did not come up, and passes on why.
fn abandon(mut child: Child, error: StartError) -> StartError {
    if let Err(error) = stop_child(&mut child, StopMode::Immediate) {
        tracing::warn!(%error, "a private Postgres that did not start may still run");
    }
    error
}

fn stop_child(child: &mut Child, mode: StopMode) -> Result<(), StopError> {
    let pid = child.id();
    let steps: &[(Signal, Duration)] = match mode {
        StopMode::Fast => &[(Signal::SIGINT, FAST_LIMIT), (Signal::SIGQUIT, IMMEDIATE_LIMIT)],
        StopMode::Immediate => &[(Signal::SIGQUIT, IMMEDIATE_LIMIT)],
    };
    for (signal, limit) in steps {
        if child.try_wait().map_err(|source| StopError::Wait { pid, source })?.is_some() {
            return Ok(());
        }
        // Not waited for yet, so the number still belongs to our child.
        let target = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
        kill(target, *signal).map_err(|source| StopError::Signal { pid, source })?;
        if wait_for(*limit, || child.try_wait().transpose()).is_some_and(|ended| ended.is_ok()) {
            return Ok(());
        }
    }
    Err(StopError::Stays { pid })
}
