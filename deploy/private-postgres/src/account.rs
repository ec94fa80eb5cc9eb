//! Which user of the operating system runs the server, and programs run as that user.

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, geteuid};

use crate::error::StartError;

/// What the server's programs get to see of our environment. The rest stays with us: it may hold keys and passwords,
/// and settings of the libpq family (`PGPORT`, `PGDATA`, …) would lead them astray.
const PASSED_ON: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// A user of the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) name: String,
}

impl Account {
    /// The user of this process.
    pub(crate) fn ours() -> Result<Self, StartError> {
        Self::of(geteuid())
    }

    /// The user with this id.
    pub(crate) fn of(uid: Uid) -> Result<Self, StartError> {
        let user = User::from_uid(uid).ok().flatten().ok_or(StartError::NamelessUser { uid: uid.as_raw() })?;
        Ok(user.into())
    }

    /// Who runs a new cluster: this user, unless that is root.
    pub(crate) fn for_new_cluster(self) -> Result<Self, StartError> {
        if !self.uid.is_root() {
            return Ok(self);
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(Self::from)
            .ok_or(StartError::NoServerUser)
    }

    /// `program`, to be run as this user, in a clean environment, away from our terminal's signals.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).process_group(0);
        for name in PASSED_ON {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.uid != geteuid() {
            // The standard library drops the supplementary groups with the user id.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Whether this user can enter `dir`. Asked of the kernel, because permission bits are not the whole truth.
    pub(crate) fn can_enter(&self, dir: &Path) -> io::Result<bool> {
        let shell = Path::new("/bin/sh");
        let status = self
            .command(shell)
            .args(["-c", r#"cd -- "$1""#, "sh"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(status.success())
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { uid: user.uid, gid: user.gid, name: user.name }
    }
}
