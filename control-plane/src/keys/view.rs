//! A key as the API shows it: LiteLLM's names, and every column there, set or not, because clients expect the names.

use std::collections::HashMap;

use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Key;
use crate::budgets::{self, BudgetRow, BudgetView};
use crate::http::moment::Moment;
use crate::spend::{self, Owner, Total};

/// A key, without its value.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// SHA-256 of the key in hex: its name in management calls, never a credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// `sk-...` and the last four characters.
    key_name: Option<String>,
    key_alias: Option<String>,
    /// US dollars in the budget's current window.
    spend: f64,
    /// US dollars ever.
    total_spend: f64,
    soft_budget_cooldown: bool,
    expires: Option<Moment>,
    models: Vec<String>,
    #[schema(value_type = Object)]
    aliases: Map<String, Value>,
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    #[schema(value_type = Object)]
    router_settings: Value,
    user_id: Option<String>,
    pub(crate) team_id: Option<String>,
    #[schema(value_type = Option<String>)]
    agent_id: Value,
    #[schema(value_type = Option<String>)]
    project_id: Value,
    organization_id: Option<String>,
    #[schema(value_type = Object)]
    permissions: Map<String, Value>,
    max_parallel_requests: Option<i64>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    blocked: Option<bool>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    #[schema(value_type = Option<i64>)]
    tpd_limit: Value,
    max_budget: Option<f64>,
    soft_budget: Option<f64>,
    budget_duration: Option<String>,
    budget_reset_at: Option<Moment>,
    #[schema(value_type = Option<Vec<Object>>)]
    budget_limits: Value,
    allowed_cache_controls: Vec<String>,
    allowed_routes: Vec<String>,
    key_type: String,
    #[schema(value_type = Vec<String>)]
    policies: Value,
    #[schema(value_type = Vec<String>)]
    access_group_ids: Value,
    #[schema(value_type = Object)]
    model_spend: Map<String, Value>,
    #[schema(value_type = Object)]
    model_max_budget: Value,
    #[schema(value_type = Option<Object>)]
    budget_fallbacks: Value,
    budget_id: Option<String>,
    #[schema(value_type = Option<String>)]
    end_user_budget_id: Value,
    /// The budget that it shares.
    litellm_budget_table: Option<BudgetView>,
    object_permission_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    object_permission: Value,
    created_at: Moment,
    created_by: Option<String>,
    updated_at: Moment,
    updated_by: Option<String>,
    settings_updated_at: Option<Moment>,
    last_active: Option<Moment>,
    rotation_count: i64,
    #[schema(value_type = bool)]
    auto_rotate: Value,
    #[schema(value_type = Option<String>)]
    rotation_interval: Value,
    last_rotation_at: Option<Moment>,
    key_rotation_at: Option<Moment>,
    /// `active`, `expired`, `revoked` or `deleted`.
    status: &'static str,
    /// The alias of its team, where a list of keys is not about one team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team_alias: Option<String>,
    /// What else was said of it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rest: Map<String, Value>,
}

/// What `/key/generate` answers: the only answer with the key's value.
#[derive(Serialize, ToSchema)]
pub(crate) struct Generated {
    /// The key. It is not stored and not shown again.
    pub(crate) key: String,
    /// As `token`.
    pub(crate) token_id: Option<String>,
    /// As it was asked for.
    pub(crate) duration: Option<String>,
    #[serde(flatten)]
    pub(crate) row: KeyView,
}

/// Whether a key is in use or in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Live,
    Archive,
}

impl KeyView {
    /// The view of a key of which this was spent.
    pub(super) fn of(key: Key, total: Total, place: Place, now: OffsetDateTime) -> Self {
        let status = status(&key, place, now);
        let mut more = key.more;
        let mut kept = |name: &str, default: Value| more.shift_remove(name).unwrap_or(default);
        let empty = || Value::Object(Map::new());
        let none = || Value::Array(Vec::new());
        Self {
            token: Some(key.hash.to_string()),
            key_name: key.masked,
            key_alias: key.alias,
            spend: total.window.to_usd(),
            total_spend: total.ever.to_usd(),
            soft_budget_cooldown: false,
            expires: key.expires_at.map(Moment),
            models: key.models,
            aliases: key.aliases,
            config: key.config,
            router_settings: kept("router_settings", empty()),
            user_id: key.user_id,
            team_id: key.team_id,
            agent_id: kept("agent_id", Value::Null),
            project_id: kept("project_id", Value::Null),
            organization_id: key.organization_id,
            permissions: key.permissions,
            max_parallel_requests: key.max_parallel_requests,
            metadata: key.metadata,
            blocked: key.blocked,
            tpm_limit: key.tpm_limit,
            rpm_limit: key.rpm_limit,
            tpd_limit: kept("tpd_limit", Value::Null),
            max_budget: key.max_budget.map(NanoUsd::to_usd),
            soft_budget: key.soft_budget.map(NanoUsd::to_usd),
            budget_duration: key.budget_duration,
            budget_reset_at: total.resets_at.map(Moment),
            budget_limits: kept("budget_limits", Value::Null),
            allowed_cache_controls: key.allowed_cache_controls,
            allowed_routes: key.allowed_routes,
            key_type: key.key_type,
            policies: kept("policies", none()),
            access_group_ids: kept("access_group_ids", none()),
            model_spend: Map::new(),
            model_max_budget: kept("model_max_budget", empty()),
            budget_fallbacks: kept("budget_fallbacks", Value::Null),
            budget_id: {
                // What older rows kept under this name is no link.
                kept("budget_id", Value::Null);
                key.budget_id
            },
            end_user_budget_id: kept("end_user_budget_id", Value::Null),
            litellm_budget_table: None,
            object_permission_id: None,
            object_permission: kept("object_permission", Value::Null),
            created_at: Moment(key.created_at),
            created_by: key.created_by,
            updated_at: Moment(key.updated_at),
            updated_by: key.updated_by,
            settings_updated_at: None,
            last_active: total.last_used_at.map(Moment),
            rotation_count: 0,
            auto_rotate: kept("auto_rotate", false.into()),
            rotation_interval: kept("rotation_interval", Value::Null),
            last_rotation_at: None,
            key_rotation_at: None,
            status,
            team_alias: None,
            rest: more,
        }
    }

    /// With the budget that the key shares.
    pub(super) fn with_budget(self, row: Option<BudgetRow>) -> Self {
        let resets_at = self.budget_reset_at.as_ref().map(|at| at.0);
        Self { litellm_budget_table: row.map(|row| BudgetView::of(row, resets_at)), ..self }
    }

    /// Without the hash, as answers about one key and about a team show keys.
    pub(crate) fn without_token(self) -> Self {
        Self { token: None, ..self }
    }
}

/// Keys in use, with what was spent of each.
pub(crate) async fn views(db: &mut PgConnection, keys: Vec<Key>, now: OffsetDateTime) -> sqlx::Result<Vec<KeyView>> {
    views_in(db, keys, Place::Live, now).await
}

/// Keys from the archive, with what was spent of each.
pub(super) async fn archived_views(
    db: &mut PgConnection,
    keys: Vec<Key>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<KeyView>> {
    views_in(db, keys, Place::Archive, now).await
}

async fn views_in(
    db: &mut PgConnection,
    keys: Vec<Key>,
    place: Place,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<KeyView>> {
    let ids: Vec<String> = keys.iter().map(|key| key.hash.to_string()).collect();
    let totals: HashMap<String, Total> = spend::totals(db, Owner::Key, &ids).await?;
    let shared: Vec<String> = keys.iter().filter_map(|key| key.budget_id.clone()).collect();
    let shared = budgets::among(db, &shared).await?;
    let view = |(key, id): (Key, &String)| {
        let row = shared.iter().find(|row| key.budget_id.as_ref() == Some(&row.budget_id)).cloned();
        KeyView::of(key, totals.get(id).copied().unwrap_or_default(), place, now).with_budget(row)
    };
    Ok(keys.into_iter().zip(&ids).map(view).collect())
}

/// One key, with what was spent of it.
pub(super) async fn view(db: &mut PgConnection, key: Key, place: Place, now: OffsetDateTime) -> sqlx::Result<KeyView> {
    let total = spend::total(db, Owner::Key, &key.hash.to_string()).await?;
    let shared: Vec<String> = key.budget_id.iter().cloned().collect();
    let row = budgets::among(db, &shared).await?.pop();
    Ok(KeyView::of(key, total, place, now).with_budget(row))
}

/// A key as audit rows keep it.
pub(super) fn for_audit(key: &Key) -> Value {
    let view = KeyView::of(key.clone(), Total::default(), Place::Live, key.updated_at);
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        // Not the key's own: it is in the spend tables, and a zero here would be wrong.
        for name in ["spend", "total_spend", "last_active", "status"] {
            members.shift_remove(name);
        }
    }
    value
}

fn status(key: &Key, place: Place, now: OffsetDateTime) -> &'static str {
    match place {
        Place::Archive => "deleted",
        Place::Live if key.blocked == Some(true) => "revoked",
        Place::Live if key.expires_at.is_some_and(|at| at < now) => "expired",
        Place::Live => "active",
    }
}
