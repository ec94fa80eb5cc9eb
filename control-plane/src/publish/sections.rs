//! The settings sections of the product configuration, as stored and as data planes see them.
//!
//! Each section has a row per origin; what the API wrote goes over what the file says, member by member.

use std::collections::BTreeMap;

use litellm_config::reference::{Value as Text, resolve_all};
use proto::NanoUsd;
use proto::v1 as pb;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::gate::gate;
use super::resource::flag;
use super::source::{ComposeError, Environment, Source};
use crate::budgets::{Budget, publish};
use crate::credentials::{self, Credential};
use crate::keys::duration::Span;
use crate::vault::Vault;

/// LiteLLM retries a failed call twice where nothing is said.
const DEFAULT_RETRIES: u32 = 2;

/// Where a sealed section is sealed for.
pub(crate) fn place(section: &str, origin: &str) -> String {
    format!("settings|sealed_value|{section}/{origin}")
}

/// All sections, with their secret members, and the named credentials. No Debug: it would show them.
#[derive(Default)]
pub(crate) struct Sections {
    general: Map<String, Value>,
    litellm: Map<String, Value>,
    router: Map<String, Value>,
    environment: BTreeMap<String, String>,
    credentials: BTreeMap<String, Credential>,
}

/// A section of one origin, as stored. No Debug: it may show what should have been a secret.
pub(crate) struct Stored {
    pub(crate) section: String,
    pub(crate) origin: String,
    pub(crate) value: Value,
    pub(crate) sealed_value: Option<Vec<u8>>,
}

/// Every section of every origin; of one section, what goes over the other comes later.
pub(crate) async fn stored(db: &mut PgConnection) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Stored,
        "select section, origin, value, sealed_value from settings
         order by section, case origin when 'file' then 0 else 1 end",
    );
    rows.fetch_all(db).await
}

/// Reads all sections.
pub(crate) async fn read(db: &mut PgConnection, vault: &Vault) -> Result<Sections, ComposeError> {
    let rows = stored(&mut *db).await?;
    let mut sections = Sections { credentials: credentials::by_name(db).await?, ..Sections::default() };
    for row in rows {
        let mut members = object(row.value);
        if let Some(sealed) = row.sealed_value {
            let opened = vault.open(&place(&row.section, &row.origin), &sealed);
            let plain = opened.map_err(|source| ComposeError::Settings { section: row.section.clone(), source })?;
            members.extend(object(serde_json::from_slice(&plain).unwrap_or_default()));
        }
        match row.section.as_str() {
            "general_settings" => sections.general.extend(members),
            "litellm_settings" => sections.litellm.extend(members),
            "router_settings" => sections.router.extend(members),
            "environment_variables" => {
                let texts = members.into_iter().filter_map(|(name, value)| Some((name, text(&value)?)));
                sections.environment.extend(texts);
            }
            // Kept for releases and slices that use them.
            _ => {}
        }
    }
    Ok(sections)
}

impl Sections {
    /// The value of `NAME` in `os.environ/NAME`: `environment_variables` first, as LiteLLM sets them over
    /// the process's own, then the process.
    pub(crate) fn look_up(&self, environment: &Environment, name: &str) -> Option<String> {
        match self.environment.get(name) {
            Some(own) => Text::read(own).resolve(&|other| environment.get(other)).filter(|text| !text.is_empty()),
            None => environment.get(name),
        }
    }

    /// The credential that deployments name so.
    pub(crate) fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.get(name)
    }

    /// What data planes need of them.
    pub(crate) fn settings(&self, source: &Source) -> pb::Settings {
        let general = |name: &str| self.value(source, self.general.get(name));
        let litellm = |name: &str| self.value(source, self.litellm.get(name));
        let router = |name: &str| self.value(source, self.router.get(name));
        let retries = whole(&router("num_retries")).or_else(|| whole(&litellm("num_retries")));
        let timeout = milliseconds(&litellm("request_timeout")).or_else(|| milliseconds(&router("timeout")));
        let request_mb = number(&general("max_request_size_mb")).unwrap_or(0.0);
        pb::Settings {
            master_key_sha256: source.extras.master_key_sha256.clone().into(),
            master_user_id: source.extras.master_user_id.clone(),
            key_header_name: text(&general("litellm_key_header_name")).unwrap_or_default(),
            num_retries: retries.unwrap_or(DEFAULT_RETRIES),
            timeout_ms: timeout.unwrap_or(0),
            stream_timeout_ms: milliseconds(&router("stream_timeout")).unwrap_or(0),
            model_group_aliases: group_aliases(&router("model_group_alias")),
            model_alias_map: super::resource::name_map(&litellm("model_alias_map")),
            always_include_stream_usage: flag(Some(&general("always_include_stream_usage"))),
            // LiteLLM asks for usage unless told not to in so many words.
            never_ask_stream_usage: general("always_include_stream_usage") == Value::Bool(false),
            no_auth: source.extras.no_auth,
            max_request_bytes: saturated(request_mb * 1_048_576.0),
            deny_unknown_price: text(&general("on_unknown_price")).as_deref() == Some("deny"),
            default_chat_model: text(&general("completion_model")).unwrap_or_default(),
            forward_client_headers: flag(Some(&general("forward_client_headers_to_llm_api"))),
            proxy_budgets: self.proxy_budget(source).and_then(publish::budget).into_iter().collect(),
            budget_exceeded_status: whole(&litellm("budget_exceeded_status_code"))
                .or_else(|| whole(&general("budget_exceeded_status_code")))
                .filter(|status| (400..600).contains(status))
                .unwrap_or(0),
            user_budgets_of_team_keys: flag(Some(&general("apply_user_budget_to_team_keys"))),
            strict_budgets: flag(Some(&general("strict_budgets"))),
            reserve_output_tokens: whole(&general("reserve_output_tokens")).unwrap_or(0).into(),
            gate: gate(general, litellm),
        }
    }

    /// How much everybody together may spend. LiteLLM takes 0 for no budget.
    pub(super) fn proxy_budget(&self, source: &Source) -> Option<Budget> {
        let litellm = |name: &str| self.value(source, self.litellm.get(name));
        let most = number(&litellm("max_budget")).filter(|most| *most > 0.0).and_then(NanoUsd::from_usd);
        let window = text(&litellm("budget_duration")).filter(|window| Span::check_window(window).is_ok());
        most.and_then(|most| Budget::of_all(Some(most), window.as_deref()))
    }

    /// The member with its reference resolved; null where there is none or it does not resolve.
    fn value(&self, source: &Source, value: Option<&Value>) -> Value {
        match value {
            Some(value) => resolve_all(value, &|name| self.look_up(&source.environment, name)),
            None => Value::Null,
        }
    }
}

/// A number, also when written as text.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

/// A whole number from 0, also when written as text. Too large ones are the largest there is.
pub(super) fn whole(value: &Value) -> Option<u32> {
    number(value).filter(|number| *number >= 0.0).map(saturated)
}

/// Seconds, as configuration writes times, in milliseconds. Times of 0 and less count as not set.
fn milliseconds(value: &Value) -> Option<u32> {
    number(value).filter(|seconds| *seconds > 0.0).map(|seconds| saturated((seconds * 1_000.0).ceil()))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn saturated(number: f64) -> u32 {
    number as u32
}

/// The value as text, where it is text, a number or a truth value.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// An alias is the name of a group, or an object that may also hide it.
fn group_aliases(value: &Value) -> BTreeMap<String, pb::ModelAlias> {
    let Some(members) = value.as_object() else { return BTreeMap::new() };
    let alias = |value: &Value| match value {
        Value::String(model) => Some(pb::ModelAlias { model: model.clone(), hidden: false }),
        other => {
            let model = other.get("model")?.as_str()?.to_owned();
            Some(pb::ModelAlias { model, hidden: flag(other.get("hidden")) })
        }
    };
    members.iter().filter_map(|(name, value)| Some((name.clone(), alias(value)?))).collect()
}
