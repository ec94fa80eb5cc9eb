//! The state of the world that calls are judged by: immutable tables, replaced whole.
//!
//! A request takes one [`Snapshot`] on its first line and keeps it to the end. [`cell`] swaps it,
//! [`subscribe`] keeps it current over gRPC, [`disk`] keeps the last good one across a restart,
//! [`decode`] turns messages into the types below, and [`build`] a stream of them into a whole. Nothing here judges a call.

mod build;
pub(crate) mod cell;
pub(crate) mod decode;
mod deployments;
pub(crate) mod disk;
pub(crate) mod gate;
mod incoming;
mod key;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod names;
#[cfg(test)]
mod scale;
pub(crate) mod subscribe;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proto::{KeyHash, v1 as pb};

use crate::limits::Allowance;
use crate::limits::account::Large;

pub(crate) use gate::Gate;
pub(crate) use key::Key;
pub(crate) use keys::Keys;
pub(crate) use models::{Deployment, Models};
pub(crate) use names::Names;

/// A lineage of revisions and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) epoch: [u8; 16],
    pub(crate) revision: u64,
}

impl Version {
    pub(crate) fn to_message(self) -> pb::Version {
        pb::Version { epoch: self.epoch.to_vec().into(), revision: self.revision }
    }

    pub(crate) fn from_message(message: Option<&pb::Version>) -> Option<Self> {
        let message = message?;
        Some(Self { epoch: message.epoch.as_ref().try_into().ok()?, revision: message.revision })
    }
}

/// Who and what the control plane knows, at one revision.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) version: Version,
    pub(crate) keys: Keys,
    pub(crate) teams: Arc<HashMap<Box<str>, Arc<Team>>>,
    pub(crate) users: Arc<HashMap<Box<str>, Arc<User>>>,
    /// Customers, tags and others, by `proto::owner::resource_id`.
    pub(crate) owners: Arc<HashMap<Box<str>, Arc<Owner>>>,
    pub(crate) models: Arc<Models>,
    pub(crate) settings: Arc<Settings>,
}

/// Whether a key may be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Blocked,
    /// The control plane said something about the key that this data plane cannot read: it denies.
    NotUnderstood,
}

/// What an admin granted beyond the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// The caller's own `mock_response` is honoured.
    pub(crate) mock_response: bool,
    /// A legacy `config` on the key switches its own model check off.
    pub(crate) any_model: bool,
}

/// A team, as calls of its keys need to know it.
#[derive(Debug, PartialEq)]
pub(crate) struct Team {
    pub(crate) alias: Option<Box<str>>,
    pub(crate) organization_id: Option<Box<str>>,
    /// Empty: all.
    pub(crate) models: Box<[Box<str>]>,
    pub(crate) model_aliases: Box<[(Box<str>, Box<str>)]>,
    pub(crate) tags: Box<[Box<str>]>,
    pub(crate) standing: Standing,
    pub(crate) rights: Rights,
    pub(crate) allowance: Allowance,
    /// What every call of its keys must have.
    pub(crate) enforced_params: Box<[Box<str>]>,
}

/// The owner of keys. Its models count for keys that belong to no team, its limits for all of its keys.
#[derive(Debug, PartialEq)]
pub(crate) struct User {
    pub(crate) models: Box<[Box<str>]>,
    pub(crate) role: Box<str>,
    pub(crate) standing: Standing,
    pub(crate) allowance: Allowance,
}

/// An owner of spend beside keys, teams and users.
#[derive(Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) standing: Standing,
    pub(crate) allowance: Allowance,
    /// Empty: all.
    pub(crate) models: Box<[Box<str>]>,
    /// The model of calls that name none.
    pub(crate) default_model: Option<Box<str>>,
    /// Only deployments there serve them.
    pub(crate) region: Option<Box<str>>,
}

impl Snapshot {
    /// The owner of this kind and id, of whom there is more to say than that they exist.
    pub(crate) fn owner(&self, kind: pb::OwnerKind, id: &str) -> Option<&Owner> {
        if self.owners.is_empty() {
            return None; // nearly every call of nearly every gateway: no name is put together for it
        }
        self.owners.get(proto::owner::resource_id(kind, id).as_str()).map(Arc::as_ref)
    }
}

/// What holds for every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) master_key: Option<KeyHash>,
    pub(crate) master_user_id: Box<str>,
    pub(crate) authentication: Authentication,
    /// Replaces every other place a key is read from.
    pub(crate) key_header: Option<http::HeaderName>,
    pub(crate) num_retries: u32,
    pub(crate) timeout_ms: Option<u32>,
    pub(crate) stream_timeout_ms: Option<u32>,
    pub(crate) group_aliases: BTreeMap<Box<str>, GroupAlias>,
    pub(crate) model_alias_map: BTreeMap<Box<str>, Box<str>>,
    pub(crate) stream_usage: StreamUsage,
    pub(crate) unknown_price: UnknownPrice,
    pub(crate) default_chat_model: Option<Box<str>>,
    /// What everybody may use together.
    pub(crate) everybody: Allowance,
    /// What a call is answered that no budget is left for.
    pub(crate) budget_exceeded: http::StatusCode,
    /// Budgets of users hold for keys of teams too.
    pub(crate) team_keys_use_user_budgets: bool,
    /// What becomes of a call that may cost more than what is left.
    pub(crate) large_calls: Large,
    /// Reserved for an answer where the client sets no limit, and at most.
    pub(crate) reserved_output_tokens: u64,
    /// What is asked beyond a good key. Nearly always nothing: then no call looks further.
    pub(crate) gate: Option<Box<Gate>>,
}

/// Whether callers must show a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Authentication {
    #[default]
    Required,
    /// Started with `--insecure-no-auth`.
    Off,
}

/// Another name for a model; a hidden one is not listed.
#[derive(Clone, Debug)]
pub(crate) struct GroupAlias {
    pub(crate) model: Box<str>,
    pub(crate) hidden: bool,
}

/// What becomes of the usage event of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    /// Asked for always, shown to those who asked.
    #[default]
    AskHide,
    /// Asked for and shown always.
    AskShow,
    /// Asked for only when the client does.
    LeaveAlone,
}

/// What happens to calls of models that nobody has a price for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UnknownPrice {
    #[default]
    Allow,
    Deny,
}

impl Snapshot {
    /// A snapshot without anybody in it.
    pub(crate) fn empty(version: Version) -> Self {
        Self {
            version,
            keys: Keys::default(),
            teams: Arc::default(),
            users: Arc::default(),
            owners: Arc::default(),
            models: Arc::default(),
            settings: Arc::default(),
        }
    }
}
