//! The mark: how far the disk copy must reach to be served from.
//!
//! A log that was cut off at a record, or a file that was put back, looks whole. The mark, a file of its own, holds what was last
//! said to be durable: what reaches less far lacks changes, maybe a revocation, and is not served from. A few bytes in one
//! sector, written in place and synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::Version;
use super::record;
use crate::seal::Seal;

const FILE: &str = "mark";

/// What a copy must reach: any one of these, which are of different epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(Vec<Version>);

impl Mark {
    /// The mark of a directory; `None` where there is none that opens.
    pub(super) fn read(directory: &Path, seal: &Seal) -> Option<Self> {
        let mut file = File::open(directory.join(FILE)).ok()?;
        let plain = record::read(&mut file, seal, FILE, 0).ok()??;
        let versions = plain.chunks_exact(24).filter_map(|bytes| {
            let (epoch, revision) = bytes.split_at_checked(16)?;
            Some(Version { epoch: epoch.try_into().ok()?, revision: u64::from_le_bytes(revision.try_into().ok()?) })
        });
        Some(Self(versions.collect()))
    }

    /// Whether a copy at `version` lacks nothing that was durable.
    pub(super) fn is_reached_by(&self, version: Version) -> bool {
        self.0.iter().any(|mark| mark.epoch == version.epoch && mark.revision <= version.revision)
    }

    /// The mark while a base of `next` is being put in place: until then it is as it was.
    pub(super) fn or(before: Option<Self>, next: Version) -> Self {
        let mut versions = before.map(|Self(versions)| versions).unwrap_or_default();
        if !versions.iter().any(|version| version.epoch == next.epoch) {
            versions.truncate(1);
            versions.push(next);
        }
        Self(versions)
    }

    /// From now on nothing before `version` is enough.
    pub(super) fn at(version: Version) -> Self {
        Self(vec![version])
    }

    /// Returns when it has reached the disk.
    pub(super) fn write(&self, directory: &Path, seal: &Seal) -> io::Result<()> {
        let mut plain = Vec::new();
        for version in &self.0 {
            plain.extend_from_slice(&version.epoch);
            plain.extend_from_slice(&version.revision.to_le_bytes());
        }
        let mut framed = Vec::new();
        record::write(&mut framed, seal, FILE, 0, &plain)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(FILE))?;
        file.write_all_at(&framed, 0)?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(epoch: u8, revision: u64) -> Version {
        Version { epoch: [epoch; 16], revision }
    }

    #[test]
    fn a_mark_is_reached_in_its_own_epoch_and_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let seal = Seal::from_secret(b"0123456789abcdef");
        assert_eq!(Mark::read(directory.path(), &seal), None);
        let old = Mark::at(version(1, 7));
        assert!(
            old.is_reached_by(version(1, 7)) && !old.is_reached_by(version(1, 6)) && !old.is_reached_by(version(2, 9))
        );

        let between = Mark::or(Some(old), version(2, 3));
        assert!(between.is_reached_by(version(1, 7)) && between.is_reached_by(version(2, 3)));
        assert!(!between.is_reached_by(version(1, 6)) && !between.is_reached_by(version(2, 2)));
        between.write(directory.path(), &seal).unwrap();
        assert_eq!(Mark::read(directory.path(), &seal), Some(between));
        Mark::at(version(2, 3)).write(directory.path(), &seal).unwrap();
        assert_eq!(Mark::read(directory.path(), &seal), Some(Mark::at(version(2, 3))), "a shorter one over a longer");
    }
}
