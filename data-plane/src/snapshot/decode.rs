//! Messages of the control plane to tables.
//!
//! What cannot be understood never widens anybody's rights: a key, team or user that asks for a feature we
//! lack is put in as denied; a deployment is left out. Both are said back as rejections.

use std::collections::HashMap;
use std::sync::Arc;

use proto::{KeyHash, v1 as pb};

use super::deployments::deployment_of;
use super::{
    Authentication, Deployment, Gate, GroupAlias, Key, Models, Owner, Rights, Settings, Snapshot, Standing,
    StreamUsage, Team, UnknownPrice, User, Version, keys,
};
use crate::limits::Allowance;
use crate::limits::account::Large;

/// What `required_features` of a resource may name without being denied.
pub(crate) const FEATURES: &[&str] = &[
    proto::channel::LIMITS,
    proto::channel::BUDGETS,
    proto::channel::OWNERS,
    proto::channel::REPLACED,
    proto::channel::GATE,
    proto::channel::OWNER_MODELS,
];

/// Tokens reserved for an answer where the client sets no limit, and at most (reliability.md 3d).
const DEFAULT_RESERVED_OUTPUT: u64 = 1_024;

/// Reasons that are said back of one update.
pub(super) const MOST_REJECTIONS: usize = 1_000;

/// Changes that wait to become the next snapshot.
pub(crate) struct Changes {
    keys: Vec<keys::Change>,
    teams: Vec<(Box<str>, Option<Arc<Team>>)>,
    users: Vec<(Box<str>, Option<Arc<User>>)>,
    owners: Vec<(Box<str>, Option<Arc<Owner>>)>,
    deployments: Vec<(Box<str>, Option<Arc<Deployment>>)>,
    settings: Option<Settings>,
    pub(crate) rejections: Vec<pb::Rejection>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            keys: Vec::new(),
            teams: Vec::new(),
            users: Vec::new(),
            owners: Vec::new(),
            deployments: Vec::new(),
            settings: None,
            rejections: Vec::new(),
        }
    }

    /// Whether settings are among the changes.
    pub(crate) fn has_settings(&self) -> bool {
        self.settings.is_some()
    }

    /// Takes one resource in; says in `rejections` what it could not use of it.
    pub(crate) fn put(&mut self, resource: pb::Resource) {
        let lacking = resource.required_features.iter().find(|feature| !FEATURES.contains(&feature.as_str()));
        let lacking = lacking.map(|feature| format!("this data plane lacks the feature `{feature}`"));
        let Some(body) = resource.body else {
            return self.reject(pb::Kind::Unspecified, "", "a resource without content");
        };
        match body {
            pb::resource::Body::Key(key) => self.put_key(&key, lacking),
            pb::resource::Body::Team(team) => self.put_team(team, lacking),
            pb::resource::Body::User(user) => self.put_user(user, lacking),
            pb::resource::Body::Owner(owner) => self.put_owner(owner, lacking),
            pb::resource::Body::Deployment(deployment) => self.put_deployment(deployment, lacking),
            pb::resource::Body::Settings(settings) => match (lacking, settings_of(settings)) {
                (None, Ok(settings)) => self.settings = Some(settings),
                (Some(reason), _) | (None, Err(reason)) => self.reject(pb::Kind::Settings, "settings", &reason),
            },
        }
    }

    pub(crate) fn remove(&mut self, id: &pb::ResourceId) {
        let name = Box::from(id.id.as_str());
        match id.kind() {
            pb::Kind::Key => match id.id.parse() {
                Ok(hash) => self.keys.push((hash, None)),
                Err(error) => self.reject(pb::Kind::Key, &id.id, &format!("{error}")),
            },
            pb::Kind::Team => self.teams.push((name, None)),
            pb::Kind::User => self.users.push((name, None)),
            pb::Kind::Owner => self.owners.push((name, None)),
            pb::Kind::Deployment => self.deployments.push((name, None)),
            pb::Kind::Settings | pb::Kind::Unspecified => {
                self.reject(id.kind(), &id.id, "this kind of resource cannot be removed");
            }
        }
    }

    /// The snapshot after these changes.
    pub(crate) fn apply(self, before: &Snapshot, version: Version) -> Snapshot {
        let mut next = before.clone();
        next.version = version;
        self.apply_to(&mut next);
        next
    }

    /// Makes the changes in `next`; what it shares with another snapshot is copied before it changes.
    pub(super) fn apply_to(self, next: &mut Snapshot) {
        next.keys.change(self.keys);
        change(&mut next.teams, self.teams);
        change(&mut next.users, self.users);
        change(&mut next.owners, self.owners);
        if !self.deployments.is_empty() {
            next.models = Arc::new(Models::new(changed_deployments(next.models.all(), self.deployments)));
        }
        if let Some(settings) = self.settings {
            next.settings = Arc::new(settings);
        }
    }

    /// Takes keys that `before` holds just so from there, so that both snapshots share them.
    pub(super) fn share_with(&mut self, before: &Snapshot) {
        for (hash, key) in &mut self.keys {
            if let Some(key) = key
                && let Some(held) = before.keys.get(hash).filter(|held| *held == key)
            {
                *key = Arc::clone(held);
            }
        }
    }

    fn put_key(&mut self, key: &pb::Key, lacking: Option<String>) {
        let hash = match KeyHash::try_from(key.hash.as_ref()) {
            Ok(hash) => hash,
            Err(error) => return self.reject(pb::Kind::Key, &hex::encode(&key.hash), &error.to_string()),
        };
        let lacking = lacking.or_else(|| match key.acts_as.len() {
            0 | 32 => None,
            bytes => Some(format!("acts_as has {bytes} bytes instead of 32")),
        });
        if let Some(reason) = &lacking {
            self.reject(pb::Kind::Key, &hash.to_string(), reason);
        }
        self.keys.push((hash, Some(Arc::new(Key::new(hash, key, standing(lacking.is_some()))))));
    }

    fn put_team(&mut self, team: pb::Team, lacking: Option<String>) {
        if let Some(reason) = &lacking {
            self.reject(pb::Kind::Team, &team.team_id, reason);
        }
        let id = Box::from(team.team_id.as_str());
        self.teams.push((id, Some(Arc::new(team_of(team, standing(lacking.is_some()))))));
    }

    fn put_user(&mut self, user: pb::User, lacking: Option<String>) {
        if let Some(reason) = &lacking {
            self.reject(pb::Kind::User, &user.user_id, reason);
        }
        let id = Box::from(user.user_id.as_str());
        let standing = standing(lacking.is_some());
        let allowance = Allowance::of(user.limits.as_ref(), &user.budgets);
        let user = User { models: boxed(user.models), role: user.role.into(), standing, allowance };
        self.users.push((id, Some(Arc::new(user))));
    }

    fn put_owner(&mut self, owner: pb::Owner, lacking: Option<String>) {
        let id = proto::owner::resource_id(owner.kind(), &owner.id);
        if let Some(reason) = &lacking {
            self.reject(pb::Kind::Owner, &id, reason);
        }
        let standing = if owner.blocked { Standing::Blocked } else { standing(lacking.is_some()) };
        let allowance = Allowance::of(owner.limits.as_ref(), &owner.budgets);
        let (default_model, region) = (some(owner.default_model), some(owner.allowed_region));
        let owner = Owner { standing, allowance, models: boxed(owner.models), default_model, region };
        self.owners.push((id.into(), Some(Arc::new(owner))));
    }

    fn put_deployment(&mut self, deployment: pb::Deployment, lacking: Option<String>) {
        let id = Box::from(deployment.id.as_str());
        let made = match lacking {
            Some(reason) => Err(reason),
            // What is read most of is a deployment: one that makes reading panic must not keep all others out.
            None => std::panic::catch_unwind(|| deployment_of(deployment))
                .unwrap_or_else(|_told_already| Err("reading it failed: the log has the panic".to_owned())),
        };
        match made {
            Ok(deployment) => self.deployments.push((id, Some(Arc::new(deployment)))),
            // The old version of a deployment may point where it must no longer point: it goes.
            Err(reason) => {
                self.reject(pb::Kind::Deployment, &id, &reason);
                self.deployments.push((id, None));
            }
        }
    }

    fn reject(&mut self, kind: pb::Kind, id: &str, reason: &str) {
        if self.rejections.len() >= MOST_REJECTIONS {
            return; // a message has a size; the first thousand say what is wrong
        }
        let id = pb::ResourceId { kind: kind.into(), id: id.to_owned() };
        self.rejections.push(pb::Rejection { id: Some(id), reason: reason.to_owned() });
    }
}

fn standing(is_lacking: bool) -> Standing {
    if is_lacking { Standing::NotUnderstood } else { Standing::Good }
}

fn team_of(team: pb::Team, standing: Standing) -> Team {
    Team {
        alias: some(team.alias),
        organization_id: some(team.organization_id),
        models: boxed(team.models),
        model_aliases: pairs(team.model_aliases),
        tags: boxed(team.tags),
        standing: match team.blocked {
            true => Standing::Blocked,
            false => standing,
        },
        rights: Rights { mock_response: team.allow_client_mock_response, any_model: false },
        allowance: Allowance::of(team.limits.as_ref(), &team.budgets).with_models(&team.model_limits),
        enforced_params: boxed(team.enforced_params),
    }
}

fn settings_of(settings: pb::Settings) -> Result<Settings, String> {
    let key_header = match settings.key_header_name.as_str() {
        "" => None,
        name => Some(http::HeaderName::try_from(name).map_err(|_invalid| format!("`{name}` is not a header name"))?),
    };
    let master_key = match settings.master_key_sha256.is_empty() {
        true => None,
        false => Some(KeyHash::try_from(settings.master_key_sha256.as_ref()).map_err(|error| error.to_string())?),
    };
    let aliases = settings.model_group_aliases.into_iter();
    Ok(Settings {
        master_key,
        master_user_id: settings.master_user_id.into(),
        authentication: if settings.no_auth { Authentication::Off } else { Authentication::Required },
        key_header,
        num_retries: settings.num_retries,
        timeout_ms: (settings.timeout_ms > 0).then_some(settings.timeout_ms),
        stream_timeout_ms: (settings.stream_timeout_ms > 0).then_some(settings.stream_timeout_ms),
        group_aliases: aliases
            .map(|(name, alias)| (name.into(), GroupAlias { model: alias.model.into(), hidden: alias.hidden }))
            .collect(),
        model_alias_map: settings
            .model_alias_map
            .into_iter()
            .map(|(name, model)| (name.into(), model.into()))
            .collect(),
        stream_usage: match (settings.always_include_stream_usage, settings.never_ask_stream_usage) {
            (_, true) => StreamUsage::LeaveAlone,
            (true, false) => StreamUsage::AskShow,
            (false, false) => StreamUsage::AskHide,
        },
        unknown_price: if settings.deny_unknown_price { UnknownPrice::Deny } else { UnknownPrice::Allow },
        default_chat_model: some(settings.default_chat_model),
        everybody: Allowance::of(None, &settings.proxy_budgets),
        budget_exceeded: u16::try_from(settings.budget_exceeded_status)
            .ok()
            .and_then(|status| http::StatusCode::from_u16(status).ok())
            .unwrap_or(http::StatusCode::UNPROCESSABLE_ENTITY),
        team_keys_use_user_budgets: settings.user_budgets_of_team_keys,
        large_calls: if settings.strict_budgets { Large::Refused } else { Large::Alone },
        reserved_output_tokens: match settings.reserve_output_tokens {
            0 => DEFAULT_RESERVED_OUTPUT,
            tokens => tokens,
        },
        gate: settings.gate.map(Gate::of).transpose()?.map(Box::new),
    })
}

pub(super) fn some(text: String) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn boxed(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(Box::from).collect()
}

fn pairs(map: std::collections::BTreeMap<String, String>) -> Box<[(Box<str>, Box<str>)]> {
    map.into_iter().map(|(from, to)| (from.into(), to.into())).collect()
}

fn change<T>(table: &mut Arc<HashMap<Box<str>, Arc<T>>>, changes: Vec<(Box<str>, Option<Arc<T>>)>) {
    if changes.is_empty() {
        return;
    }
    let table = Arc::make_mut(table);
    for (id, value) in changes {
        match value {
            Some(value) => table.insert(id, value),
            None => table.remove(&id),
        };
    }
}

/// Keeps the order of those that stay; new ones come last.
fn changed_deployments(
    before: &[Arc<Deployment>],
    changes: Vec<(Box<str>, Option<Arc<Deployment>>)>,
) -> Vec<Arc<Deployment>> {
    let mut changed: HashMap<Box<str>, Option<Arc<Deployment>>> = HashMap::new();
    let mut order = Vec::new();
    for (id, deployment) in changes {
        if changed.insert(id.clone(), deployment).is_none() {
            order.push(id);
        }
    }
    let mut after = Vec::with_capacity(before.len() + order.len());
    for deployment in before {
        match changed.remove(&deployment.id) {
            Some(Some(new)) => after.push(new),
            Some(None) => {}
            None => after.push(Arc::clone(deployment)),
        }
    }
    after.extend(order.into_iter().filter_map(|id| changed.remove(&id).flatten()));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version { epoch: [7; 16], revision: 3 };

    fn resource(body: pb::resource::Body) -> pb::Resource {
        pb::Resource { required_features: Vec::new(), body: Some(body) }
    }

    fn key(hash: KeyHash) -> pb::Key {
        pb::Key { hash: hash.as_bytes().to_vec().into(), models: vec!["gpt-4o".into()], ..Default::default() }
    }

    #[test]
    fn a_key_that_needs_a_feature_we_lack_is_denied_and_said_back() {
        let hash = KeyHash::of("sk-1");
        let mut changes = Changes::new();
        let mut new = resource(pb::resource::Body::Key(key(hash)));
        new.required_features.push("time-travel".into());
        changes.put(new);
        assert_eq!(changes.rejections.len(), 1);

        let snapshot = changes.apply(&Snapshot::empty(VERSION), VERSION);
        assert_eq!(snapshot.keys.get(&hash).unwrap().standing, Standing::NotUnderstood);
    }

    #[test]
    fn a_deployment_that_cannot_be_read_goes_rather_than_stay_as_it_was() {
        let deployment = |provider: &str| {
            resource(pb::resource::Body::Deployment(pb::Deployment {
                id: "d1".into(),
                model_name: "m".into(),
                provider: provider.into(),
                upstream_model: "gpt-4o".into(),
                api_key: "sk-provider".into(),
                litellm_model: "openai/gpt-4o".into(),
                ..Default::default()
            }))
        };
        let mut changes = Changes::new();
        changes.put(deployment("openai"));
        let first = changes.apply(&Snapshot::empty(VERSION), VERSION);
        assert_eq!(first.models.named("m").len(), 1);

        let mut changes = Changes::new();
        changes.put(deployment("nobody"));
        assert_eq!(changes.rejections.len(), 1);
        let second = changes.apply(&first, VERSION);
        assert!(second.models.named("m").is_empty());
    }

    #[test]
    fn upserts_and_removals_reach_the_next_snapshot_only() {
        let hash = KeyHash::of("sk-1");
        let mut changes = Changes::new();
        changes.put(resource(pb::resource::Body::Key(key(hash))));
        let first = changes.apply(&Snapshot::empty(VERSION), VERSION);

        let mut changes = Changes::new();
        changes.remove(&pb::ResourceId { kind: pb::Kind::Key.into(), id: hash.to_string() });
        let second = changes.apply(&first, Version { revision: 4, ..VERSION });
        assert!(first.keys.get(&hash).is_some());
        assert!(second.keys.get(&hash).is_none());
    }
}
