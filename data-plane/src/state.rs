//! The state directory: one data plane at a time, one identity for life.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A state directory that is ours until dropped.
pub(crate) struct State {
    pub(crate) directory: PathBuf,
    /// Made on the first start; usage is booked under it.
    pub(crate) data_plane_id: String,
    lock: File,
}

impl Drop for State {
    fn drop(&mut self) {
        // Closing is not enough while a forked child still holds a copy of the descriptor.
        let _ = self.lock.unlock();
    }
}

impl State {
    /// Opens (or makes) the directory, 0700, and locks it.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let named = || format!("the state directory {}", directory.display());
        fs::create_dir_all(directory).with_context(named)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).with_context(named)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))
            .with_context(named)?;
        if lock.try_lock().is_err() {
            bail!("{} is in use by another data plane: give each its own --state-dir", named());
        }
        let data_plane_id = identity(&directory.join("identity")).with_context(named)?;
        Ok(Self { directory: directory.to_owned(), data_plane_id, lock })
    }
}

fn identity(path: &Path) -> std::io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_empty) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = format!("dp-{}", uuid::Uuid::from_bytes(rand::random()).simple());
    let temporary = path.with_extension("new");
    fs::write(&temporary, &id)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_serves_one_data_plane_at_a_time_and_keeps_its_identity() {
        let directory = tempfile::tempdir().unwrap();
        let first = State::open(directory.path()).unwrap();
        let id = first.data_plane_id.clone();
        assert!(State::open(directory.path()).is_err());
        drop(first);
        assert_eq!(State::open(directory.path()).unwrap().data_plane_id, id);
    }
}
