//! Where a cluster lies, and the lock that keeps it to one process.
//!
//! ```text
//! <data dir>/lock          held while a process uses the directory
//! <data dir>/lies-in       only where the cluster is elsewhere: the path of that place
//! <place>/cluster/         what initdb makes; its owner runs the server
//! <place>/run/             the socket, where the path is short enough
//! <place>/access.hba.conf, access.ident.conf, postgres.log
//! ```
//!
//! The place belongs to the user of this process, the cluster to the one who runs the server, so that a root process
//! never writes into a directory that another user controls.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::Uid;

use crate::account::Account;
use crate::entropy::random_id;
use crate::error::StartError;
use crate::{Durability, Options};

/// Where clusters lie whose data directory the server's user cannot enter.
const ELSEWHERE: &str = "/var/lib/turnpike";

/// A directory that is ours while this lives.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory of the cluster, and of all that belongs to it.
    pub(crate) root: PathBuf,
    /// Who owns the cluster and runs its server.
    pub(crate) account: Account,
    /// Who we are.
    pub(crate) ours: Account,
    /// The data directory that was asked for; the same as `root` in most cases.
    pub(crate) data_dir: PathBuf,
    _locks: Vec<Lock>,
}

impl Place {
    /// Makes or finds the place for `options`, and locks it.
    pub(crate) fn claim(options: &Options) -> Result<Self, StartError> {
        let ours = Account::ours()?;
        let data_dir = make_data_dir(&options.data_dir, &ours)?;
        let mut locks = vec![lock(&data_dir)?];

        let root = read_note(&data_dir)?.unwrap_or_else(|| data_dir.clone());
        let cluster = root.join("cluster");
        let (root, account) = match owner(&cluster)? {
            Some(owner) => {
                let account = account_of_cluster(&cluster, owner, &ours)?;
                if !enters(&account, &root)? {
                    return Err(StartError::Closed { cluster, user: account.name });
                }
                (root, account)
            }
            None => {
                let account = ours.clone().for_new_cluster()?;
                let open = enters(&account, &root)?;
                let root = if open { root } else { make_elsewhere(&data_dir, options.durability)? };
                (root, account)
            }
        };
        if root != data_dir {
            locks.push(lock(&root)?);
        }
        Ok(Self { root, account, ours, data_dir, _locks: locks })
    }

    /// The cluster's own directory.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// Writes a file of this place that the server reads. It never passes through a half-written state.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, StartError> {
        let path = self.root.join(name);
        replace(&path, content).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Makes a directory that the server's user owns and nobody else enters; takes one that is there.
pub(crate) fn make_private(dir: &Path, account: &Account) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::chown(dir, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn make_data_dir(path: &Path, ours: &Account) -> Result<PathBuf, StartError> {
    // A root process lets the server's user pass through, to directories of its own; there is nothing to list.
    let mode = if ours.uid.is_root() { 0o711 } else { 0o700 };
    let failed = |source| StartError::DataDir { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    fs::canonicalize(path).map_err(failed)
}

/// A lock file that is ours while this lives. The kernel gives it back when this process ends, however it ends.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread forks at this moment holds a copy of the descriptor until
        // it executes its program, and the lock lives as long as any copy does.
        let _ = self.0.unlock();
    }
}

/// Takes the lock of `dir`.
fn lock(dir: &Path) -> Result<Lock, StartError> {
    let failed = |source| StartError::DataDir { path: dir.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(failed)?;
            writeln!(file, "{}", process::id()).map_err(failed)?;
            Ok(Lock(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is a courtesy; that it is held is the message.
            let _ = file.read_to_string(&mut holder);
            Err(StartError::InUse { path: dir.to_owned(), pid: holder.trim().parse().ok() })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn read_note(data_dir: &Path) -> Result<Option<PathBuf>, StartError> {
    let path = data_dir.join("lies-in");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let place = PathBuf::from(text.trim_end_matches('\n'));
            if place.is_dir() { Ok(Some(place)) } else { Err(StartError::Lost { note: path, place }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { path, source }),
    }
}

/// Makes a place that every user can pass through, and notes it in the data directory.
fn make_elsewhere(data_dir: &Path, durability: Durability) -> Result<PathBuf, StartError> {
    let id = random_id().map_err(|source| StartError::DataDir { path: PathBuf::from("/dev/urandom"), source })?;
    let root = match durability {
        Durability::Full => Path::new(ELSEWHERE).join(id),
        Durability::Scratch => Path::new("/tmp").join(format!("turnpike-{id}")),
    };
    let failed = |source| StartError::DataDir { path: root.clone(), source };
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    DirBuilder::new().mode(0o711).create(&root).map_err(failed)?;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).map_err(failed)?;
    // For whoever finds this place later and wonders.
    fs::write(root.join("belongs-to"), format!("{}\n", data_dir.display())).map_err(failed)?;
    replace(&data_dir.join("lies-in"), &format!("{}\n", root.display()))
        .map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })?;
    Ok(root)
}

fn owner(cluster: &Path) -> Result<Option<Uid>, StartError> {
    match fs::symlink_metadata(cluster) {
        Ok(metadata) => Ok(Some(Uid::from_raw(metadata.uid()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { path: cluster.to_owned(), source }),
    }
}

fn account_of_cluster(cluster: &Path, owner: Uid, ours: &Account) -> Result<Account, StartError> {
    let not_ours = !ours.uid.is_root() && owner != ours.uid;
    if not_ours || owner.is_root() {
        return Err(StartError::NotOurs {
            cluster: cluster.to_owned(),
            owner: owner.as_raw(),
            ours: ours.name.clone(),
        });
    }
    Account::of(owner)
}

fn enters(account: &Account, dir: &Path) -> Result<bool, StartError> {
    account.can_enter(dir).map_err(|source| StartError::Run { program: PathBuf::from("/bin/sh"), source })
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, content)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644))?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_is_free_though_a_forked_child_still_holds_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let copy_of_a_child = held.0.try_clone().unwrap();
        assert!(matches!(lock(dir.path()), Err(StartError::InUse { .. })));
        drop(held);
        assert!(lock(dir.path()).is_ok());
        drop(copy_of_a_child);
    }
}
