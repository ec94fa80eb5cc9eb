//! Changing a key: what a request leaves out stays, `null` clears. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::fields::{COLUMNS, KEPT, METADATA, SERVICE_ACCOUNT};
use super::{Key, KeyError, Rules, duration};
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::limits::{self, LimitError};

const WHICH: &[Field] =
    &[optional("key", Shape::Text, "The key to change: its value or its hash. Or name `key_alias`.")];

/// What `POST /key/update` asks for.
#[derive(Debug, Default)]
pub(crate) struct KeyPatch {
    pub(crate) key: Option<String>,
    pub(crate) key_alias: Patch<String>,
    pub(crate) duration: Patch<String>,
    pub(crate) models: Patch<Vec<String>>,
    pub(crate) aliases: Patch<Map<String, Value>>,
    pub(crate) config: Patch<Map<String, Value>>,
    pub(crate) spend: Option<f64>,
    pub(crate) max_budget: Patch<f64>,
    pub(crate) soft_budget: Patch<f64>,
    pub(crate) budget_duration: Patch<String>,
    pub(crate) budget_id: Patch<String>,
    pub(crate) user_id: Patch<String>,
    pub(crate) team_id: Patch<String>,
    pub(crate) organization_id: Patch<String>,
    pub(crate) tpm_limit: Patch<i64>,
    pub(crate) rpm_limit: Patch<i64>,
    pub(crate) max_parallel_requests: Patch<i64>,
    pub(crate) metadata: Patch<Map<String, Value>>,
    pub(crate) permissions: Patch<Map<String, Value>>,
    pub(crate) allowed_routes: Patch<Vec<String>>,
    pub(crate) allowed_cache_controls: Patch<Vec<String>>,
    pub(crate) blocked: Patch<bool>,
    pub(crate) in_metadata: Map<String, Value>,
    pub(crate) kept: Map<String, Value>,
    /// All that the request says of the key, also `null`, as it said it.
    pub(crate) said: Map<String, Value>,
}

impl Request for KeyPatch {
    const NAME: &'static str = "KeyPatch";
    const FIELDS: &'static [&'static [Field]] = &[WHICH, COLUMNS, METADATA, KEPT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let key = form.take("key").given();
        let key_alias = form.take("key_alias");
        if key.is_none() && !matches!(key_alias, Patch::To(_)) {
            return Err(vec![Issue::missing("key")]);
        }
        Self::of(form, key, key_alias)
    }
}

impl KeyPatch {
    /// Reads what changes; which key it is about and its alias are taken already.
    pub(super) fn of(mut form: Form, key: Option<String>, key_alias: Patch<String>) -> Result<Self, Vec<Issue>> {
        let mut said = form.said().clone();
        let in_metadata = form.take_all(METADATA);
        check_temporary_budget(&in_metadata)?;
        // An admin page sends `""` for a team that it does not want to change.
        let team_id = match form.take::<String>("team_id") {
            Patch::To(id) if id.is_empty() => {
                said.shift_remove("team_id");
                Patch::Keep
            }
            said => said,
        };
        let budget_id = match form.take::<String>("budget_id") {
            Patch::To(id) if id.is_empty() => Patch::Clear,
            said => said,
        };
        Ok(Self {
            key,
            key_alias,
            duration: form.take("duration"),
            models: form.take("models"),
            aliases: form.take("aliases"),
            config: form.take("config"),
            spend: form.take("spend").given(),
            max_budget: form.take("max_budget"),
            soft_budget: form.take("soft_budget"),
            budget_duration: form.take("budget_duration"),
            budget_id,
            user_id: form.take("user_id"),
            team_id,
            organization_id: form.take("organization_id"),
            tpm_limit: form.take("tpm_limit"),
            rpm_limit: form.take("rpm_limit"),
            max_parallel_requests: form.take("max_parallel_requests"),
            metadata: form.take("metadata"),
            permissions: form.take("permissions"),
            allowed_routes: form.take("allowed_routes"),
            allowed_cache_controls: form.take("allowed_cache_controls"),
            blocked: form.take("blocked"),
            in_metadata,
            kept: form.take_all(KEPT),
            said,
        })
    }
}

/// The key as it is after the change, which the operator's rules allow.
pub(super) fn apply(
    mut key: Key,
    patch: KeyPatch,
    rules: &Rules,
    by: Option<&str>,
    now: OffsetDateTime,
) -> Result<Key, KeyError> {
    rules.bounds.check(&patch, &key, now)?;
    if let Patch::To(alias) = &patch.key_alias
        && key.alias.as_ref() != Some(alias)
    {
        check_alias(alias)?;
        rules.aliases.check(alias)?;
    }
    // Without `key`, the alias says which key is meant and stays.
    if patch.key.is_some() {
        patch.key_alias.apply(&mut key.alias);
    }
    match patch.duration {
        Patch::Keep => {}
        Patch::Clear => key.expires_at = None,
        Patch::To(text) => key.expires_at = expiry(&text, now)?,
    }
    limits::set(patch.budget_duration, &mut key.budget_duration, limits::window)?;
    patch.models.fill(&mut key.models);
    patch.aliases.fill(&mut key.aliases);
    patch.config.fill(&mut key.config);
    patch.permissions.fill(&mut key.permissions);
    patch.allowed_routes.fill(&mut key.allowed_routes);
    patch.allowed_cache_controls.fill(&mut key.allowed_cache_controls);
    patch.budget_id.apply(&mut key.budget_id);
    patch.user_id.apply(&mut key.user_id);
    patch.team_id.apply(&mut key.team_id);
    patch.organization_id.apply(&mut key.organization_id);
    patch.blocked.apply(&mut key.blocked);
    limits::set(patch.max_budget, &mut key.max_budget, |value| limits::usd("max_budget", value))?;
    limits::set(patch.soft_budget, &mut key.soft_budget, |value| limits::usd("soft_budget", value))?;
    limits::set(patch.tpm_limit, &mut key.tpm_limit, |value| limits::limit("tpm_limit", value))?;
    limits::set(patch.rpm_limit, &mut key.rpm_limit, |value| limits::limit("rpm_limit", value))?;
    let parallel = |value| limits::limit("max_parallel_requests", value);
    limits::set(patch.max_parallel_requests, &mut key.max_parallel_requests, parallel)?;
    replace_metadata(patch.metadata, &mut key.metadata)?;
    // `null` leaves a field of metadata as it is; of the kept ones it removes it.
    key.metadata.extend(patch.in_metadata.into_iter().filter(|(_, value)| !value.is_null()));
    limits::merge(&mut key.more, patch.kept);
    key.updated_at = now;
    key.updated_by = by.map(str::to_owned);
    Ok(key)
}

/// Metadata is replaced whole, but for the mark of a service account.
fn replace_metadata(wanted: Patch<Map<String, Value>>, metadata: &mut Map<String, Value>) -> Result<(), KeyError> {
    let mark = metadata.get(SERVICE_ACCOUNT).cloned();
    wanted.fill(metadata);
    match (mark, metadata.get(SERVICE_ACCOUNT)) {
        (Some(mark), None) => drop(metadata.insert(SERVICE_ACCOUNT.to_owned(), mark)),
        (mark, now) if mark.as_ref() != now => return Err(KeyError::ServiceAccount),
        _ => {}
    }
    Ok(())
}

/// When a key ends that begins to live now. `-1`: never.
pub(super) fn expiry(text: &str, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, KeyError> {
    if text == "-1" {
        return Ok(None);
    }
    duration::end(text, now).map(Some).map_err(|source| LimitError::Duration { field: "duration", source }.into())
}

/// An alias goes into paths and logs.
pub(super) fn check_alias(alias: &str) -> Result<(), KeyError> {
    let bad = alias.contains("..") || alias.contains('\\') || alias.chars().any(char::is_control);
    match bad || alias.is_empty() || alias.chars().count() > 255 {
        true => Err(KeyError::BadAlias),
        false => Ok(()),
    }
}

/// A temporary budget has an amount and an end.
pub(super) fn check_temporary_budget(said: &Map<String, Value>) -> Result<(), Vec<Issue>> {
    let has = |name: &str| said.get(name).is_some_and(|value| !value.is_null());
    match (has("temp_budget_increase"), has("temp_budget_expiry")) {
        (true, false) => Err(vec![Issue::missing("temp_budget_expiry")]),
        (false, true) => Err(vec![Issue::missing("temp_budget_increase")]),
        (true, true) | (false, false) => Ok(()),
    }
}
