//! The data directory: what standalone makes for itself on its first start.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// A Unix socket's path may not be longer, the closing zero included (Linux: 108 bytes).
const MAX_SOCKET_PATH: usize = 107;

/// The places within a data directory.
pub(crate) struct DataDir {
    path: PathBuf,
    /// One `turnpike` at a time: a second would take the socket from under the first.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, or makes it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("the data directory {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path).with_context(named)?;
        let path = path.canonicalize().with_context(named)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.with_context(named)?;
        ensure!(lock.try_lock().is_ok(), "{} is in use by another turnpike: give each its own --data-dir", named());
        Ok(Self { path, _lock: lock })
    }

    /// Where the private Postgres lies, or the note that says where.
    pub(crate) fn postgres(&self) -> PathBuf {
        Self::postgres_in(&self.path)
    }

    /// The same for a directory that another `turnpike` has open.
    pub(crate) fn postgres_in(path: &Path) -> PathBuf {
        path.join("postgres")
    }

    /// The vault key in a directory that another `turnpike` may have open; nothing where it was not made yet.
    pub(crate) fn known_vault_key(path: &Path) -> anyhow::Result<Option<String>> {
        let path = path.join("vault-key");
        match fs::read_to_string(&path) {
            Ok(key) => Ok(Some(key.trim().to_owned()).filter(|key| !key.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("the vault key {}", path.display())),
        }
    }

    /// The data plane's state.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The control plane's socket, in a directory that only we can enter.
    pub(crate) fn control_socket(&self) -> anyhow::Result<PathBuf> {
        let directory = self.path.join("control");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let socket = directory.join("grpc.sock");
        let length = socket.as_os_str().len();
        ensure!(
            length <= MAX_SOCKET_PATH,
            "the path {} has {length} bytes, and a socket's may have {MAX_SOCKET_PATH}: choose a shorter --data-dir",
            socket.display()
        );
        match fs::remove_file(&socket) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("the old socket {}", socket.display())),
        }
        Ok(socket)
    }

    /// The key that seals provider credentials in the database: made at random once, readable by us alone.
    pub(crate) fn vault_key(&self) -> anyhow::Result<String> {
        let path = self.path.join("vault-key");
        let named = || format!("the vault key {}", path.display());
        match fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => return Ok(key.trim().to_owned()),
            Ok(_empty) => anyhow::bail!("{} is empty: restore it, or remove it if nothing was sealed yet", named()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(named),
        }
        let mut random = [0; 32];
        std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut random).with_context(named)?;
        let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // Whole or not at all: a key that is half there would seal everything with what anybody can guess.
        let new = self.path.join("vault-key.new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new).with_context(named)?;
        file.write_all(key.as_bytes()).and_then(|()| file.sync_all()).with_context(named)?;
        fs::rename(&new, &path).and_then(|()| File::open(&self.path)?.sync_all()).with_context(named)?;
        Ok(key)
    }
}
