//! One place that serves a model: an entry of `model_list`, understood.

mod availability;
mod id;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::reference::Value;
use crate::secret;

pub(crate) use read::read;

/// One place that serves a model. Texts that may be secrets or references are [`Value`]s; resolve them where they are
/// used. `Debug` masks secrets.
#[derive(Clone, PartialEq)]
pub struct Deployment {
    /// `model_info.id`, else a hash of the parameters as written.
    pub id: String,
    /// What clients ask for; may hold `*`.
    pub model_name: String,
    /// The provider's id in the tables of `providers`.
    pub provider: &'static str,
    /// The model's name at the provider; may hold `*` where `model_name` does.
    pub upstream_model: String,
    /// `litellm_params.model`, resolved: `provider/model` as configured, for headers and logs.
    pub litellm_model: String,
    /// `litellm_params` as written, with its secrets and references. Where an `organization` list made several
    /// deployments, each has its own.
    pub params: Map<String, Json>,
    /// `model_info` as written.
    pub model_info: Map<String, Json>,

    /// Where to call. Where the entry names nothing, the provider's environment variable if it is set, else `None`
    /// for the provider's own address. The same rule holds for the four below.
    pub api_base: Option<Value>,
    /// The provider key.
    pub api_key: Option<Value>,
    /// A ready Azure AD token, used where there is no key.
    pub azure_ad_token: Option<Value>,
    /// The version of an API that has versions.
    pub api_version: Option<Value>,
    /// The organization to bill.
    pub organization: Option<Value>,
    /// Headers added to each call.
    pub extra_headers: BTreeMap<String, Value>,
    /// `extra_body`: members added to each body. References in it are kept; see [`crate::reference::resolve_all`].
    pub extra_body: Map<String, Json>,
    /// Members of each body where the client sent none, such as `temperature`. References are kept.
    pub request_defaults: Map<String, Json>,

    /// How long a call may take.
    pub timeout: Option<Duration>,
    /// How long a stream may take to begin.
    pub stream_timeout: Option<Duration>,
    /// How often a failed call is tried again: `num_retries`, else `max_retries`.
    pub max_retries: Option<u32>,
    /// The share of calls, against the model's other deployments.
    pub weight: Option<f64>,
    /// Requests per minute; a share of calls where no deployment has a weight.
    pub rpm: Option<u64>,
    /// Tokens per minute; a share of calls where no deployment has a weight or `rpm`.
    pub tpm: Option<u64>,
    /// Tags booked with each call.
    pub tags: Vec<String>,
    /// The answer given without calling anybody.
    pub mock_response: Option<Json>,
    /// Custom prices by LiteLLM's names, in dollars: numbers, and the few fields that are objects or lists. Those of
    /// `litellm_params` come before those of `model_info`.
    pub prices: Map<String, Json>,

    /// What the deployment is for (`chat`, `embedding`, …).
    pub mode: Option<String>,
    /// The price entry where the upstream name is arbitrary.
    pub base_model: Option<String>,
    /// Groups that keys may list instead of the model.
    pub access_groups: Vec<String>,
    /// The only team that may use it.
    pub team_id: Option<String>,
    /// The name under which that team knows it.
    pub team_public_model_name: Option<String>,
    /// Whether it is paused.
    pub blocked: bool,
    /// Why calls cannot reach it, where they cannot: what it is left out until, such as "`OPENAI_API_KEY` is set".
    pub unavailable: Option<String>,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("id", &self.id)
            .field("model_name", &self.model_name)
            .field("provider", &self.provider)
            .field("upstream_model", &self.upstream_model)
            .field("params", &secret::masked(&self.params))
            .field("model_info", &secret::masked(&self.model_info))
            .field("unavailable", &self.unavailable)
            .finish_non_exhaustive()
    }
}
