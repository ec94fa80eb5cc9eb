//! The files of the repository: what git tracks or would track.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    acceptance::binaries::repository()
}

/// Paths of all files that git tracks or would track, from the top. A file that is tracked and gone is left out.
pub(crate) fn files() -> anyhow::Result<Vec<PathBuf>> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .context("git must be installed: it knows which files belong to the repository")?;
    ensure!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let names = String::from_utf8(git.stdout).context("a file name that is not UTF-8")?;
    let mut files: Vec<PathBuf> = names.split_terminator('\0').map(PathBuf::from).collect();
    files.retain(|file| top().join(file).is_file());
    files.sort();
    files.dedup();
    ensure!(files.len() > 20, "only {} files: this is not the repository", files.len());
    Ok(files)
}

/// Those with this ending.
pub(crate) fn ending(extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    Ok(files()?.into_iter().filter(|file| file.extension().is_some_and(|found| found == extension)).collect())
}

/// Rust sources that people write: all but the generated ones.
pub(crate) fn sources() -> anyhow::Result<Vec<PathBuf>> {
    Ok(ending("rs")?.into_iter().filter(|file| !file.components().any(|part| part.as_os_str() == "gen")).collect())
}

/// A file's text; `None` where it is not UTF-8.
pub(crate) fn text(file: &Path) -> anyhow::Result<Option<String>> {
    let bytes = fs::read(top().join(file)).with_context(|| file.display().to_string())?;
    Ok(String::from_utf8(bytes).ok())
}

/// Fails with all of `faults`, one in a line.
pub(crate) fn none(rule: &str, faults: &[String]) -> anyhow::Result<()> {
    ensure!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
    Ok(())
}
