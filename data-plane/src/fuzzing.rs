//! What must hold for any bytes: the bodies of the fuzz targets `snapshot` and `spool`, which `tests/fuzz` runs.
//!
//! Compiled for tests and for the fuzzer only. A broken promise is a panic, as fuzzers expect.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use prost::Message;
use proto::KeyHash;
use proto::v1::{self as pb, UsageEvent, resource::Body};

use crate::ledger::recover::leftovers;
use crate::ledger::segment::{RecordKind, StretchEnd, frame, parse};
use crate::snapshot::decode::{Changes, FEATURES};
use crate::snapshot::{Authentication, Snapshot, Standing, Version};

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

const EPOCH: [u8; 16] = [7; 16];

/// Any two deltas, one after the other, give tables in which nobody may more than the messages say.
///
/// The first two bytes are the length of the first delta, the rest is both.
pub fn snapshot(data: &[u8]) {
    let [low, high, rest @ ..] = data else { return };
    let middle = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (first, second) = rest.split_at(middle);
    let mut current = Snapshot::empty(Version { epoch: EPOCH, revision: 0 });
    let mut rights = Granted::default();
    for (revision, bytes) in [(1, first), (2, second)] {
        let Ok(delta) = pb::Delta::decode(bytes) else { continue };
        let mut changes = Changes::new();
        delta.removals.iter().for_each(|id| changes.remove(id));
        delta.upserts.iter().cloned().for_each(|resource| changes.put(resource));
        assert!(
            changes.rejections.iter().all(|rejection| !rejection.reason.is_empty()),
            "a rejection without a reason"
        );
        let next = changes.apply(&current, Version { epoch: EPOCH, revision });
        // Calls that began before go on with the snapshot that they took.
        rights.hold(&current);
        rights.take(&delta);
        rights.hold(&next);
        current = next;
    }
}

/// What the messages grant at most, worked out a second time and more simply.
#[derive(Default)]
struct Granted {
    keys: HashMap<KeyHash, Option<(Standing, Vec<String>, i64)>>,
    teams: HashMap<String, Option<Standing>>,
    users: HashMap<String, Option<Standing>>,
    owners: HashMap<String, Option<Standing>>,
    deployments: HashMap<String, bool>,
    master_keys: Vec<Vec<u8>>,
    no_auth: bool,
}

impl Granted {
    fn take(&mut self, delta: &pb::Delta) {
        for id in &delta.removals {
            match id.kind() {
                pb::Kind::Key => {
                    if let Ok(hash) = id.id.parse() {
                        self.keys.insert(hash, None);
                    }
                }
                pb::Kind::Team => drop(self.teams.insert(id.id.clone(), None)),
                pb::Kind::User => drop(self.users.insert(id.id.clone(), None)),
                pb::Kind::Owner => drop(self.owners.insert(id.id.clone(), None)),
                pb::Kind::Deployment => drop(self.deployments.insert(id.id.clone(), false)),
                pb::Kind::Settings | pb::Kind::Unspecified => {}
            }
        }
        for resource in &delta.upserts {
            let is_understood = resource.required_features.iter().all(|asked| FEATURES.contains(&asked.as_str()));
            let good = if is_understood { Standing::Good } else { Standing::NotUnderstood };
            let standing = |blocked| if blocked { Standing::Blocked } else { good };
            match &resource.body {
                Some(Body::Key(key)) => {
                    if let Ok(hash) = KeyHash::try_from(key.hash.as_ref()) {
                        let granted = (standing(key.blocked), key.models.clone(), key.expires_at_ms);
                        self.keys.insert(hash, Some(granted));
                    }
                }
                Some(Body::Team(team)) => drop(self.teams.insert(team.team_id.clone(), Some(standing(team.blocked)))),
                Some(Body::User(user)) => drop(self.users.insert(user.user_id.clone(), Some(good))),
                Some(Body::Owner(owner)) => {
                    let id = proto::owner::resource_id(owner.kind(), &owner.id);
                    self.owners.insert(id, Some(standing(owner.blocked)));
                }
                Some(Body::Deployment(deployment)) => {
                    self.deployments.insert(deployment.id.clone(), is_understood);
                }
                Some(Body::Settings(settings)) if is_understood => {
                    self.master_keys.push(settings.master_key_sha256.to_vec());
                    self.no_auth |= settings.no_auth;
                }
                Some(Body::Settings(_)) | None => {}
            }
        }
    }

    /// Everybody in `snapshot` has what was granted last, and nobody else is in it.
    fn hold(&self, snapshot: &Snapshot) {
        let present = self.keys.values().flatten().count();
        assert_eq!(snapshot.keys.len(), present, "keys that no message put there, or that a message removed");
        for (hash, granted) in &self.keys {
            let held = snapshot.keys.get(hash);
            let held = held.map(|key| {
                let models: Vec<String> = key.models().iter().map(ToString::to_string).collect();
                (key.standing, models, key.expires_at_ms().unwrap_or(0))
            });
            assert_eq!(&held, granted, "a key has other rights than it was given last");
        }
        for (id, granted) in &self.teams {
            let held = snapshot.teams.get(id.as_str()).map(|team| team.standing);
            assert_eq!(&held, granted, "the team `{id}` stands otherwise than it was said last");
        }
        assert_eq!(snapshot.teams.len(), self.teams.values().flatten().count());
        for (id, granted) in &self.users {
            let held = snapshot.users.get(id.as_str()).map(|user| user.standing);
            assert_eq!(&held, granted, "the user `{id}` stands otherwise than it was said last");
        }
        for (id, granted) in &self.owners {
            let held = snapshot.owners.get(id.as_str()).map(|owner| owner.standing);
            assert_eq!(&held, granted, "the owner `{id}` stands otherwise than it was said last");
        }
        for deployment in snapshot.models.all() {
            let may_serve = self.deployments.get(deployment.id.as_ref()).copied();
            assert_eq!(may_serve, Some(true), "the deployment `{}` should not be there", deployment.id);
        }
        let settings = &snapshot.settings;
        assert!(settings.authentication == Authentication::Required || self.no_auth, "nobody switched keys off");
        if let Some(master) = &settings.master_key {
            assert!(self.master_keys.iter().any(|given| given == master.as_bytes()), "a master key out of nowhere");
        }
    }
}

/// Any file is read to its end: records that were written whole and are undamaged come back, and no others.
///
/// An even first byte: the rest is the file. An odd one: the rest says which records are written, and what damages them.
pub fn spool(data: &[u8]) {
    match data {
        [choice, file @ ..] if choice % 2 == 0 => reads_no_more_than_there_is(file),
        [_, script @ ..] => loses_only_what_is_damaged(script),
        [] => {}
    }
}

fn reads_no_more_than_there_is(file: &[u8]) {
    let file = Bytes::copy_from_slice(file);
    let stretch = parse(&file);
    let next = usize::try_from(stretch.next).unwrap_or(usize::MAX);
    assert!(next <= file.len(), "the next record begins behind the end");
    let mut from = 0;
    for record in &stretch.records {
        let framed = framed(record.kind, &record.payload);
        let found = file[from..next].windows(framed.len()).position(|stretch| stretch == framed);
        assert!(found.is_some(), "a record that is not in the file: {}", record.payload.escape_ascii());
        from += found.unwrap_or(0) + framed.len();
    }
    let again = parse(&file.slice(..next));
    assert_eq!(again.records.len(), stretch.records.len(), "the end of the file changes what was before it");
    assert_eq!(again.damaged, stretch.damaged);
    books_as_interrupted_only_what_was_opened(&file);
}

/// What a start would book for calls that died: each was opened in the file, and none was closed behind its opening.
fn books_as_interrupted_only_what_was_opened(records: &Bytes) {
    let Some(folder) = Folder::new() else { return };
    // A file begins with the magic, which `parse` does not see.
    let file = [b"tpspool1", records.as_ref()].concat();
    if std::fs::write(folder.0.join("0.seg"), file).is_err() {
        return;
    }
    let Ok(left) = leftovers(&folder.0) else { return };
    let mut open = HashMap::new();
    for record in parse(records).records {
        let Ok(event) = UsageEvent::decode(record.payload) else { continue };
        match record.kind {
            RecordKind::Opening => drop(open.entry(event.event_id).or_insert(event.cost_nano_usd)),
            RecordKind::Closing => drop(open.remove(&event.event_id)),
        }
    }
    let mut booked: Vec<_> = left.interrupted.iter().map(|(_, event)| &event.event_id).collect();
    booked.dedup();
    assert_eq!(booked.len(), left.interrupted.len(), "a call is booked twice");
    assert_eq!(booked.len(), open.len(), "calls that died are not those that are booked");
    for (_, event) in &left.interrupted {
        assert_eq!(open.get(&event.event_id), Some(&event.cost_nano_usd), "a call that was never opened is booked");
        assert_eq!((event.ending(), event.success), (pb::Ending::Interrupted, false));
    }
}

/// Each record is `length, payload…`; a length of 255 ends them, and what follows flips bytes: `position (2), with`.
fn loses_only_what_is_damaged(script: &[u8]) {
    let mut rest = script;
    let (mut file, mut payloads, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    while let [length, after @ ..] = rest
        && *length != 255
    {
        let (payload, after) = after.split_at(usize::from(*length).min(after.len()));
        let kind = if length % 2 == 0 { RecordKind::Opening } else { RecordKind::Closing };
        file.extend_from_slice(&framed(kind, payload));
        payloads.push((kind, payload));
        ends.push(file.len());
        rest = after;
    }
    let mut first_damage = file.len();
    for flip in rest.get(1..).unwrap_or_default().chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([flip[0], flip[1]]));
        if flip[2] != 0 && at < file.len() {
            file[at] ^= flip[2];
            first_damage = first_damage.min(at);
        }
    }
    let stretch = parse(&Bytes::from(file));
    let whole = ends.iter().filter(|end| **end <= first_damage).count();
    let read: Vec<_> = stretch.records.iter().map(|record| (record.kind, record.payload.as_ref())).collect();
    assert!(read.len() >= whole && read[..whole] == payloads[..whole], "records before the damage are lost");
    if stretch.damaged == 0 && stretch.end == StretchEnd::Whole && first_damage == ends.last().copied().unwrap_or(0) {
        assert_eq!(read, payloads, "an undamaged file is not read whole");
    }
}

fn framed(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    frame(&mut buffer, kind, |buffer| buffer.extend_from_slice(payload));
    buffer
}

/// A scratch folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("turnpike-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        Some(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_delta_gives_anybody_more_than_it_says() {
        replay::replay("snapshot", snapshot);
    }

    #[test]
    fn no_spool_file_invents_a_record_and_damage_loses_only_itself() {
        replay::replay("spool", spool);
    }
}
