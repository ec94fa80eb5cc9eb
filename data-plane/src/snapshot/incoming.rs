//! A whole snapshot on its way in, and whether it may replace what is in force.
//!
//! Chunks are checked, taken into the tables, and written to disk as they come. Nothing is in force before the end: a digest or a
//! count that differs asks for everything again; a snapshot that goes back, has no settings, or has lost a good part of its
//! objects without a word is refused, and what is in force stays.

use std::sync::Arc;

use proto::v1 as pb;
use sha2::{Digest, Sha256};

use super::build::{Build, Counts};
use super::disk::{Disk, Writer, unpack};
use super::{Snapshot, Version};

/// Fewer lost objects of a kind than this are nobody's alarm.
const SHRINK_COUNT: usize = 100;
/// Nor is a smaller part of them: one in so many.
const SHRINK_PART: usize = 5;
/// A snapshot that says it is larger is not begun.
const MOST_BYTES: u64 = 2 << 30;

/// A whole snapshot that is not whole yet.
pub(super) struct Incoming {
    expected: u64,
    shrink: Shrink,
    next: u32,
    digest: Sha256,
    before: Option<Arc<Snapshot>>,
    build: Build,
    written: Option<Writer>,
    /// Known from the beginning; what comes is let pass.
    refused: Option<String>,
}

/// Whether the control plane knows that there is less than there was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shrink {
    Suspicious,
    Confirmed,
}

/// A snapshot that may be put in force.
pub(super) struct Whole {
    pub(super) snapshot: Snapshot,
    pub(super) rejections: Vec<pb::Rejection>,
    pub(super) resources: u64,
    pub(super) written: Option<Writer>,
}

/// Why a snapshot is not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It was damaged on its way: once more, please.
    Damaged(String),
    /// It came as it was meant, and is not believed.
    Unbelieved { reason: String, shrinks: Vec<pb::Shrink> },
}

impl Incoming {
    /// Begins one; `None` where the control plane does not say of which version.
    pub(super) fn begin(begin: &pb::SnapshotBegin, before: Option<Arc<Snapshot>>, disk: Option<&Disk>) -> Option<Self> {
        let version = Version::from_message(begin.version.as_ref())?;
        let refused = refusal(begin, version, before.as_deref());
        let written = disk.filter(|_| refused.is_none()).and_then(|disk| match disk.begin(version) {
            Ok(written) => Some(written),
            Err(error) => {
                tracing::error!(%error, "no disk copy of this snapshot can be begun");
                None
            }
        });
        Some(Self {
            expected: begin.resources,
            shrink: if begin.confirm_shrink { Shrink::Confirmed } else { Shrink::Suspicious },
            next: 0,
            digest: Sha256::new(),
            build: Build::new(version, before.clone()),
            before,
            written,
            refused,
        })
    }

    /// Takes a chunk in. It unpacks, decodes and writes: not for a thread that must not block.
    pub(super) fn take(mut self, chunk: &pb::SnapshotChunk) -> Result<Self, Refused> {
        if self.refused.is_some() {
            return Ok(self);
        }
        let index = chunk.index;
        let damaged = |what: &dyn std::fmt::Display| Refused::Damaged(format!("chunk {index} {what}"));
        if index != self.next {
            return Err(damaged(&format_args!("came instead of {}", self.next)));
        }
        self.next += 1;
        if crc32fast::hash(&chunk.zstd) != chunk.crc32 {
            return Err(damaged(&"is damaged"));
        }
        self.digest.update(&chunk.zstd);
        let batch = unpack(&chunk.zstd).map_err(|error| damaged(&format_args!("does not unpack: {error}")))?;
        let resources = self.build.put(batch).map_err(|error| damaged(&format_args!("does not decode: {error}")))?;
        if let Some(written) = &mut self.written
            && let Err(error) = written.chunk(&chunk.zstd, resources)
        {
            // A disk that fails costs the copy, never the service.
            tracing::error!(%error, "the disk copy of this snapshot cannot be written");
            self.written = None;
        }
        Ok(self)
    }

    /// Says whether all of it came and may be put in force.
    pub(super) fn finish(self, end: &pb::SnapshotEnd) -> Result<Whole, Refused> {
        let unbelieved = |reason| Refused::Unbelieved { reason, shrinks: Vec::new() };
        if let Some(reason) = self.refused {
            return Err(unbelieved(reason));
        }
        let digest: [u8; 32] = self.digest.finalize().into();
        if digest != *end.sha256 {
            return Err(Refused::Damaged("the digest of the snapshot differs".to_owned()));
        }
        let resources = self.build.resources();
        if resources != self.expected {
            let said = self.expected;
            return Err(Refused::Damaged(format!("{resources} resources came of the {said} that were said")));
        }
        if !self.build.has_settings() {
            // Without the master key's digest, limits of models and the like: what is in force is better.
            return Err(unbelieved("the snapshot has no settings that can be used".to_owned()));
        }
        let shrinks = match (&self.before, self.shrink) {
            (Some(before), Shrink::Suspicious) => shrinks(Counts::of(before), self.build.counts()),
            (None, _) | (_, Shrink::Confirmed) => Vec::new(),
        };
        if !shrinks.is_empty() {
            return Err(Refused::Unbelieved { reason: told(&shrinks), shrinks });
        }
        let (snapshot, rejections) = self.build.finish();
        Ok(Whole { snapshot, rejections, resources, written: self.written })
    }
}

fn refusal(begin: &pb::SnapshotBegin, version: Version, before: Option<&Snapshot>) -> Option<String> {
    if begin.uncompressed_bytes > MOST_BYTES {
        let bytes = begin.uncompressed_bytes;
        return Some(format!("a snapshot of {bytes} bytes is larger than this data plane takes ({MOST_BYTES})"));
    }
    let held = before?.version;
    (held.epoch == version.epoch && held.revision > version.revision).then(|| {
        let (offered, held) = (version.revision, held.revision);
        format!(
            "revision {offered} lies before {held}, which is in force: a database that was put back needs a new epoch"
        )
    })
}

/// The kinds of which a good part would be gone.
fn shrinks(held: Counts, offered: Counts) -> Vec<pb::Shrink> {
    let kinds = [
        (pb::Kind::Key, held.keys, offered.keys),
        (pb::Kind::Team, held.teams, offered.teams),
        (pb::Kind::User, held.users, offered.users),
        (pb::Kind::Owner, held.owners, offered.owners),
        (pb::Kind::Deployment, held.deployments, offered.deployments),
    ];
    let suspicious = |held: usize, offered: usize| {
        let lost = held.saturating_sub(offered);
        lost > SHRINK_COUNT && lost > held / SHRINK_PART
    };
    kinds
        .into_iter()
        .filter(|(_, held, offered)| suspicious(*held, *offered))
        .map(|(kind, held, offered)| pb::Shrink { kind: kind.into(), held: held as u64, offered: offered as u64 })
        .collect()
}

fn told(shrinks: &[pb::Shrink]) -> String {
    let kinds: Vec<String> = shrinks
        .iter()
        .map(|shrink| {
            let kind = shrink.kind().as_str_name().trim_start_matches("KIND_").to_lowercase();
            format!("{} {kind}s instead of {}", shrink.offered, shrink.held)
        })
        .collect();
    format!(
        "the snapshot would leave {}, and the control plane does not confirm it: what is in force stays. \
         If it is meant, POST /fleet/confirm_shrink",
        kinds.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::KeyHash;

    use super::*;

    fn version(revision: u64) -> Version {
        Version { epoch: [4; 16], revision }
    }

    fn key(number: usize) -> pb::Resource {
        let hash = KeyHash::of(&format!("sk-{number}")).as_bytes().to_vec();
        let key = pb::Key { hash: hash.into(), alias: format!("key-{number}"), ..pb::Key::default() };
        pb::Resource { required_features: Vec::new(), body: Some(pb::resource::Body::Key(key)) }
    }

    fn settings() -> pb::Resource {
        let settings = pb::resource::Body::Settings(pb::Settings::default());
        pb::Resource { required_features: Vec::new(), body: Some(settings) }
    }

    /// A stream of so many keys: its beginning, its chunk and its end.
    fn stream(version: Version, keys: usize) -> (pb::SnapshotBegin, pb::SnapshotChunk, pb::SnapshotEnd) {
        let resources: Vec<_> = (0..keys).map(key).chain([settings()]).collect();
        let begin = pb::SnapshotBegin {
            version: Some(version.to_message()),
            resources: resources.len() as u64,
            ..pb::SnapshotBegin::default()
        };
        let zstd = zstd::bulk::compress(&pb::ResourceBatch { resources }.encode_to_vec(), 1).unwrap();
        let sha256 = Sha256::digest(&zstd).to_vec().into();
        let chunk = pb::SnapshotChunk { index: 0, crc32: crc32fast::hash(&zstd), zstd: zstd.into() };
        (begin, chunk, pb::SnapshotEnd { version: Some(version.to_message()), sha256 })
    }

    fn offer(before: Option<&Arc<Snapshot>>, keys: usize, at: u64, confirm_shrink: bool) -> Result<Whole, Refused> {
        let (mut begin, chunk, end) = stream(version(at), keys);
        begin.confirm_shrink = confirm_shrink;
        Incoming::begin(&begin, before.cloned(), None).unwrap().take(&chunk)?.finish(&end)
    }

    fn held(keys: usize) -> Arc<Snapshot> {
        Arc::new(offer(None, keys, 5, false).unwrap().snapshot)
    }

    #[test]
    fn a_snapshot_that_lost_a_good_part_of_its_keys_is_not_believed_unless_confirmed() {
        let before = held(1_000);
        for keys in [0, 1, 799] {
            let Err(Refused::Unbelieved { reason, shrinks }) = offer(Some(&before), keys, 6, false) else {
                panic!("{keys} keys were believed")
            };
            assert!(reason.contains(&format!("{keys} keys instead of 1000")), "{reason}");
            assert_eq!((shrinks[0].held, shrinks[0].offered), (1_000, keys as u64));
            assert_eq!(offer(Some(&before), keys, 6, true).unwrap().snapshot.keys.len(), keys);
        }
        assert_eq!(offer(Some(&before), 800, 6, false).unwrap().snapshot.keys.len(), 800);
    }

    #[test]
    fn a_small_installation_may_lose_all_it_has() {
        assert!(offer(Some(&held(100)), 0, 6, false).is_ok());
        assert!(offer(Some(&held(101)), 0, 6, false).is_err());
    }

    #[test]
    fn a_snapshot_that_goes_back_is_refused_and_one_of_another_epoch_is_not() {
        let before = held(3);
        assert!(matches!(offer(Some(&before), 3, 4, true), Err(Refused::Unbelieved { .. })));
        let (mut begin, chunk, end) = stream(version(1), 3);
        begin.version = Some(Version { epoch: [5; 16], revision: 1 }.to_message());
        let incoming = Incoming::begin(&begin, Some(before), None).unwrap();
        assert!(incoming.take(&chunk).unwrap().finish(&end).is_ok());
    }

    #[test]
    fn what_was_damaged_lost_or_repeated_on_its_way_is_asked_for_again() {
        let (begin, chunk, end) = stream(version(5), 3);
        let incoming = || Incoming::begin(&begin, None, None).unwrap();
        let mut flipped = chunk.clone();
        flipped.zstd = [&chunk.zstd[..9], &[chunk.zstd[9] ^ 1], &chunk.zstd[10..]].concat().into();
        assert!(matches!(incoming().take(&flipped), Err(Refused::Damaged(_))));
        flipped.crc32 = crc32fast::hash(&flipped.zstd);
        let taken = incoming().take(&flipped);
        assert!(matches!(taken.and_then(|incoming| incoming.finish(&end)), Err(Refused::Damaged(_))));
        assert!(matches!(incoming().finish(&end), Err(Refused::Damaged(_))));
        assert!(matches!(incoming().take(&chunk).unwrap().take(&chunk), Err(Refused::Damaged(_))));
        assert_eq!(incoming().take(&chunk).unwrap().finish(&end).unwrap().resources, 4);
    }

    #[test]
    fn what_did_not_change_is_shared_with_what_is_in_force() {
        let before = held(10);
        let after = offer(Some(&before), 12, 6, false).unwrap().snapshot;
        let hash = KeyHash::of("sk-7");
        assert!(Arc::ptr_eq(before.keys.get(&hash).unwrap(), after.keys.get(&hash).unwrap()));
        assert_eq!(after.keys.len(), 12);
    }
}
