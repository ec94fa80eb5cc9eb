//! Where the server's own programs are, and which version they are.
//!
//! Looked for in `PG_BINDIR`, then where `pg_config --bindir` says, in the folders that packages use, and in `PATH`.
//! Whether a version fits an existing cluster is for `cluster` to say.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version that runs our schema, and the oldest whose `initdb` knows all options used here.
pub const OLDEST_MAJOR: u32 = 14;

/// Folders that hold one folder per installed version, and the way from there to the programs.
const PACKAGED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // PGDG packages for Red Hat and its kin
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
];

/// A folder with `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    dir: PathBuf,
    version: String,
    major: u32,
}

/// Why no server was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(
        "PG_BINDIR is {dir:?}, and there is no working `initdb` and `postgres` of version 14 or newer there; correct it, or unset it to have the server searched for"
    )]
    BadSetting { dir: PathBuf },

    #[error(
        "no Postgres server of version 14 or newer on this machine{}; install one (Debian, Ubuntu: `apt-get install postgresql`; \
         Fedora: `dnf install postgresql-server`; Alpine: `apk add postgresql`; macOS: `brew install postgresql@17`), point \
         PG_BINDIR at the folder of `initdb`, or give a DATABASE_URL", too_old(.0)
    )]
    None(Vec<String>),
}

impl ServerBinaries {
    /// The server to make new clusters with: the first found, and of a packager's several the newest.
    ///
    /// # Errors
    /// [`FindError`] where there is none of [`OLDEST_MAJOR`] or newer.
    pub fn find() -> Result<Self, FindError> {
        Ok(Self::all()?.swap_remove(0))
    }

    /// Every server found, best first; at least one.
    pub(crate) fn all() -> Result<Vec<Self>, FindError> {
        search(env::var_os("PG_BINDIR").as_deref(), env::var_os("PATH").as_deref())
    }

    /// The folder of the programs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The version as the server prints it, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, on which the format of a cluster depends.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The program `name` in this folder.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `psql`, from this folder or else from `PATH`: some packagers split client and server.
    pub fn psql(&self) -> Option<PathBuf> {
        let beside = self.program("psql");
        if beside.is_file() {
            return Some(beside);
        }
        env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("psql")).find(|program| program.is_file())
    }

    fn in_dir(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (version, major) = parse_version(&text)?;
        Some(Self { dir: dir.to_owned(), version, major })
    }
}

fn search(setting: Option<&OsStr>, path: Option<&OsStr>) -> Result<Vec<ServerBinaries>, FindError> {
    if let Some(dir) = setting.filter(|dir| !dir.is_empty()) {
        let dir = PathBuf::from(dir);
        return match ServerBinaries::in_dir(&dir) {
            Some(found) if found.major >= OLDEST_MAJOR => Ok(vec![found]),
            Some(_) | None => Err(FindError::BadSetting { dir }),
        };
    }
    let path_dirs: Vec<PathBuf> = path.map(|path| env::split_paths(path).collect()).unwrap_or_default();
    let mut found: Vec<ServerBinaries> = Vec::new();
    for dir in pg_config_dir(&path_dirs).into_iter().chain(packaged_dirs()).chain(path_dirs) {
        if found.iter().all(|known| known.dir != dir) {
            found.extend(ServerBinaries::in_dir(&dir));
        }
    }
    let (usable, old): (Vec<_>, Vec<_>) = found.into_iter().partition(|server| server.major >= OLDEST_MAJOR);
    if usable.is_empty() {
        return Err(FindError::None(old.into_iter().map(|server| server.version).collect()));
    }
    Ok(usable)
}

/// What `pg_config` of `PATH` says; it is often installed without a server, which `in_dir` then notices.
fn pg_config_dir(path_dirs: &[PathBuf]) -> Option<PathBuf> {
    let program = path_dirs.iter().map(|dir| dir.join("pg_config")).find(|program| program.is_file())?;
    let output = Command::new(program).arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|dir| dir.is_absolute())
}

/// The folders that packages use, newest version first within each packager.
fn packaged_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for (parent, prefix, rest) in PACKAGED {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let major = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((major, entry.path().join(rest)))
            })
            .collect();
        versions.sort_by(|left, right| right.cmp(left));
        dirs.extend(versions.into_iter().map(|(_, dir)| dir));
    }
    dirs
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` and `postgres (PostgreSQL) 19beta1`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let version = text.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((version.to_owned(), digits.parse().ok()?))
}

fn too_old(versions: &[String]) -> String {
    if versions.is_empty() { String::new() } else { format!(" (only {})", versions.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A folder whose `postgres` says that it is `version`.
    fn pretended(version: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for program in ["initdb", "postgres"] {
            let path = dir.path().join(program);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    #[test]
    fn versions_are_read_as_packagers_print_them() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(("15.18".into(), 15)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some(("19beta1".into(), 19)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn the_setting_is_taken_alone_and_believed_only_when_it_works() {
        let dir = pretended("16.1");
        let found = search(Some(dir.path().as_os_str()), None).unwrap();
        assert_eq!(found.iter().map(ServerBinaries::dir).collect::<Vec<_>>(), [dir.path()]);

        let old = pretended("13.2");
        let empty = tempfile::tempdir().unwrap();
        for wrong in [old.path(), empty.path()] {
            let error = search(Some(wrong.as_os_str()), env::var_os("PATH").as_deref()).unwrap_err();
            assert!(error.to_string().contains("PG_BINDIR"), "{error}");
        }
    }

    #[test]
    fn a_server_in_path_is_found_and_one_that_is_too_old_is_passed_over() {
        let (good, old) = (pretended("98.1"), pretended("13.2"));
        let path = env::join_paths([old.path(), good.path()]).unwrap();
        let found = search(None, Some(&path)).unwrap();
        assert!(found.iter().any(|server| server.dir() == good.path() && server.major() == 98));
        assert!(found.iter().all(|server| server.major() >= OLDEST_MAJOR));
    }

    #[test]
    fn what_pg_config_names_comes_before_what_lies_in_path() {
        let (named, in_path) = (pretended("97.1"), pretended("98.1"));
        let script = format!("#!/bin/sh\necho '{}'\n", named.path().display());
        let pg_config = in_path.path().join("pg_config");
        fs::write(&pg_config, script).unwrap();
        fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
        let found = search(None, Some(in_path.path().as_os_str())).unwrap();
        assert_eq!(found.first().unwrap().dir(), named.path());
    }

    #[test]
    fn an_error_names_the_versions_that_are_too_old() {
        assert!(FindError::None(vec!["12.4".into()]).to_string().contains("(only 12.4)"));
    }
}
