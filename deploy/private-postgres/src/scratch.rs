//! A server for tests: in a directory of its own, without durability, and gone with the process.

use std::fs::{self, DirBuilder};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::entropy::random_id;
use crate::error::StartError;
use crate::server::{Server, StopMode, launch};
use crate::{Durability, Options};

/// A [`Server`] whose cluster is removed when this is dropped, or when the process ends in any other way (a `static` is
/// never dropped, and a killed process drops nothing).
#[derive(Debug)]
pub struct Scratch {
    server: Server,
    dir: PathBuf,
}

impl Scratch {
    /// Starts a server in a new directory under the system's directory for temporary files.
    ///
    /// # Errors
    /// As [`crate::start`].
    pub fn start() -> Result<Self, StartError> {
        Self::start_in(&std::env::temp_dir())
    }

    /// Starts a server in a new directory under `parent`.
    ///
    /// # Errors
    /// As [`crate::start`].
    pub fn start_in(parent: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::DataDir { path: parent.to_owned(), source };
        let dir = parent.join(format!("turnpike-pg-{}", random_id().map_err(failed)?));
        DirBuilder::new().mode(0o711).create(&dir).map_err(failed)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).map_err(failed)?;
        let dir = fs::canonicalize(&dir).map_err(failed)?;
        let options = Options { durability: Durability::Scratch, ..Options::new(&dir) };
        match launch(&options, Some(&dir)) {
            Ok(server) => Ok(Self { server, dir }),
            Err(error) => {
                // The start failed, which is the news; the directory lies among temporary files.
                let _ = fs::remove_dir_all(&dir);
                Err(error)
            }
        }
    }
}

impl Deref for Scratch {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let place = self.server.place().to_owned();
        if let Err(error) = self.server.halt(StopMode::Immediate) {
            tracing::warn!(%error, "a scratch Postgres may still run");
            return;
        }
        for dir in [&place, &self.dir] {
            // Both are one directory, unless the temporary files lie where the server's user cannot go.
            let _ = fs::remove_dir_all(dir);
        }
    }
}
