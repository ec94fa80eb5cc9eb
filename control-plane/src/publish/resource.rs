//! Words that rows use to become snapshot resources.

use std::collections::BTreeMap;

use pb::resource::Body;
use proto::v1 as pb;
use serde_json::Value;

/// A resource to be put in place of what a data plane holds under its id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upsert {
    /// What to put.
    pub(crate) resource: pb::Resource,
    /// It was never changed since it was made and grants more than there was: a pure addition.
    pub(crate) untouched: bool,
}

impl Upsert {
    /// A resource with the features that a data plane must have to serve it.
    pub(crate) fn of(body: Body, untouched: bool) -> Self {
        let (limits, budgets, owners) = match &body {
            Body::Key(key) => (key.limits.is_some(), !key.budgets.is_empty(), !key.model_limits.is_empty()),
            Body::Team(team) => (team.limits.is_some(), !team.budgets.is_empty(), !team.model_limits.is_empty()),
            Body::User(user) => (user.limits.is_some(), !user.budgets.is_empty(), false),
            Body::Owner(owner) => (owner.limits.is_some(), !owner.budgets.is_empty(), true),
            Body::Settings(settings) => (false, !settings.proxy_budgets.is_empty(), false),
            Body::Deployment(_) => (false, false, false),
        };
        let replaced = matches!(&body, Body::Key(key) if !key.acts_as.is_empty());
        let asks = match &body {
            Body::Key(key) => !key.enforced_params.is_empty(),
            Body::Team(team) => !team.enforced_params.is_empty(),
            Body::Settings(settings) => settings.gate.is_some(),
            Body::Owner(owner) => !owner.allowed_region.is_empty(),
            Body::User(_) | Body::Deployment(_) => false,
        };
        // Those of customers are as old as customers are.
        let keeps_models = |owner: &pb::Owner| {
            matches!(owner.kind(), pb::OwnerKind::Member | pb::OwnerKind::Organization) && !owner.models.is_empty()
        };
        let owner_models = matches!(&body, Body::Owner(owner) if keeps_models(owner));
        let needed = [
            (asks, proto::channel::GATE),
            (limits, proto::channel::LIMITS),
            (budgets, proto::channel::BUDGETS),
            (owners, proto::channel::OWNERS),
            (replaced, proto::channel::REPLACED),
            (owner_models, proto::channel::OWNER_MODELS),
        ];
        let required_features = needed.into_iter().filter(|(is_needed, _)| *is_needed);
        let required_features = required_features.map(|(_, feature)| feature.to_owned()).collect();
        Self { resource: pb::Resource { required_features, body: Some(body) }, untouched }
    }
}

/// The kind and id under which a data plane keeps this body.
pub(crate) fn id_of(body: &Body) -> (pb::Kind, String) {
    match body {
        Body::Key(key) => (pb::Kind::Key, hex::encode(&key.hash)),
        Body::Team(team) => (pb::Kind::Team, team.team_id.clone()),
        Body::User(user) => (pb::Kind::User, user.user_id.clone()),
        Body::Deployment(deployment) => (pb::Kind::Deployment, deployment.id.clone()),
        Body::Owner(owner) => (pb::Kind::Owner, proto::owner::resource_id(owner.kind(), &owner.id)),
        Body::Settings(_) => (pb::Kind::Settings, "settings".to_owned()),
    }
}

/// Limits as the contract writes them, and the feature that they need of a data plane; nothing where there are none. A
/// negative limit, which older versions took, refuses everything.
pub(crate) fn ceilings(requests: Option<i64>, tokens: Option<i64>, at_once: Option<i64>) -> Option<pb::Ceilings> {
    let limit = |limit: Option<i64>| limit.map(|limit| u64::try_from(limit).unwrap_or(0));
    let ceilings = pb::Ceilings {
        requests_per_minute: limit(requests),
        tokens_per_minute: limit(tokens),
        at_once: limit(at_once),
    };
    (ceilings != pb::Ceilings::default()).then_some(ceilings)
}

/// `model_rpm_limit` and `model_tpm_limit`, by model. Numbers that are none refuse everything: nobody knows what they allow.
pub(crate) fn model_ceilings(requests: Option<&Value>, tokens: Option<&Value>) -> Vec<pb::ModelCeilings> {
    let none = serde_json::Map::new();
    let requests = requests.and_then(Value::as_object).unwrap_or(&none);
    let tokens = tokens.and_then(Value::as_object).unwrap_or(&none);
    let models: std::collections::BTreeSet<&String> = requests.keys().chain(tokens.keys()).collect();
    let limit = |limits: &serde_json::Map<String, Value>, model: &str| {
        let limit = limits.get(model).filter(|limit| !limit.is_null())?;
        Some(limit.as_u64().unwrap_or(0))
    };
    let ceilings = |model: &String| {
        let (requests_per_minute, tokens_per_minute) = (limit(requests, model), limit(tokens, model));
        let limits = pb::Ceilings { requests_per_minute, tokens_per_minute, at_once: None };
        (limits != pb::Ceilings::default()).then(|| pb::ModelCeilings { model: model.clone(), limits: Some(limits) })
    };
    models.into_iter().filter_map(ceilings).collect()
}

/// The text members of an array; anything else counts as none.
pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The text members of an object; anything else counts as none.
pub(crate) fn name_map(value: &Value) -> BTreeMap<String, String> {
    let Some(members) = value.as_object() else { return BTreeMap::new() };
    members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether the value is `true`; anything else is not.
pub(crate) fn flag(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or(false)
}
