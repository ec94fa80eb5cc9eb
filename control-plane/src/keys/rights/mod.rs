//! What a key may be given, and by whom. Pure. Nobody grants a right that they do not have.
//!
//! The rule of a field stands with the field ([`super::fields`]). Fields that a request has as they came are held to theirs in
//! [`said`]; those with a type of their own here.

use proto::NanoUsd;
use serde_json::Value;

mod said;
#[cfg(test)]
mod tests;

use super::mint::NewKey;
use super::patch::KeyPatch;
use super::{Key, KeyError};
use crate::access::Actor;
use crate::http::fields::Patch;

/// What somebody who is no proxy admin may say of a field. `own` is the key that asks, of which the new or changed one must give
/// no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Anything: it gives nothing.
    Free,
    /// Nothing: proxy admins say it.
    Admins,
    /// Held to what the key that asks has, by code of its own in this module.
    Own,
    /// As the key that asks has it, which is handed on; anything where it has none. It does not change.
    Same,
    /// As the key that asks has it, which is handed on; nothing where it has none. It does not change.
    Handed,
    /// A list that holds what the key that asks has in it, and maybe more.
    Keeps,
    /// A list of nothing but what the key that asks has in it, where it has one.
    Within,
    /// A number not above what the key that asks has.
    AtMost,
}

/// Completes and checks a new key of somebody who is no proxy admin: it is theirs unless they say otherwise, and can do
/// no more than `own`, the key that makes it with what that has from its budget.
pub(super) fn narrow(new: &mut NewKey, actor: &Actor, own: Option<&Key>) -> Result<(), KeyError> {
    if actor.is_admin() {
        return Ok(());
    }
    if new.user_id.is_none() {
        new.user_id.clone_from(&actor.user_id);
    }
    refuse_if(new.key_type.as_deref() == Some("management"), "key_type=management")?;
    said::narrow(new, own)?;
    let Some(own) = own else { return Ok(()) };
    if let Some(most) = own.max_budget.map(NanoUsd::to_usd) {
        let wanted = *new.max_budget.get_or_insert(most);
        if wanted > most {
            return Err(KeyError::AboveOwnBudget { wanted, own: most });
        }
    }
    // With another window it could spend as much more often; longer ones may end sooner by the calendar.
    if own.max_budget.is_some() {
        let other = new.budget_duration.as_ref().is_some_and(|window| own.budget_duration.as_ref() != Some(window));
        refuse_if(other, "another budget_duration than their own")?;
    }
    if new.allowed_cache_controls.is_empty() {
        new.allowed_cache_controls.clone_from(&own.allowed_cache_controls);
    }
    check_cache_controls(&new.allowed_cache_controls, own)?;
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
    said::check_change(patch, key, actor)?;
    // Whoever holds a key that ends lets it end no later.
    let is_prolonged = match (&patch.duration, key.expires_at) {
        (Patch::Keep, _) | (_, None) => false,
        (Patch::Clear, Some(_)) => true,
        (Patch::To(text), Some(end)) => {
            super::patch::expiry(text, time::OffsetDateTime::now_utc())?.is_none_or(|new| new > end)
        }
    };
    refuse_if(is_prolonged, "a later end of a key")?;
    for (wanted, most, name) in [
        (&patch.rpm_limit, key.rpm_limit, "rpm_limit"),
        (&patch.tpm_limit, key.tpm_limit, "tpm_limit"),
        (&patch.max_parallel_requests, key.max_parallel_requests, "max_parallel_requests"),
    ] {
        check_limit(wanted, most, name)?;
    }
    if let Some(own) = actor.key() {
        match &patch.allowed_cache_controls {
            Patch::Keep => {}
            Patch::Clear => check_cache_controls(&[], own)?,
            Patch::To(controls) => check_cache_controls(controls, own)?,
        }
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
pub(super) fn check_takeover(key: &Key, actor: &Actor, own: Option<&Key>) -> Result<(), KeyError> {
    if actor.is_admin() {
        return Ok(());
    }
    let acts_as_other = key.user_id.is_some() && key.user_id != actor.user_id;
    if acts_as_other && key.allowed_routes != ["llm_api_routes"] {
        return Err(KeyError::NotAllowed(
            "This key can act as another user, so only proxy admins and that user regenerate it.".to_owned(),
        ));
    }
    let Some(own) = own else { return Ok(()) };
    check_models(&key.models, &own.models)?;
    let is_above = |of: Option<i64>, most: Option<i64>| most.is_some_and(|most| of.is_none_or(|of| of > most));
    let nanos = |key: &Key| key.max_budget.map(NanoUsd::nanos);
    let has_other_window =
        own.max_budget.is_some() && key.budget_duration.is_some() && key.budget_duration != own.budget_duration;
    let outlives = own.expires_at.is_some_and(|end| key.expires_at.is_none_or(|at| at > end));
    let is_wider = [
        (is_above(nanos(key), nanos(own)), "max_budget"),
        (has_other_window, "budget_duration"),
        (is_above(key.rpm_limit, own.rpm_limit), "rpm_limit"),
        (is_above(key.tpm_limit, own.tpm_limit), "tpm_limit"),
        (is_above(key.max_parallel_requests, own.max_parallel_requests), "max_parallel_requests"),
        (outlives, "duration"),
        (!own.allowed_routes.is_empty() && !within(&key.allowed_routes, &own.allowed_routes), "allowed_routes"),
        (!key.permissions.is_empty() && key.permissions != own.permissions, "permissions"),
        (!key.config.is_empty() && key.config != own.config, "config"),
        (check_cache_controls(&key.allowed_cache_controls, own).is_err(), "allowed_cache_controls"),
    ];
    let column = is_wider.into_iter().find(|(is_wider, _)| *is_wider).map(|(_, name)| name);
    match column.or_else(|| said::wider(key, own)) {
        Some(name) => Err(KeyError::NotAllowed(format!(
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

/// A key that is kept to some cache controls gives no others. No list: all.
fn check_cache_controls(wanted: &[String], own: &Key) -> Result<(), KeyError> {
    let is_other = !own.allowed_cache_controls.is_empty() && !within(wanted, &own.allowed_cache_controls);
    refuse_if(is_other, "other allowed_cache_controls than their own")
}

/// Whether a value says anything: neither nothing nor empty.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn refuse_if(said: bool, name: &str) -> Result<(), KeyError> {
    match said {
        true => Err(KeyError::NotAllowed(format!("Only proxy admins can set {name}."))),
        false => Ok(()),
    }
}
