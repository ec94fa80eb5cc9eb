//! The server process as seen from outside: its pid file, and a server that an earlier process left behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::StartError;
use crate::patience::wait_for;

/// How long a leftover may take to stop politely, and then at once.
const POLITE: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::from_secs(10);

/// What a server writes about itself into `postmaster.pid` (Postgres source, `pidfile.h`: the process id on line 1, its
/// state on line 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) ready: bool,
}

impl PidFile {
    /// The pid file of `cluster`, where there is one that can be understood.
    pub(crate) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path(cluster)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let pid = text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)?;
        let ready = text.lines().nth(7).is_some_and(|state| state.trim() == "ready");
        Some(Self { pid, ready })
    }
}

/// Stops the server that a killed process left behind in `cluster`, and yields its process id. The caller holds the
/// lock, so whatever runs there belongs to nobody.
pub(crate) fn stop_leftover(cluster: &Path) -> Result<Option<i32>, StartError> {
    let Some(PidFile { pid, .. }) = PidFile::read(cluster) else {
        return Ok(None);
    };
    if !serves(pid, cluster) {
        return forget(pid, cluster).map(|()| None);
    }
    for (signal, limit) in [(Signal::SIGINT, POLITE), (Signal::SIGQUIT, AT_ONCE)] {
        // A server that ended meanwhile is what we want, and is noticed below.
        let _ = kill(Pid::from_raw(pid), signal);
        if wait_for(limit, || (!serves(pid, cluster)).then_some(())).is_some() {
            return Ok(Some(pid));
        }
    }
    Err(StartError::Leftover { cluster: cluster.to_owned(), pid })
}

/// Removes a pid file whose number now belongs to some other program: the server would take that program for its
/// predecessor. A number that nobody has is left to the server, which knows best.
fn forget(pid: i32, cluster: &Path) -> Result<(), StartError> {
    if kill(Pid::from_raw(pid), None) == Err(nix::Error::ESRCH) {
        return Ok(());
    }
    let path = path(cluster);
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StartError::DataDir { path, source }),
    }
}

/// Whether process `pid` is a server on `cluster`: a server works in its cluster's directory.
#[cfg(target_os = "linux")]
fn serves(pid: i32, cluster: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == cluster)
}

/// Whether process `pid` is a server on `cluster`: we name the cluster on its command line.
#[cfg(not(target_os = "linux"))]
fn serves(pid: i32, cluster: &Path) -> bool {
    let output = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*cluster.to_string_lossy()))
}

fn path(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_tells_the_process_and_whether_it_is_ready() {
        let starting = "412\n/data\n1700000000\n5432\n/run\n\n  123 4\nstarting\n";
        assert_eq!(PidFile::parse(starting), Some(PidFile { pid: 412, ready: false }));
        let ready = starting.replace("starting", "ready   ");
        assert_eq!(PidFile::parse(&ready), Some(PidFile { pid: 412, ready: true }));
    }

    #[test]
    fn a_pid_file_cut_short_is_not_taken_for_a_running_server() {
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-5\n/data\n"), None);
        assert_eq!(PidFile::parse("412\n/data\n"), Some(PidFile { pid: 412, ready: false }));
    }

    #[test]
    fn a_number_that_another_program_has_now_does_not_stop_that_program() {
        let cluster = tempfile::tempdir().unwrap();
        let ours = std::process::id();
        fs::write(path(cluster.path()), format!("{ours}\n")).unwrap();
        assert_eq!(stop_leftover(cluster.path()).unwrap(), None);
        assert!(!path(cluster.path()).exists(), "the server would refuse to start because of it");
    }
}
