//! The checked model of a config file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::deployment::Deployment;
use crate::reference::Value;

/// A config file, understood. Its `Debug` shows no values of the environment, and of settings no secrets.
#[derive(Clone, Default)]
pub struct Config {
    /// The places that serve models, in the file's order. Those with an [`unavailable`](Deployment::unavailable)
    /// reason are known and do not serve.
    pub deployments: Vec<Deployment>,
    /// `general_settings`.
    pub general: General,
    /// `litellm_settings`.
    pub litellm: Litellm,
    /// `router_settings`.
    pub router: Router,
    /// `environment_variables` as written: values may be secrets, and may be references.
    pub environment: BTreeMap<String, String>,
    /// Every section but `model_list` as written, references kept, for those who store or show them. Holds secrets:
    /// see [`crate::secret::split`].
    pub sections: Map<String, Json>,
}

impl Config {
    /// The value of an environment variable as this file has it: its own `environment_variables` come before those of
    /// the process. Empty counts as not set.
    pub fn variable(&self, name: &str, process: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let value = match self.environment.get(name) {
            Some(own) => Value::read(own).resolve(process),
            None => process(name),
        };
        value.filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("deployments", &self.deployments)
            .field("general", &self.general)
            .field("litellm", &self.litellm)
            .field("router", &self.router)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("sections", &self.sections.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// `general_settings`, as far as they have an effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct General {
    /// The key that may do everything.
    pub master_key: Option<Value>,
    /// The address of Postgres.
    pub database_url: Option<Value>,
    /// `litellm_key_header_name`: the header in which clients may also send their key.
    pub key_header_name: Option<String>,
    /// The model that every chat and completion call gets, whatever it asks for.
    pub completion_model: Option<String>,
    /// Whether clients see usage in streams without asking; `Some(false)`: providers are not asked for it.
    pub always_include_stream_usage: Option<bool>,
    /// Whether models may be added through the API.
    pub store_model_in_db: bool,
    /// What happens to calls that nobody can price.
    pub on_unknown_price: OnUnknownPrice,
    /// Whether to start although restrictions are configured that are not enforced yet.
    pub allow_unenforced: bool,
}

/// What happens to a call whose model has no known price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknownPrice {
    /// It is served, its spend booked as unknown.
    #[default]
    Allow,
    /// It is refused.
    Deny,
}

/// `litellm_settings`, as far as they have an effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Litellm {
    /// How often a failed call is tried again, where the router's own setting is absent.
    pub num_retries: Option<u32>,
    /// How long a call may take; wins over the router's timeout.
    pub request_timeout: Option<Duration>,
    /// Names that clients may use for a model.
    pub model_alias_map: BTreeMap<String, String>,
}

/// `router_settings`, as far as they have an effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Router {
    /// How often a failed call is tried again.
    pub num_retries: Option<u32>,
    /// How long a call may take.
    pub timeout: Option<Duration>,
    /// How long a stream may take to begin.
    pub stream_timeout: Option<Duration>,
    /// How one of a model's deployments is chosen.
    pub routing_strategy: RoutingStrategy,
    /// Other names of models.
    pub model_group_alias: BTreeMap<String, GroupAlias>,
}

/// How one of a model's deployments is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoutingStrategy {
    /// At random, by `weight`, `rpm` or `tpm`.
    #[default]
    SimpleShuffle,
}

/// Another name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAlias {
    /// The model's own name.
    pub model: String,
    /// Whether the alias is left out of model lists.
    pub hidden: bool,
}
