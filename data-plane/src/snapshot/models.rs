//! Models and the deployments that serve them, indexed as calls ask for them.
//!
//! Which of several candidates serves a call is `routing`'s business; here is only who is a candidate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialects::Task;
use dialects::openai::mock::MockResponse;
use http::HeaderValue;
use proto::v1 as pb;
use providers::{Fault, FaultClass, Provider};

use crate::transport::Upstream;

/// One place that serves a model.
pub(crate) struct Deployment {
    pub(crate) id: Box<str>,
    pub(crate) model_name: Box<str>,
    pub(crate) provider: &'static dyn Provider,
    /// May hold `*` where `model_name` does.
    pub(crate) upstream_model: Box<str>,
    /// As configured: `provider/model`.
    pub(crate) litellm_model: Box<str>,
    pub(crate) place: Place,
    pub(crate) defaults: Vec<(String, Bytes)>,
    /// Names that never go to this deployment: its provider's and those configured.
    pub(crate) all_drops: Vec<Cow<'static, str>>,
    /// Kept to be hidden from what the provider says.
    pub(crate) api_key: Option<wire::Secret>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) stream_timeout: Option<Duration>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) share: Share,
    pub(crate) access_groups: Box<[Box<str>]>,
    pub(crate) team_id: Option<Box<str>>,
    pub(crate) team_public_model_name: Option<Box<str>>,
    pub(crate) blocked: bool,
    /// None: nobody knows.
    pub(crate) region: Option<Box<str>>,
    pub(crate) price: pb::Price,
    pub(crate) known_prices: HashMap<String, pb::Price>,
    pub(crate) shown: Shown,
}

/// What answers say of the deployment that gave them. A name that no header can carry is not said.
pub(crate) struct Shown {
    pub(crate) id: Option<HeaderValue>,
    pub(crate) model_name: Option<HeaderValue>,
    pub(crate) litellm_model: Option<HeaderValue>,
}

/// Where a call to a deployment goes.
pub(crate) enum Place {
    /// Nowhere: the configured answer is given.
    Mock(MockResponse),
    /// One address per task, made when the snapshot was.
    Fixed(Box<[Option<Upstream>; 3]>),
    /// The address depends on the name asked for.
    Wildcard(Box<Endpoint>),
}

/// What an address is made of, where it cannot be made ahead.
pub(crate) struct Endpoint {
    pub(crate) api_base: Option<String>,
    pub(crate) api_key: Option<wire::Secret>,
    pub(crate) api_version: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) extra_headers: std::collections::BTreeMap<String, String>,
}

/// What a deployment's share of the traffic is measured by; the first that any candidate has decides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    pub(crate) weight: f64,
    pub(crate) rpm: u64,
    pub(crate) tpm: u64,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment").field("id", &self.id).field("model_name", &self.model_name).finish_non_exhaustive()
    }
}

impl Deployment {
    /// The upstream model for the name that a client asked for: what its `*` matched is put where ours stand.
    pub(crate) fn upstream_model_for<'a>(&'a self, asked: &'a str) -> Cow<'a, str> {
        match self.upstream_model.contains('*') {
            false => self.upstream_model.as_ref().into(),
            true => fill(&self.model_name, &self.upstream_model, asked),
        }
    }

    /// A fault in LiteLLM's words, without the deployment's credential.
    pub(crate) fn fault(&self, class: FaultClass, text: &str) -> Fault {
        self.hidden(self.provider.fault(class, text))
    }

    /// The fault without the deployment's credential, which a provider may have quoted.
    pub(crate) fn hidden(&self, fault: Fault) -> Fault {
        match &self.api_key {
            Some(key) => fault.hiding(key),
            None => fault,
        }
    }

    /// What calls to `upstream_model` cost here.
    pub(crate) fn price_for(&self, upstream_model: &str) -> &pb::Price {
        self.known_prices.get(upstream_model).unwrap_or(&self.price)
    }
}

impl Place {
    /// The index of a task in `Fixed`.
    pub(crate) fn slot(task: Task) -> usize {
        match task {
            Task::Chat => 0,
            Task::Completion => 1,
            Task::Embedding => 2,
        }
    }
}

/// A team's id and the name under which it calls a deployment of its own.
type TeamName = (Box<str>, Box<str>);

/// Deployments by the names that calls use.
#[derive(Default)]
pub(crate) struct Models {
    /// In the order in which they were configured, by id.
    all: Vec<Arc<Deployment>>,
    by_name: HashMap<Box<str>, Vec<Arc<Deployment>>>,
    by_id: HashMap<Box<str>, Arc<Deployment>>,
    by_litellm_model: HashMap<Box<str>, Vec<Arc<Deployment>>>,
    by_team_name: HashMap<TeamName, Vec<Arc<Deployment>>>,
    /// The most specific first.
    wildcards: Vec<(Box<str>, Vec<Arc<Deployment>>)>,
}

impl Models {
    pub(crate) fn new(all: Vec<Arc<Deployment>>) -> Self {
        let mut models = Self::default();
        let mut wildcards: HashMap<Box<str>, Vec<Arc<Deployment>>> = HashMap::new();
        for deployment in &all {
            models.by_id.insert(deployment.id.clone(), Arc::clone(deployment));
            models.by_litellm_model.entry(deployment.litellm_model.clone()).or_default().push(Arc::clone(deployment));
            if let (Some(team), Some(name)) = (&deployment.team_id, &deployment.team_public_model_name) {
                let team_name = (team.clone(), name.clone());
                models.by_team_name.entry(team_name).or_default().push(Arc::clone(deployment));
            }
            let table = if deployment.model_name.contains('*') { &mut wildcards } else { &mut models.by_name };
            table.entry(deployment.model_name.clone()).or_default().push(Arc::clone(deployment));
        }
        models.wildcards = wildcards.into_iter().collect();
        models.wildcards.sort_by(|(a, _), (b, _)| specificity(b).cmp(&specificity(a)).then_with(|| a.cmp(b)));
        models.all = all;
        models
    }

    pub(crate) fn all(&self) -> &[Arc<Deployment>] {
        &self.all
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<Deployment>> {
        self.by_id.get(id)
    }

    pub(crate) fn named(&self, name: &str) -> &[Arc<Deployment>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_team(&self, team: &str, public_name: &str) -> &[Arc<Deployment>] {
        let key = (Box::from(team), Box::from(public_name));
        self.by_team_name.get(&key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn by_litellm_model(&self, name: &str) -> &[Arc<Deployment>] {
        self.by_litellm_model.get(name).map_or(&[], Vec::as_slice)
    }

    /// The deployments of the most specific pattern that `name` matches. The lone `*` is the last of them.
    pub(crate) fn matching(&self, name: &str) -> &[Arc<Deployment>] {
        let found = self.wildcards.iter().find(|(pattern, _)| matches(pattern, name));
        found.map_or(&[], |(_, deployments)| deployments.as_slice())
    }

    /// Every public name, patterns included, in the order of configuration, each once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let mut seen = std::collections::HashSet::new();
        self.all
            .iter()
            .filter(|deployment| !deployment.blocked)
            .map(|deployment| deployment.model_name.as_ref())
            .filter(move |name| seen.insert(*name))
    }
}

/// Longer patterns first, then those with more literal characters (llm_path.md 4.3.1).
fn specificity(pattern: &str) -> (usize, usize) {
    (pattern.len(), pattern.len() - pattern.matches('*').count())
}

/// Whether `name` matches `pattern`, where each `*` is any run of characters and all else is literal.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    captures(pattern, name).is_some()
}

/// What each `*` of `pattern` stands for in `name`, shortest first; `None` where it does not match.
fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut pieces = pattern.split('*');
    let mut rest = name.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty().then_some(found) };
    for piece in middle {
        let (captured, after) = rest.split_once(piece)?;
        found.push(captured);
        rest = after;
    }
    found.push(rest.strip_suffix(last)?);
    Some(found)
}

/// `target` with its `*`s replaced by what those of `pattern` matched in `name`; the whole name where there are fewer.
fn fill<'a>(pattern: &str, target: &str, name: &'a str) -> Cow<'a, str> {
    let found = captures(pattern, name).unwrap_or_default();
    let stars = target.matches('*').count();
    if stars < found.len() || found.is_empty() {
        return if target == "*" { name.into() } else { target.replace('*', name).into() };
    }
    let mut found = found.into_iter();
    let mut filled = String::new();
    for (index, piece) in target.split('*').enumerate() {
        if index > 0 {
            filled.push_str(found.next().unwrap_or_default());
        }
        filled.push_str(piece);
    }
    filled.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters_and_all_else_is_literal() {
        assert!(matches("openai/*", "openai/gpt-4o"));
        assert!(matches("*", "anything"));
        assert!(matches("bedrock/*.claude-*", "bedrock/us.claude-3"));
        assert!(!matches("openai/*", "azure/gpt-4o"));
        assert!(!matches("gpt-4.*", "gpt-4o"));
        assert!(!matches("gpt-4o", "gpt-4o-mini"));
    }

    #[test]
    fn what_the_star_matched_goes_upstream() {
        assert_eq!(fill("openai/*", "*", "openai/gpt-4o"), "gpt-4o");
        assert_eq!(fill("*", "*", "gpt-4o"), "gpt-4o");
        assert_eq!(fill("my-*", "vendor/*", "my-model"), "vendor/model");
        assert_eq!(fill("a-*-b-*", "*", "a-1-b-2"), "a-1-b-2");
    }

    #[test]
    fn the_longer_pattern_is_the_more_specific() {
        assert!(specificity("openai/gpt-*") > specificity("openai/*"));
        assert!(specificity("openai/*") > specificity("*"));
    }
}
