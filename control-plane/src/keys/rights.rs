//! What a key may be given, and by whom. Pure. Nobody grants a right that they do not have.

use proto::NanoUsd;
use serde_json::{Map, Value};

use super::fields::{LIMITING_METADATA, RESERVED_METADATA};
use super::mint::NewKey;
use super::patch::KeyPatch;
use super::{Key, KeyError};
use crate::access::Actor;
use crate::http::fields::Patch;

/// Completes and checks a new key of somebody who is no proxy admin: it is theirs unless they say otherwise, and can do
/// no more than the key that makes it.
pub(super) fn narrow(new: &mut NewKey, actor: &Actor) -> Result<(), KeyError> {
    if actor.is_admin() {
        return Ok(());
    }
    if new.user_id.is_none() {
        new.user_id.clone_from(&actor.user_id);
    }
    for (said, name) in [
        (new.permissions.as_ref().is_some_and(|permissions| !permissions.is_empty()), "permissions"),
        (new.allowed_routes.is_some(), "allowed_routes"),
        (!new.config.is_empty(), "config"),
        (new.organization_id.is_some(), "organization_id"),
        (new.spend.is_some(), "spend"),
        (new.key_type.as_deref() == Some("management"), "key_type=management"),
        (new.in_metadata.contains_key("throttle_on_budget_exceeded"), "throttle_on_budget_exceeded"),
        (new.in_metadata.contains_key("temp_budget_increase"), "temp_budget_increase"),
        (new.kept.contains_key("end_user_budget_id"), "end_user_budget_id"),
    ] {
        refuse_if(said, name)?;
    }
    check_metadata(&new.metadata, None)?;
    let Some(own) = actor.key() else { return Ok(()) };
    if let Some(most) = own.max_budget.map(NanoUsd::to_usd) {
        let wanted = *new.max_budget.get_or_insert(most);
        if wanted > most {
            return Err(KeyError::AboveOwnBudget { wanted, own: most });
        }
    }
    // Windows and budgets of models are handed on as they are: a key without them could spend more.
    for name in ["budget_limits", "model_max_budget"] {
        let Some(most) = own.more.get(name).filter(|most| has_members(most)) else { continue };
        let said = new.kept.insert(name.to_owned(), most.clone());
        refuse_if(
            said.is_some_and(|said| has_members(&said) && said != *most),
            &format!("another {name} than their own"),
        )?;
    }
    for name in LIMITING_METADATA {
        let Some(most) = own.metadata.get(*name) else { continue };
        let said = [new.in_metadata.get(*name), new.metadata.get(*name)].into_iter().flatten();
        refuse_if(
            said.into_iter().any(|said| said != most && !said.is_null()),
            &format!("another {name} than their own"),
        )?;
        new.in_metadata.insert((*name).to_owned(), most.clone());
    }
    if new.models.is_empty() {
        new.models.clone_from(&own.models);
    }
    if !own.allowed_routes.is_empty() {
        let typed = new.key_type.as_deref().is_some_and(|key_type| key_type != "default");
        refuse_if(
            typed && own.key_type != new.key_type.as_deref().unwrap_or_default(),
            "another key_type than their own",
        )?;
        new.allowed_routes = Some(own.allowed_routes.clone());
    }
    let limits = [
        (&mut new.rpm_limit, own.rpm_limit),
        (&mut new.tpm_limit, own.tpm_limit),
        (&mut new.max_parallel_requests, own.max_parallel_requests),
    ];
    for (wanted, most) in limits {
        *wanted = most.map(|most| wanted.map_or(most, |wanted| wanted.min(most))).or(*wanted);
    }
    // A key takes the role of its owner: one for somebody else calls models, and does not act as them here.
    if new.user_id != actor.user_id {
        refuse_if(!own.allowed_routes.is_empty(), "a key for somebody else with a key that is kept to routes")?;
        new.key_type = Some("llm_api".to_owned());
    }
    check_models(&new.models, &own.models)
}

/// The key does not outlive the key that makes it, where that is no proxy admin's.
pub(super) fn bound_expiry(key: &mut Key, actor: &Actor) {
    let end = actor.key().filter(|_| !actor.is_admin()).and_then(|own| own.expires_at);
    if let Some(end) = end {
        key.expires_at = Some(key.expires_at.map_or(end, |at| at.min(end)));
    }
}

/// Checks what somebody who is no proxy admin wants to change of a key.
pub(super) fn check_change(patch: &KeyPatch, key: &Key, actor: &Actor) -> Result<(), KeyError> {
    if actor.is_admin() {
        return Ok(());
    }
    for (said, name) in [
        (patch.max_budget.is_said(), "max_budget"),
        (patch.soft_budget.is_said(), "soft_budget"),
        (patch.spend.is_some(), "spend"),
        (patch.kept.contains_key("budget_limits"), "budget_limits"),
        (patch.kept.contains_key("model_max_budget"), "model_max_budget"),
        (patch.kept.contains_key("project_id"), "project_id"),
        (patch.kept.contains_key("end_user_budget_id"), "end_user_budget_id"),
        (patch.in_metadata.contains_key("throttle_on_budget_exceeded"), "throttle_on_budget_exceeded"),
        (patch.in_metadata.contains_key("temp_budget_increase"), "temp_budget_increase"),
        (patch.permissions.is_said(), "permissions"),
        (patch.allowed_routes.is_said(), "allowed_routes"),
        (patch.config.is_said(), "config"),
        (patch.blocked.is_said(), "blocked"),
        (patch.budget_duration.is_said(), "budget_duration"),
        (patch.user_id.is_said(), "user_id"),
        (patch.team_id.is_said(), "team_id"),
        (patch.organization_id.is_said(), "organization_id"),
    ] {
        refuse_if(said, name)?;
    }
    // Whoever holds a key that ends lets it end no later.
    let is_prolonged = match (&patch.duration, key.expires_at) {
        (Patch::Keep, _) | (_, None) => false,
        (Patch::Clear, Some(_)) => true,
        (Patch::To(text), Some(end)) => {
            super::patch::expiry(text, time::OffsetDateTime::now_utc())?.is_none_or(|new| new > end)
        }
    };
    refuse_if(is_prolonged, "a later end of a key")?;
    for name in LIMITING_METADATA {
        let Some(most) = key.metadata.get(*name) else { continue };
        let is_said = patch.in_metadata.get(*name).is_some_and(|said| said != most && !said.is_null());
        let is_replaced = match &patch.metadata {
            Patch::Keep => false,
            Patch::Clear => true,
            Patch::To(metadata) => metadata.get(*name) != Some(most),
        };
        refuse_if(is_said || is_replaced, name)?;
    }
    if let Patch::To(metadata) = &patch.metadata {
        check_metadata(metadata, Some(&key.metadata))?;
    }
    for (wanted, most, name) in [
        (&patch.rpm_limit, key.rpm_limit, "rpm_limit"),
        (&patch.tpm_limit, key.tpm_limit, "tpm_limit"),
        (&patch.max_parallel_requests, key.max_parallel_requests, "max_parallel_requests"),
    ] {
        check_limit(wanted, most, name)?;
    }
    let own = actor.key().map(|own| own.models.as_slice()).unwrap_or_default();
    match &patch.models {
        Patch::Keep => Ok(()),
        Patch::Clear => check_models(&[], own),
        Patch::To(models) => check_models(models, own),
    }
}

/// Checks that somebody who is no proxy admin gets no more by another value of a key than they have: it is theirs or calls
/// models alone, and the key that asks has every right, budget and limit of it, for as long.
pub(super) fn check_takeover(key: &Key, actor: &Actor) -> Result<(), KeyError> {
    if actor.is_admin() {
        return Ok(());
    }
    let acts_as_other = key.user_id.is_some() && key.user_id != actor.user_id;
    if acts_as_other && key.allowed_routes != ["llm_api_routes"] {
        return Err(KeyError::NotAllowed(
            "This key can act as another user, so only proxy admins and that user regenerate it.".to_owned(),
        ));
    }
    let Some(own) = actor.key() else { return Ok(()) };
    check_models(&key.models, &own.models)?;
    let is_above = |of: Option<i64>, most: Option<i64>| most.is_some_and(|most| of.is_none_or(|of| of > most));
    let nanos = |key: &Key| key.max_budget.map(NanoUsd::nanos);
    let differs = |name: &str| own.more.get(name).is_some_and(has_members) && key.more.get(name) != own.more.get(name);
    let is_given = |name: &&str| {
        key.metadata.get(*name).is_some_and(|value| !value.is_null() && own.metadata.get(*name) != Some(value))
    };
    let outlives = own.expires_at.is_some_and(|end| key.expires_at.is_none_or(|at| at > end));
    let is_wider = [
        (is_above(nanos(key), nanos(own)), "max_budget"),
        (differs("budget_limits"), "budget_limits"),
        (differs("model_max_budget"), "model_max_budget"),
        (is_above(key.rpm_limit, own.rpm_limit), "rpm_limit"),
        (is_above(key.tpm_limit, own.tpm_limit), "tpm_limit"),
        (is_above(key.max_parallel_requests, own.max_parallel_requests), "max_parallel_requests"),
        (outlives, "duration"),
        (!own.allowed_routes.is_empty() && !within(&key.allowed_routes, &own.allowed_routes), "allowed_routes"),
        (!key.permissions.is_empty() && key.permissions != own.permissions, "permissions"),
        (!key.config.is_empty() && key.config != own.config, "config"),
        (RESERVED_METADATA.iter().any(is_given), "metadata"),
    ];
    match is_wider.into_iter().find(|(is_wider, _)| *is_wider) {
        Some((_, name)) => Err(KeyError::NotAllowed(format!(
            "The key that asks has less {name} than this key: regenerate it with itself, or ask a proxy admin."
        ))),
        None => Ok(()),
    }
}

/// Whether a list names something, and nothing that the other does not.
fn within(entries: &[String], all: &[String]) -> bool {
    !entries.is_empty() && entries.iter().all(|entry| all.contains(entry))
}

/// A limit that somebody set is lowered by its holder, and neither raised nor taken away.
fn check_limit(wanted: &Patch<i64>, most: Option<i64>, name: &str) -> Result<(), KeyError> {
    let Some(most) = most else { return Ok(()) };
    let is_raised = match wanted {
        Patch::Keep => false,
        Patch::Clear => true,
        Patch::To(wanted) => *wanted > most,
    };
    match is_raised {
        true => Err(KeyError::NotAllowed(format!("Only proxy admins can set {name} above {most}."))),
        false => Ok(()),
    }
}

/// A key with a list of models gives no models that it may not call. No list: all.
fn check_models(wanted: &[String], own: &[String]) -> Result<(), KeyError> {
    if own.is_empty() {
        return Ok(());
    }
    let has = |model: &String| {
        own.iter().any(|entry| entry == model || entry.strip_suffix('*').is_some_and(|start| model.starts_with(start)))
    };
    match wanted.iter().find(|model| !has(model)) {
        Some(model) => {
            Err(KeyError::NotAllowed(format!("Your key may not call the model '{model}', so it cannot give it.")))
        }
        None if wanted.is_empty() => {
            Err(KeyError::NotAllowed("Your key may not call all models, so it cannot give them.".to_owned()))
        }
        None => Ok(()),
    }
}

fn check_metadata(wanted: &Map<String, Value>, before: Option<&Map<String, Value>>) -> Result<(), KeyError> {
    let changed = |name: &&&str| {
        wanted.contains_key(**name) && wanted.get(**name) != before.and_then(|before| before.get(**name))
    };
    match RESERVED_METADATA.iter().find(changed) {
        Some(name) => refuse_if(true, &format!("metadata.{name}")),
        None => Ok(()),
    }
}

fn has_members(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty())
        || value.as_object().is_some_and(|members| !members.is_empty())
}

fn refuse_if(said: bool, name: &str) -> Result<(), KeyError> {
    match said {
        true => Err(KeyError::NotAllowed(format!("Only proxy admins can set {name}."))),
        false => Ok(()),
    }
}
