//! Stops the server when this process is killed.
//!
//! A pipe tells the end of a process more surely than anything else: the kernel closes it. At its other end waits a
//! shell in a process group of its own, which then stops the server, and for scratch servers removes their directory.
//! A death signal from the kernel (Linux's `PDEATHSIG`) would follow the thread that started the server, not the process.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::StartError;

/// `$1` is the cluster, the rest is what to remove afterwards. The last line read is the server's process id; the end of
/// input comes when we are gone. The pid file still has to name that process, so that no stranger is hit.
const SCRIPT: &str = r#"
cluster=$1
shift
while read -r line; do server=$line; done
if read -r pid <"$cluster/postmaster.pid" && [ "$pid" = "$server" ]; then kill -INT "$server"; fi
[ "$#" -gt 0 ] || exit 0
turns=0
while [ -e "$cluster/postmaster.pid" ] && [ "$turns" -lt 200 ]; do sleep 0.1; turns=$((turns + 1)); done
rm -rf -- "$@"
"#;

/// The shell that waits for our end. Dropped, it sees the end of its input and leaves.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Starts the guard of the server on `cluster`; `remove` names directories that must not outlive us.
    pub(crate) fn post(cluster: &Path, remove: &[&Path]) -> Result<Self, StartError> {
        let program = PathBuf::from("/bin/sh");
        let shell = Command::new(&program)
            .args(["-c", SCRIPT, "turnpike-postgres-guard"])
            .arg(cluster)
            .args(remove)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| StartError::Run { program, source })?;
        Ok(Self { shell })
    }

    /// Tells the guard whom to stop.
    pub(crate) fn watch(&mut self, server: u32) {
        if let Some(stdin) = &mut self.shell.stdin {
            // A guard that is gone already cannot be told; the next start finds what it would have missed.
            let _ = writeln!(stdin, "{server}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It ends by itself; waiting only spares the process table a zombie.
        let _ = self.shell.wait();
    }
}
