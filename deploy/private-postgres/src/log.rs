//! What the server says: the last lines for errors of ours, and a file of bounded size for whoever investigates.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::patience::wait_for;

/// How many lines an error of ours quotes.
const QUOTED_LINES: usize = 20;
/// The longest line kept in one piece.
const LONGEST_LINE_BYTES: u64 = 8 * 1024;
/// The size at which the file is set aside; one predecessor is kept.
const LARGEST_FILE_BYTES: u64 = 1024 * 1024;
/// How long to wait for the end of the output of a server that has ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// Reads the server's error output until it ends.
#[derive(Debug)]
pub(crate) struct Log {
    tail: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    /// Reads `output` on a thread of its own, and appends it to `file`.
    pub(crate) fn follow(output: impl Read + Send + 'static, file: PathBuf) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(QUOTED_LINES)));
        let kept = Arc::clone(&tail);
        let mut file = BoundedFile::open(file)?;
        let reader = thread::Builder::new().name("postgres-log".to_owned()).spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(line) = next_line(&mut output) {
                file.append(&line);
                let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == QUOTED_LINES {
                    tail.pop_front();
                }
                tail.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        })?;
        Ok(Self { tail, reader })
    }

    /// The last lines so far.
    pub(crate) fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The last lines of a server that has ended.
    pub(crate) fn finish(self) -> String {
        // Orphans of a killed server may hold the pipe open for as long as their statement runs; they have said enough.
        wait_for(LAST_WORDS_LIMIT, || self.reader.is_finished().then_some(()));
        self.tail()
    }
}

fn next_line(output: &mut BufReader<impl Read>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = output.take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line).ok()?;
    (read > 0).then_some(line)
}

/// A file that is set aside when it has grown to its limit.
struct BoundedFile {
    path: PathBuf,
    file: File,
    written_bytes: u64,
}

impl BoundedFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append_to(&path)?;
        let written_bytes = file.metadata()?.len();
        Ok(Self { path, file, written_bytes })
    }

    /// Writes what it can: a full disk must not stop the reading, on which the server's progress depends.
    fn append(&mut self, line: &[u8]) {
        if self.written_bytes >= LARGEST_FILE_BYTES {
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
            if let Ok(file) = append_to(&self.path) {
                self.file = file;
                self.written_bytes = 0;
            }
        }
        if self.file.write_all(line).is_ok() {
            self.written_bytes += line.len() as u64;
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_all_of_them_are_filed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        let said: String = (0..50).map(|number| format!("line {number}\n")).collect();
        let log = Log::follow(io::Cursor::new(said.clone()), path.clone()).unwrap();
        let tail = log.finish();
        assert_eq!(tail.lines().count(), QUOTED_LINES);
        assert!(tail.starts_with("line 30\n") && tail.ends_with("line 49"), "{tail}");
        assert_eq!(fs::read_to_string(path).unwrap(), said);
    }

    #[test]
    fn the_file_never_outgrows_its_bound_by_more_than_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres.log");
        let said = "x".repeat(3 * usize::try_from(LARGEST_FILE_BYTES).unwrap());
        Log::follow(io::Cursor::new(said), path.clone()).unwrap().finish();
        for file in [path.clone(), path.with_extension("log.1")] {
            let size = fs::metadata(&file).unwrap().len();
            assert!(size <= LARGEST_FILE_BYTES + LONGEST_LINE_BYTES, "{file:?} has {size} bytes");
        }
    }
}
