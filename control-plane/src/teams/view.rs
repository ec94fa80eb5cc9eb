//! A team as the API shows it: LiteLLM's names, and every column there, set or not, because clients expect the names.

use std::collections::HashMap;

use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{DEFAULT_BUDGET, Member, Team, members};
use crate::budgets::BudgetView;
use crate::http::moment::Moment;
use crate::spend::{self, Owner, Total};

/// A team.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TeamView {
    pub(crate) team_id: String,
    team_alias: Option<String>,
    organization_id: Option<String>,
    #[schema(value_type = Vec<String>)]
    admins: Value,
    #[schema(value_type = Vec<String>)]
    members: Value,
    pub(crate) members_with_roles: Vec<Member>,
    #[schema(value_type = Object)]
    pub(super) metadata: Map<String, Value>,
    models: Vec<String>,
    max_budget: Option<f64>,
    soft_budget: Option<f64>,
    /// US dollars in the budget's current window.
    spend: f64,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    #[schema(value_type = Option<i64>)]
    tpd_limit: Value,
    max_parallel_requests: Option<i64>,
    budget_duration: Option<String>,
    budget_reset_at: Option<Moment>,
    #[schema(value_type = Option<Vec<Object>>)]
    budget_limits: Value,
    blocked: bool,
    #[schema(value_type = Object)]
    model_spend: Map<String, Value>,
    #[schema(value_type = Object)]
    model_max_budget: Value,
    #[schema(value_type = Object)]
    router_settings: Value,
    #[schema(value_type = Vec<String>)]
    team_member_permissions: Value,
    #[schema(value_type = Vec<String>)]
    access_group_ids: Value,
    #[schema(value_type = Vec<String>)]
    policies: Value,
    #[schema(value_type = Vec<String>)]
    default_team_member_models: Value,
    #[schema(value_type = Option<i64>)]
    model_id: Value,
    /// Model aliases: `{model_aliases: {alias: model}}`.
    #[schema(value_type = Option<Object>)]
    pub(crate) litellm_model_table: Value,
    allow_team_guardrail_config: bool,
    object_permission_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    object_permission: Value,
    /// The budget of members without one of their own.
    pub(super) team_member_budget_table: Option<BudgetView>,
    created_at: Moment,
    updated_at: Moment,
    /// What else was said of it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rest: Map<String, Value>,
}

impl TeamView {
    /// The view of a team of which this was spent.
    pub(super) fn of(team: Team, total: Total) -> Self {
        let mut more = team.more;
        let mut kept = |name: &str, default: Value| more.shift_remove(name).unwrap_or(default);
        let empty = || Value::Object(Map::new());
        let none = || Value::Array(Vec::new());
        Self {
            team_id: team.team_id,
            team_alias: team.alias,
            organization_id: team.organization_id,
            admins: kept("admins", none()),
            members: kept("members", none()),
            members_with_roles: team.members,
            metadata: team.metadata,
            models: team.models,
            max_budget: team.max_budget.map(NanoUsd::to_usd),
            soft_budget: team.soft_budget.map(NanoUsd::to_usd),
            spend: total.window.to_usd(),
            tpm_limit: team.tpm_limit,
            rpm_limit: team.rpm_limit,
            tpd_limit: kept("tpd_limit", Value::Null),
            max_parallel_requests: team.max_parallel_requests,
            budget_duration: team.budget_duration,
            budget_reset_at: total.resets_at.map(Moment),
            budget_limits: kept("budget_limits", Value::Null),
            blocked: team.blocked,
            model_spend: Map::new(),
            model_max_budget: kept("model_max_budget", empty()),
            router_settings: kept("router_settings", empty()),
            team_member_permissions: kept("team_member_permissions", none()),
            access_group_ids: kept("access_group_ids", none()),
            policies: kept("policies", none()),
            default_team_member_models: kept("default_team_member_models", none()),
            model_id: Value::Null,
            litellm_model_table: match team.model_aliases.is_empty() {
                true => Value::Null,
                false => json!({ "model_aliases": team.model_aliases }),
            },
            allow_team_guardrail_config: false,
            object_permission_id: None,
            object_permission: kept("object_permission", Value::Null),
            team_member_budget_table: None,
            created_at: Moment(team.created_at),
            updated_at: Moment(team.updated_at),
            rest: more,
        }
    }
}

/// Teams, with what was spent of each.
pub(crate) async fn views(db: &mut PgConnection, teams: Vec<Team>) -> sqlx::Result<Vec<TeamView>> {
    let ids: Vec<String> = teams.iter().map(|team| team.team_id.clone()).collect();
    let totals: HashMap<String, Total> = spend::totals(db, Owner::Team, &ids).await?;
    let view = |team: Team| {
        let total = totals.get(&team.team_id).copied().unwrap_or_default();
        TeamView::of(team, total)
    };
    let mut views: Vec<TeamView> = teams.into_iter().map(view).collect();
    add_budgets(db, &mut views).await?;
    Ok(views)
}

/// One team, with what was spent of it.
pub(super) async fn view(db: &mut PgConnection, team: Team) -> sqlx::Result<TeamView> {
    let total = spend::total(db, Owner::Team, &team.team_id).await?;
    let mut view = TeamView::of(team, total);
    add_budgets(db, std::slice::from_mut(&mut view)).await?;
    Ok(view)
}

/// Adds the budgets of members.
async fn add_budgets(db: &mut PgConnection, views: &mut [TeamView]) -> sqlx::Result<()> {
    let budgets = members::default_budgets(db, views.iter().map(|view| &view.metadata)).await?;
    for view in views {
        let id = view.metadata.get(DEFAULT_BUDGET).and_then(Value::as_str);
        let budget = id.and_then(|id| budgets.get(id)).cloned();
        view.team_member_budget_table = budget.map(|row| BudgetView::of(row, None));
    }
    Ok(())
}

/// A team as audit rows keep it.
pub(super) fn for_audit(team: &Team) -> Value {
    let mut value = serde_json::to_value(TeamView::of(team.clone(), Total::default())).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        // Not the team's own: it is in the spend tables, and a zero here would be wrong.
        members.shift_remove("spend");
    }
    value
}
