//! One story's scratch directory, and what is shown of it when the story fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// Lines of each log that a failed story shows.
const SHOWN_LINES: usize = 60;

/// The scratch directory of a story. Dropped before [`Story::end`], it shows the tail of every log in it.
pub struct Story {
    folder: TempDir,
    ended: bool,
}

impl Story {
    /// An empty directory. Others may pass through it, since Postgres drops to another user when the tests run as root.
    pub fn begin() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("turnpike-story-").tempdir().context("a scratch directory")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(folder.path().join("logs"))?;
        Ok(Self { folder, ended: false })
    }

    /// Where the story's files lie.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where processes log.
    pub fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Everything that was logged so far, by file name.
    pub fn logged(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut logged = Vec::new();
        for entry in fs::read_dir(self.logs())? {
            let entry = entry?;
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
            logged.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
        logged.sort();
        Ok(logged)
    }

    /// Ends the story well: no process of it may have panicked.
    pub fn end(mut self) -> anyhow::Result<()> {
        for (name, text) in self.logged()? {
            let panic = text.lines().find(|line| line.contains("panicked at"));
            ensure!(panic.is_none(), "{name} holds a panic: {}", panic.unwrap_or_default());
        }
        self.ended = true;
        Ok(())
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for (name, text) in self.logged().unwrap_or_default() {
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default();
            eprintln!("--- {name}, last {} of {} lines\n{}", tail.len(), lines.len(), tail.join("\n"));
        }
    }
}
