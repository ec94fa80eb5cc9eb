//! The log of a base: the deltas since, one sealed record each, in order. Where one base ends its log and the next begins, the
//! logs follow each other: an older base and the logs after it lead to the same state as the newer base does.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::Path;

use prost::Message;
use proto::v1 as pb;

use super::super::Version;
use super::Durability;
use super::record::{self, ReadError};
use crate::seal::Seal;

/// A log that is being gone on with.
pub(super) struct Log {
    file: File,
    name: String,
    /// What base and log amount to.
    pub(super) version: Version,
    records: u64,
    bytes: u64,
}

/// Where a log was read to.
pub(super) struct End {
    name: String,
    pub(super) version: Version,
    records: u64,
    bytes: u64,
}

impl Log {
    /// Begins the log of a base at `version`.
    pub(super) fn create(directory: &Path, version: Version) -> io::Result<Self> {
        let name = name(version);
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(directory.join(&name))?;
        file.sync_all()?;
        Ok(Self { file, name, version, records: 0, bytes: 0 })
    }

    /// Goes on where reading ended; a torn tail is cut off, for it would hide what follows it.
    pub(super) fn go_on(directory: &Path, end: End) -> io::Result<Self> {
        let End { name, version, records, bytes } = end;
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(&name))?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Self { file, name, version, records, bytes })
    }

    pub(super) fn append(&mut self, seal: &Seal, delta: &pb::Delta, durability: Durability) -> io::Result<()> {
        self.bytes += record::write(&mut self.file, seal, &self.name, self.records, &delta.encode_to_vec())?;
        if durability == Durability::Now {
            self.file.sync_data()?;
        }
        self.version.revision = delta.to;
        self.records += 1;
        Ok(())
    }

    pub(super) fn is_long(&self) -> bool {
        self.records >= 10_000 || self.bytes >= 64 << 20
    }
}

/// Reads all that was logged since a base at `version`, over as many logs as follow each other. A torn tail is what a crash
/// leaves; damage before it is an error: what follows may be a revocation.
pub(super) fn replay(
    directory: &Path,
    seal: &Seal,
    version: Version,
    mut take: impl FnMut(pb::Delta),
) -> Result<End, ReadError> {
    let mut end = End { name: name(version), version, records: 0, bytes: 0 };
    loop {
        let more = replay_one(directory, seal, &mut end, &mut take)?;
        let next = name(end.version);
        if !more || next == end.name || !directory.join(&next).exists() {
            return Ok(end);
        }
        end = End { name: next, version: end.version, records: 0, bytes: 0 };
    }
}

/// Reads one log; says whether it ends well and held anything.
fn replay_one(
    directory: &Path,
    seal: &Seal,
    end: &mut End,
    take: &mut impl FnMut(pb::Delta),
) -> Result<bool, ReadError> {
    let mut file = match File::open(directory.join(&end.name)) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    loop {
        let position = end.records;
        let record = match record::read(&mut file, seal, &end.name, position) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(position > 0),
            Err(ReadError::Truncated) => {
                tracing::warn!(log = end.name, "the snapshot's log ends in a torn record");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let delta = pb::Delta::decode(record.as_slice()).map_err(|_broken| ReadError::Damaged(position))?;
        if !follows(end.version, &delta) {
            return Err(ReadError::Damaged(position));
        }
        end.version.revision = delta.to;
        end.records += 1;
        end.bytes = file.stream_position()?;
        take(delta);
    }
}

/// Whether `delta` begins at `version`.
pub(crate) fn follows(version: Version, delta: &pb::Delta) -> bool {
    delta.epoch.as_ref() == version.epoch && delta.from == version.revision && delta.to >= delta.from
}

/// The log that begins at `version`.
pub(super) fn name(version: Version) -> String {
    format!("{}-{}.log", hex::encode(version.epoch), version.revision)
}

/// Where the log of this name begins; `None` is no log.
pub(super) fn beginning(name: &str) -> Option<Version> {
    let (epoch, revision) = name.strip_suffix(".log")?.split_once('-')?;
    let mut bytes = [0; 16];
    hex::decode_to_slice(epoch, &mut bytes).ok()?;
    Some(Version { epoch: bytes, revision: revision.parse().ok()? })
}
