//! A whole snapshot being put together, batch by batch: from the control plane's chunks or from the disk copy.
//!
//! Nothing is kept of a batch but what the tables hold of it, so that a million keys lie in memory once, and those that
//! did not change since the snapshot in force are shared with it.

use std::sync::Arc;

use proto::v1 as pb;

use super::decode::{Changes, MOST_REJECTIONS};
use super::{Snapshot, Version};

/// A snapshot that nobody sees yet.
pub(crate) struct Build {
    snapshot: Snapshot,
    before: Option<Arc<Snapshot>>,
    resources: u64,
    has_settings: bool,
    rejections: Vec<pb::Rejection>,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) keys: usize,
    pub(crate) teams: usize,
    pub(crate) users: usize,
    pub(crate) owners: usize,
    pub(crate) deployments: usize,
}

impl Build {
    /// Begins with nothing. What `before` holds just so is shared with it.
    pub(crate) fn new(version: Version, before: Option<Arc<Snapshot>>) -> Self {
        let snapshot = Snapshot::empty(version);
        Self { snapshot, before, resources: 0, has_settings: false, rejections: Vec::new() }
    }

    /// Takes in what is in a batch, and says how many resources that are. After an error it is of no use any more.
    pub(crate) fn put<E>(&mut self, batch: impl IntoIterator<Item = Result<pb::Resource, E>>) -> Result<u64, E> {
        let mut changes = Changes::new();
        let mut count = 0;
        for resource in batch {
            changes.put(resource?);
            count += 1;
        }
        self.resources += count;
        self.take(changes);
        Ok(count)
    }

    /// Goes on to where a delta leads.
    pub(crate) fn follow(&mut self, delta: pb::Delta) {
        let mut changes = Changes::new();
        self.snapshot.version.revision = delta.to;
        delta.removals.iter().for_each(|id| changes.remove(id));
        delta.upserts.into_iter().for_each(|resource| changes.put(resource));
        self.take(changes);
    }

    fn take(&mut self, mut changes: Changes) {
        self.has_settings |= changes.has_settings();
        let room = MOST_REJECTIONS.saturating_sub(self.rejections.len());
        self.rejections.extend(changes.rejections.drain(..).take(room));
        if let Some(before) = &self.before {
            changes.share_with(before);
        }
        changes.apply_to(&mut self.snapshot);
    }

    /// Resources taken in, those that could not be used among them.
    pub(crate) fn resources(&self) -> u64 {
        self.resources
    }

    pub(crate) fn has_settings(&self) -> bool {
        self.has_settings
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of(&self.snapshot)
    }

    /// The snapshot, and what could not be used of what it was made from.
    pub(crate) fn finish(self) -> (Snapshot, Vec<pb::Rejection>) {
        (self.snapshot, self.rejections)
    }
}

impl Counts {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            keys: snapshot.keys.len(),
            teams: snapshot.teams.len(),
            users: snapshot.users.len(),
            owners: snapshot.owners.len(),
            deployments: snapshot.models.all().len(),
        }
    }
}
