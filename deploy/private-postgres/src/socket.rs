//! The directory of the Unix socket, and the URL that leads there.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::ROLE;
use crate::account::Account;
use crate::entropy::random_id;
use crate::error::StartError;
use crate::place::{Place, make_private};

/// Only names the socket file: nothing listens on this port.
pub(crate) const PORT: u16 = 5432;

/// The longest path of a socket, in bytes. The kernels' own limits are 107 (Linux) and 103 (macOS, BSD).
const LONGEST_SOCKET: usize = 100;

/// A directory that only the server's user (and root) can enter.
#[derive(Debug)]
pub(crate) struct SocketDir {
    pub(crate) path: PathBuf,
    /// Outside of the place, because paths there are too long: removed when the server has stopped.
    borrowed: bool,
}

impl SocketDir {
    /// Makes the directory for `place`; the same one each time, so that URLs stay valid across restarts.
    pub(crate) fn prepare(place: &Place) -> Result<Self, StartError> {
        let inside = place.root.join("run");
        let dir = if fits(&inside) {
            make_private(&inside, &place.account)
                .map_err(|source| StartError::DataDir { path: inside.clone(), source })?;
            Self { path: inside, borrowed: false }
        } else {
            Self { path: borrow_short(place)?, borrowed: true }
        };
        dir.sweep();
        Ok(dir)
    }

    /// Where `database` is to be found.
    pub(crate) fn url(&self, database: &str) -> String {
        url(&self.path, database)
    }

    /// Removes the sockets of a killed server, which would keep the next one from starting where process ids repeat.
    fn sweep(&self) {
        for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
            // What cannot be removed is named by the server when it fails on it.
            let _ = fs::remove_file(self.path.join(name));
        }
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.borrowed {
            // Still in use, or gone: both are fine.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn fits(dir: &Path) -> bool {
    dir.to_str().is_some_and(|dir| dir.len() + format!("/.s.PGSQL.{PORT}").len() <= LONGEST_SOCKET)
}

/// Where our database is to be found on the server that somebody runs on the cluster in `data_dir`; nothing where there is no
/// socket of one.
pub(crate) fn url_of_running(data_dir: &Path) -> Option<String> {
    let line = |path: PathBuf| fs::read_to_string(path).ok().map(|text| PathBuf::from(text.trim_end_matches('\n')));
    let data_dir = data_dir.canonicalize().ok()?;
    let root = line(data_dir.join("lies-in")).unwrap_or(data_dir);
    let inside = root.join("run");
    let dir = if fits(&inside) { inside } else { line(root.join("socket-lies-in"))? };
    dir.join(format!(".s.PGSQL.{PORT}")).exists().then(|| url(&dir, ROLE))
}

/// Every part is spelt out, so that no `PG…` variable changes its meaning.
fn url(dir: &Path, database: &str) -> String {
    let host = percent_encode(&dir.to_string_lossy());
    let database = percent_encode(database);
    format!("postgres://{ROLE}@localhost:{PORT}/{database}?host={host}&sslmode=disable")
}

/// A short directory in the system's place for such things, remembered in the cluster's place.
fn borrow_short(place: &Place) -> Result<PathBuf, StartError> {
    let note = place.root.join("socket-lies-in");
    if let Ok(text) = fs::read_to_string(&note) {
        let noted = PathBuf::from(text.trim_end_matches('\n'));
        if take(&noted, &place.account).is_ok() {
            return Ok(noted);
        }
    }
    let id = random_id().map_err(|source| StartError::DataDir { path: note, source })?;
    let mut refused = None;
    for parent in short_parents() {
        let dir = parent.join(format!("turnpike-{id}"));
        match take(&dir, &place.account) {
            Ok(()) if place.account.can_enter(&dir).unwrap_or(false) => {
                place.write("socket-lies-in", &format!("{}\n", dir.display()))?;
                return Ok(dir);
            }
            // A runtime directory that the server's user cannot reach.
            Ok(()) => drop(fs::remove_dir(&dir)),
            Err(error) => refused = Some((dir, error)),
        }
    }
    let (path, source) = refused.unwrap_or_else(|| (PathBuf::from("/tmp"), io::ErrorKind::NotFound.into()));
    Err(StartError::DataDir { path, source })
}

fn short_parents() -> Vec<PathBuf> {
    let mut parents = Vec::new();
    if geteuid().is_root() {
        parents.push(PathBuf::from("/run"));
    } else {
        parents.extend(env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
    }
    parents.push(PathBuf::from("/tmp"));
    parents.retain(|parent| fits(&parent.join("turnpike-0123456789abcdef")));
    parents
}

/// Makes `dir`, or takes it where it is a real directory of the server's user that nobody else can enter: in `/tmp`
/// anybody may have put anything there before us.
fn take(dir: &Path, account: &Account) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => std::os::unix::fs::chown(dir, Some(account.uid.as_raw()), Some(account.gid.as_raw())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(dir)?;
            let ours = found.is_dir() && found.uid() == account.uid.as_raw() && found.mode() & 0o077 == 0;
            if ours { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Encodes all but what is safe anywhere in a URL (RFC 3986, unreserved) and `/`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_blanks_plus_signs_and_letters_outside_ascii() {
        let dir = SocketDir { path: PathBuf::from("/a b/c+ü&"), borrowed: false };
        assert_eq!(
            dir.url("x?y"),
            "postgres://turnpike@localhost:5432/x%3Fy?host=/a%20b/c%2B%C3%BC%26&sslmode=disable"
        );
    }

    #[test]
    fn a_foreign_directory_of_the_right_name_is_not_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let account = Account::ours().unwrap();
        let open = scratch.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(take(&open, &account).is_err(), "others can enter it");

        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert!(take(&link, &account).is_err(), "it leads elsewhere");

        let good = scratch.path().join("good");
        take(&good, &account).unwrap();
        take(&good, &account).unwrap();
    }

    #[test]
    fn a_socket_path_beyond_the_kernels_limit_is_noticed() {
        assert!(fits(Path::new("/srv/turnpike/postgres/run")));
        assert!(!fits(&Path::new("/srv").join("x".repeat(90))));
    }
}
