//! Making a key out of a request. Pure, but for chance and the clock, which are arguments.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::KeyHash;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::fields::{COLUMNS, KEPT, MAKING, METADATA};
use super::{Key, KeyError, Rules, link, patch};
use crate::access::Actor;
use crate::budgets::BudgetRow;
use crate::http::fields::{Field, Form, Issue, Patch, Request};
use crate::limits;

/// Random bytes of a key: 192 bits.
pub(crate) const RANDOM_BYTES: usize = 24;

/// Least and most characters of a key that a caller chooses.
const CHOSEN: std::ops::RangeInclusive<usize> = 16..=100;

/// What `POST /key/generate` asks for.
#[derive(Debug, Default)]
pub(crate) struct NewKey {
    pub(crate) key: Option<String>,
    pub(crate) key_alias: Option<String>,
    pub(crate) duration: Option<String>,
    pub(crate) models: Vec<String>,
    pub(crate) aliases: Map<String, Value>,
    pub(crate) config: Map<String, Value>,
    pub(crate) spend: Option<f64>,
    pub(crate) max_budget: Option<f64>,
    pub(crate) soft_budget: Option<f64>,
    pub(crate) budget_duration: Option<String>,
    pub(crate) budget_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) team_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) rpm_limit: Option<i64>,
    pub(crate) max_parallel_requests: Option<i64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) permissions: Option<Map<String, Value>>,
    pub(crate) allowed_routes: Option<Vec<String>>,
    pub(crate) allowed_cache_controls: Vec<String>,
    pub(crate) blocked: Option<bool>,
    pub(crate) key_type: Option<String>,
    pub(crate) in_metadata: Map<String, Value>,
    pub(crate) kept: Map<String, Value>,
    /// All that the request says, also `null`, as it said it.
    pub(crate) said: Map<String, Value>,
}

impl Request for NewKey {
    const NAME: &'static str = "NewKey";
    const FIELDS: &'static [&'static [Field]] = &[MAKING, COLUMNS, METADATA, KEPT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let id = |said: Patch<String>| said.given().filter(|id| !id.is_empty());
        let said = form.said().clone();
        let in_metadata = form.take_all(METADATA);
        patch::check_temporary_budget(&in_metadata)?;
        Ok(Self {
            key: form.take("key").given(),
            key_alias: form.take("key_alias").given(),
            duration: form.take("duration").given(),
            models: form.take("models").given().unwrap_or_default(),
            aliases: form.take("aliases").given().unwrap_or_default(),
            config: form.take("config").given().unwrap_or_default(),
            spend: form.take("spend").given(),
            max_budget: form.take("max_budget").given(),
            soft_budget: form.take("soft_budget").given(),
            budget_duration: form.take("budget_duration").given(),
            budget_id: id(form.take("budget_id")),
            user_id: id(form.take("user_id")),
            team_id: id(form.take("team_id")),
            organization_id: id(form.take("organization_id")),
            tpm_limit: form.take("tpm_limit").given(),
            rpm_limit: form.take("rpm_limit").given(),
            max_parallel_requests: form.take("max_parallel_requests").given(),
            metadata: form.take("metadata").given().unwrap_or_default(),
            permissions: form.take("permissions").given(),
            allowed_routes: form.take("allowed_routes").given(),
            allowed_cache_controls: form.take("allowed_cache_controls").given().unwrap_or_default(),
            blocked: form.take("blocked").given(),
            key_type: form.take("key_type").given(),
            in_metadata,
            kept: form.take_all(KEPT),
            said,
        })
    }
}

/// A new key and its value: the one place where both are together. No Debug: it would show the value.
pub(crate) struct Minted {
    pub(crate) key: Key,
    pub(crate) value: String,
    /// How long it lives, as it was asked for or bounded.
    pub(crate) duration: Option<String>,
}

/// Makes the key that was asked for, within the operator's bounds. Who may have it was decided before, and what it would have from
/// the budget that it shares was put into it.
pub(crate) fn mint(
    mut new: NewKey,
    budget: Option<&BudgetRow>,
    rules: &Rules,
    actor: &Actor,
    now: OffsetDateTime,
    random: [u8; RANDOM_BYTES],
) -> Result<Minted, KeyError> {
    rules.values.check(new.key.as_deref())?;
    rules.bounds.fit(&mut new, now)?;
    if let Some(row) = budget {
        link::take_back(&mut new, row);
    }
    let value = match new.key {
        Some(chosen) => checked_value(chosen)?,
        None => random_value(random),
    };
    if let Some(alias) = &new.key_alias {
        patch::check_alias(alias)?;
        rules.aliases.check(alias)?;
    }
    let duration = new.duration;
    let expires_at = duration.as_deref().map(|text| patch::expiry(text, now)).transpose()?.flatten();
    let mut metadata = new.metadata;
    metadata.extend(new.in_metadata.into_iter().filter(|(_, value)| !value.is_null()));
    let key_type = new.key_type.unwrap_or_else(|| "default".to_owned());
    let by = actor.user_id.clone();
    let key = Key {
        hash: KeyHash::of(&value),
        masked: Some(proto::key::masked(&value)),
        alias: new.key_alias,
        user_id: new.user_id,
        team_id: new.team_id,
        organization_id: new.organization_id,
        models: new.models,
        aliases: new.aliases,
        config: new.config,
        permissions: new.permissions.unwrap_or_default(),
        metadata,
        blocked: new.blocked,
        expires_at,
        max_budget: limits::usd("max_budget", new.max_budget)?,
        soft_budget: limits::usd("soft_budget", new.soft_budget)?,
        budget_duration: limits::window(new.budget_duration)?,
        budget_id: new.budget_id,
        tpm_limit: limits::limit("tpm_limit", new.tpm_limit)?,
        rpm_limit: limits::limit("rpm_limit", new.rpm_limit)?,
        max_parallel_requests: limits::limit("max_parallel_requests", new.max_parallel_requests)?,
        allowed_routes: match key_type.as_str() {
            "llm_api" => vec!["llm_api_routes".to_owned()],
            "management" => vec!["management_routes".to_owned()],
            "read_only" => vec!["info_routes".to_owned()],
            _ => new.allowed_routes.unwrap_or_default(),
        },
        key_type,
        allowed_cache_controls: new.allowed_cache_controls,
        more: new.kept.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by,
    };
    Ok(Minted { key, value, duration })
}

/// A value that nobody can guess.
pub(super) fn random_value(random: [u8; RANDOM_BYTES]) -> String {
    format!("sk-{}", URL_SAFE_NO_PAD.encode(random))
}

/// A value that a caller chose.
pub(super) fn checked_value(value: String) -> Result<String, KeyError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match value.starts_with("sk-") && CHOSEN.contains(&value.len()) && value.bytes().all(safe) {
        true => Ok(value),
        false => Err(KeyError::BadValue),
    }
}
