//! What the log of a base comes to, so that both become one new base without a million keys in memory.

use std::collections::BTreeMap;

use proto::v1 as pb;

/// A kind and an id.
type Id = (i32, String);

/// The last word of a log on each object that it names. As large as the log at most, which has a bound.
#[derive(Default)]
pub(super) struct Overlay {
    /// In which order they were named first, and what is left of them.
    last: BTreeMap<Id, (usize, Option<pb::Resource>)>,
}

impl Overlay {
    /// Goes on by a delta.
    pub(super) fn take(&mut self, delta: pb::Delta) {
        for id in delta.removals {
            self.say((id.kind, id.id), None);
        }
        for resource in delta.upserts {
            if let Some(id) = id_of(&resource) {
                self.say(id, Some(resource));
            }
        }
    }

    fn say(&mut self, id: Id, resource: Option<pb::Resource>) {
        let order = self.last.len();
        self.last.entry(id).or_insert((order, None)).1 = resource;
    }

    /// A batch of the base as it is after the log. What changed stays where it is.
    pub(super) fn over(&mut self, batch: pb::ResourceBatch) -> pb::ResourceBatch {
        let after = |resource: pb::Resource| match id_of(&resource).and_then(|id| self.last.get_mut(&id)) {
            Some((_, changed)) => changed.take(),
            None => Some(resource),
        };
        pb::ResourceBatch { resources: batch.resources.into_iter().filter_map(after).collect() }
    }

    /// What the base did not have, in batches.
    pub(super) fn rest(self) -> impl Iterator<Item = pb::ResourceBatch> {
        const TOGETHER: usize = 1_000;
        let mut rest: Vec<_> = self.last.into_values().collect();
        rest.sort_by_key(|(order, _)| *order);
        let mut rest = rest.into_iter().filter_map(|(_, resource)| resource).peekable();
        std::iter::from_fn(move || {
            rest.peek()?;
            Some(pb::ResourceBatch { resources: rest.by_ref().take(TOGETHER).collect() })
        })
    }
}

fn id_of(resource: &pb::Resource) -> Option<Id> {
    Some(match resource.body.as_ref()? {
        pb::resource::Body::Key(key) => (pb::Kind::Key.into(), hex::encode(&key.hash)),
        pb::resource::Body::Team(team) => (pb::Kind::Team.into(), team.team_id.clone()),
        pb::resource::Body::User(user) => (pb::Kind::User.into(), user.user_id.clone()),
        pb::resource::Body::Deployment(deployment) => (pb::Kind::Deployment.into(), deployment.id.clone()),
        pb::resource::Body::Owner(owner) => {
            (pb::Kind::Owner.into(), proto::owner::resource_id(owner.kind(), &owner.id))
        }
        pb::resource::Body::Settings(_) => (pb::Kind::Settings.into(), "settings".to_owned()),
    })
}
