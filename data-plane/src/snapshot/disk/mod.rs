//! The last good snapshot on disk, sealed, so that a data plane restarts while its control plane is away.
//!
//! A base file holds all resources at one revision, in two generations; a log beside it holds the deltas
//! since, in order. Loading takes the newest base that opens and applies what of its log opens. A damaged
//! file is put aside, never fatal: the older generation serves, or the control plane is waited for.
//!
//! Records are sealed one by one (XChaCha20-Poly1305); the place of a record is part of what is sealed, so
//! that records cannot be moved between files or reordered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use proto::v1 as pb;

use super::decode::Changes;
use super::{Snapshot, Version};
use crate::seal::Seal;

const MAGIC: &[u8; 8] = b"tpsnap1\n";
/// A record of a base holds at most this many resources.
const RESOURCES_PER_RECORD: usize = 1_000;
/// A sealed record longer than this is damage.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a snapshot file")]
    Foreign,
    #[error("record {0} is damaged, or sealed with another key")]
    Damaged(u64),
    #[error("it ends before its last record")]
    Truncated,
}

/// The state directory's part that keeps snapshots.
pub(crate) struct Disk {
    directory: PathBuf,
    seal: Seal,
    /// Open while disk and memory hold the same; gone once a write failed, until a new base is written.
    log: Option<Log>,
}

struct Log {
    file: File,
    name: String,
    /// What base and log amount to.
    version: Version,
    records: u64,
    bytes: u64,
}

/// The resources behind a snapshot as they came. They live in memory only while a base is read or written.
#[derive(Default)]
pub(crate) struct Resources(std::collections::BTreeMap<(i32, String), pb::Resource>);

impl Resources {
    pub(crate) fn put(&mut self, resource: pb::Resource) {
        if let Some(id) = id_of(&resource) {
            self.0.insert(id, resource);
        }
    }

    pub(crate) fn remove(&mut self, id: &pb::ResourceId) {
        self.0.remove(&(id.kind, id.id.clone()));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn id_of(resource: &pb::Resource) -> Option<(i32, String)> {
    Some(match resource.body.as_ref()? {
        pb::resource::Body::Key(key) => (pb::Kind::Key.into(), hex::encode(&key.hash)),
        pb::resource::Body::Team(team) => (pb::Kind::Team.into(), team.team_id.clone()),
        pb::resource::Body::User(user) => (pb::Kind::User.into(), user.user_id.clone()),
        pb::resource::Body::Deployment(deployment) => (pb::Kind::Deployment.into(), deployment.id.clone()),
        pb::resource::Body::Settings(_) => (pb::Kind::Settings.into(), "settings".to_owned()),
    })
}

/// What a base and its log amount to.
struct Generation {
    version: Version,
    resources: Resources,
    /// The log that was read last: its name, how many records it holds, and where they end.
    log: (String, u64, u64),
}

impl Disk {
    pub(crate) fn open(directory: PathBuf, seal: Seal) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory, seal, log: None })
    }

    /// The newest snapshot that opens; `None` where there is none. What is damaged is renamed and reported. The log
    /// goes on where it ended.
    pub(crate) fn load(&mut self) -> Option<Snapshot> {
        let generation = self.newest()?;
        match self.reopen_log(&generation) {
            Ok(log) => self.log = Some(log),
            Err(error) => tracing::warn!(%error, "the snapshot's log cannot be gone on with"),
        }
        let mut changes = Changes::new();
        generation.resources.0.into_values().for_each(|resource| changes.put(resource));
        Some(changes.apply(&Snapshot::empty(generation.version), generation.version))
    }

    fn reopen_log(&self, generation: &Generation) -> io::Result<Log> {
        let (name, records, bytes) = generation.log.clone();
        let file = OpenOptions::new().create(true).append(true).open(self.directory.join(&name))?;
        file.set_len(bytes)?; // a torn tail would hide what follows it
        Ok(Log { file, name, version: generation.version, records, bytes })
    }

    /// Writes base and log as one new base. Call it when [`Disk::wants_base`].
    pub(crate) fn compact(&mut self) -> io::Result<()> {
        let Some(generation) = self.newest() else { return Err(io::Error::other("there is no base to compact")) };
        self.write_base(generation.version, &generation.resources)
    }

    fn newest(&self) -> Option<Generation> {
        for name in ["current", "previous"] {
            let path = self.directory.join(format!("{name}.base"));
            match self.read_generation(&path) {
                Ok(Some(generation)) => return Some(generation),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "the disk copy of the snapshot is put aside");
                    let aside = path.with_extension("damaged");
                    if let Err(error) = fs::rename(&path, &aside) {
                        tracing::warn!(file = %path.display(), %error, "it could not be renamed");
                    }
                }
            }
        }
        None
    }

    /// Writes a new base generation and begins its log. The one before becomes `previous`.
    pub(crate) fn write_base(&mut self, version: Version, resources: &Resources) -> io::Result<()> {
        self.log = None;
        let name = log_name(version);
        let temporary = self.directory.join("next.base");
        let mut file = io::BufWriter::new(File::create(&temporary)?);
        file.write_all(MAGIC)?;
        let header = pb::SnapshotBegin {
            version: Some(version.to_message()),
            resources: resources.len() as u64,
            uncompressed_bytes: 0,
        };
        self.write_record(&mut file, "base", 0, &header.encode_to_vec())?;
        let mut position = 1;
        let mut batch = pb::ResourceBatch::default();
        for resource in resources.0.values() {
            batch.resources.push(resource.clone());
            if batch.resources.len() == RESOURCES_PER_RECORD {
                self.write_record(&mut file, "base", position, &batch.encode_to_vec())?;
                position += 1;
                batch.resources.clear();
            }
        }
        if !batch.resources.is_empty() {
            self.write_record(&mut file, "base", position, &batch.encode_to_vec())?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;

        let log = OpenOptions::new().create(true).write(true).truncate(true).open(self.directory.join(&name))?;
        log.sync_all()?;
        let current = self.directory.join("current.base");
        if current.exists() {
            fs::rename(&current, self.directory.join("previous.base"))?;
        }
        fs::rename(&temporary, &current)?;
        self.sync_directory()?;
        self.log = Some(Log { file: log, name, version, records: 0, bytes: 0 });
        self.drop_old_logs();
        Ok(())
    }

    /// Appends a delta to the log of the current base; `Durability::Now` returns after it reached the disk. After a
    /// failure the disk is behind, and nothing more is appended until a whole snapshot is written.
    pub(crate) fn append(&mut self, delta: &pb::Delta, durability: Durability) -> io::Result<()> {
        let behind = || io::Error::other("the disk copy is behind: it waits for a whole snapshot");
        let mut log = self.log.take().ok_or_else(behind)?;
        if !follows(log.version, delta) {
            return Err(behind());
        }
        let sealed = self.seal.seal(&place(&log.name, log.records), &delta.encode_to_vec());
        write_framed(&mut log.file, &sealed)?;
        if durability == Durability::Now {
            log.file.sync_data()?;
        }
        log.version.revision = delta.to;
        log.records += 1;
        log.bytes += sealed.len() as u64 + 4;
        self.log = Some(log);
        Ok(())
    }

    /// Whether a write failed, so that only a whole snapshot can bring the disk up to date.
    pub(crate) fn is_behind(&self) -> bool {
        self.log.is_none()
    }

    /// Whether the log has grown so long that a new base is due.
    pub(crate) fn wants_base(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.records >= 10_000 || log.bytes >= 64 << 20)
    }

    fn read_generation(&self, path: &Path) -> Result<Option<Generation>, ReadError> {
        let mut file = match File::open(path) {
            Ok(file) => io::BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(|_short| ReadError::Foreign)?;
        if &magic != MAGIC {
            return Err(ReadError::Foreign);
        }
        let header = self.read_record(&mut file, "base", 0)?.ok_or(ReadError::Truncated)?;
        let header = pb::SnapshotBegin::decode(header.as_slice()).map_err(|_broken| ReadError::Damaged(0))?;
        let version = Version::from_message(header.version.as_ref()).ok_or(ReadError::Damaged(0))?;

        let mut resources = Resources::default();
        let mut position = 1;
        while let Some(record) = self.read_record(&mut file, "base", position)? {
            let batch = pb::ResourceBatch::decode(record.as_slice()).map_err(|_broken| ReadError::Damaged(position))?;
            batch.resources.into_iter().for_each(|resource| resources.put(resource));
            position += 1;
        }
        if resources.len() as u64 != header.resources {
            return Err(ReadError::Truncated);
        }
        let mut generation = Generation { version, resources, log: (log_name(version), 0, 0) };
        // Where a base is damaged, the one before it and its log lead to where the next log begins.
        while self.replay_log(&mut generation)? {
            generation.log = (log_name(generation.version), 0, 0);
        }
        Ok(Some(generation))
    }

    /// Applies a log as far as it opens; a torn tail is what a crash leaves. Damage before the tail is an error: what
    /// follows it may be a revocation. Says whether another log goes on from here.
    fn replay_log(&self, generation: &mut Generation) -> Result<bool, ReadError> {
        let (name, _, _) = generation.log.clone();
        let bytes = match fs::read(self.directory.join(&name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut rest = bytes.as_slice();
        let mut position = 0;
        loop {
            let at = bytes.len() - rest.len();
            generation.log = (name.clone(), position, at as u64);
            let delta = match self.read_record(&mut rest, &name, position) {
                Ok(Some(record)) => {
                    pb::Delta::decode(record.as_slice()).map_err(|_broken| ReadError::Damaged(position))
                }
                Ok(None) => break,
                Err(ReadError::Truncated) => {
                    tracing::warn!(log = name, "the snapshot's log ends in a torn record");
                    return Ok(false);
                }
                Err(error) => Err(error),
            };
            match delta {
                Ok(delta) if follows(generation.version, &delta) => generation.apply(delta),
                Ok(_) => return Err(ReadError::Damaged(position)),
                Err(error) => return Err(error),
            }
            position += 1;
        }
        let next = log_name(generation.version);
        Ok(position > 0 && next != name && self.directory.join(next).exists())
    }

    fn write_record(&self, file: &mut impl Write, file_name: &str, position: u64, plain: &[u8]) -> io::Result<()> {
        write_framed(file, &self.seal.seal(&place(file_name, position), plain))
    }

    fn read_record(&self, file: &mut impl Read, name: &str, position: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let mut length = [0; 4];
        match read_fully(file, &mut length)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(ReadError::Truncated),
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_RECORD_BYTES {
            return Err(ReadError::Damaged(position));
        }
        let mut sealed = Vec::new();
        file.take(length as u64).read_to_end(&mut sealed)?;
        if sealed.len() != length {
            return Err(ReadError::Truncated);
        }
        self.seal.open(&place(name, position), &sealed).map(Some).map_err(|_closed| ReadError::Damaged(position))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Logs of bases that are gone are of no use. Failing to remove one costs disk, nothing else.
    fn drop_old_logs(&self) {
        let kept: Vec<String> = ["current", "previous"]
            .iter()
            .filter_map(|generation| self.version_of(&self.directory.join(format!("{generation}.base"))))
            .map(log_name)
            .collect();
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".log") && !kept.contains(&name) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    fn version_of(&self, path: &Path) -> Option<Version> {
        let mut file = io::BufReader::new(File::open(path).ok()?);
        let mut magic = [0; 8];
        file.read_exact(&mut magic).ok()?;
        let header = self.read_record(&mut file, "base", 0).ok()??;
        Version::from_message(pb::SnapshotBegin::decode(header.as_slice()).ok()?.version.as_ref())
    }
}

/// When a delta must have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it is acknowledged: it takes rights away.
    Now,
    /// With the next one that matters.
    Soon,
}

/// Whether `delta` begins at `version`.
pub(crate) fn follows(version: Version, delta: &pb::Delta) -> bool {
    delta.epoch.as_ref() == version.epoch && delta.from == version.revision && delta.to >= delta.from
}

impl Generation {
    fn apply(&mut self, delta: pb::Delta) {
        self.version.revision = delta.to;
        delta.removals.iter().for_each(|id| self.resources.remove(id));
        delta.upserts.into_iter().for_each(|resource| self.resources.put(resource));
    }
}

fn log_name(version: Version) -> String {
    format!("{}-{}.log", hex::encode(version.epoch), version.revision)
}

fn place(file: &str, position: u64) -> String {
    format!("snapshot|{file}|{position}")
}

fn write_framed(file: &mut impl Write, sealed: &[u8]) -> io::Result<()> {
    let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(sealed.len() + 4);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(sealed);
    file.write_all(&framed)
}

fn read_fully(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
