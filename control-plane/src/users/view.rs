//! A user as the API shows it: LiteLLM's names, and every column there, set or not, because clients expect the names.

use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::User;
use crate::http::moment::Moment;
use crate::spend::{self, Owner, Total};

/// A user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct UserView {
    pub(crate) user_id: String,
    user_alias: Option<String>,
    user_email: Option<String>,
    user_role: String,
    #[schema(value_type = Option<String>)]
    sso_user_id: Value,
    team_id: Option<String>,
    organization_id: Option<String>,
    pub(crate) teams: Vec<String>,
    models: Vec<String>,
    max_budget: Option<f64>,
    /// US dollars in the budget's current window.
    spend: f64,
    max_parallel_requests: Option<i64>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    budget_duration: Option<String>,
    budget_reset_at: Option<Moment>,
    #[schema(value_type = Vec<String>)]
    allowed_cache_controls: Value,
    #[schema(value_type = Vec<String>)]
    policies: Value,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[schema(value_type = Object)]
    model_spend: Map<String, Value>,
    #[schema(value_type = Object)]
    model_max_budget: Value,
    object_permission_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    object_permission: Value,
    created_at: Moment,
    updated_at: Moment,
    /// What else was said of them.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    rest: Map<String, Value>,
}

impl UserView {
    /// The view of a user of whom this was spent.
    pub(super) fn of(user: User, total: Total) -> Self {
        let mut more = user.more;
        let mut kept = |name: &str, default: Value| more.shift_remove(name).unwrap_or(default);
        Self {
            user_id: user.user_id,
            user_alias: user.alias,
            user_email: user.email,
            user_role: user.role,
            sso_user_id: kept("sso_user_id", Value::Null),
            team_id: user.team_id,
            organization_id: user.organization_id,
            teams: user.teams,
            models: user.models,
            max_budget: user.max_budget.map(NanoUsd::to_usd),
            spend: total.window.to_usd(),
            max_parallel_requests: user.max_parallel_requests,
            tpm_limit: user.tpm_limit,
            rpm_limit: user.rpm_limit,
            budget_duration: user.budget_duration,
            budget_reset_at: total.resets_at.map(Moment),
            allowed_cache_controls: kept("allowed_cache_controls", Value::Array(Vec::new())),
            policies: kept("policies", Value::Array(Vec::new())),
            metadata: user.metadata,
            model_spend: Map::new(),
            model_max_budget: kept("model_max_budget", Value::Object(Map::new())),
            object_permission_id: None,
            object_permission: kept("object_permission", Value::Null),
            created_at: Moment(user.created_at),
            updated_at: Moment(user.updated_at),
            rest: more,
        }
    }

    /// As much as concerns somebody who administers these teams of the user and nothing else.
    pub(super) fn within(mut self, team_ids: &[String]) -> Self {
        self.teams = team_ids.to_vec();
        self.team_id = self.team_id.filter(|id| team_ids.contains(id));
        self.sso_user_id = Value::Null;
        self.metadata = Map::new();
        self.rest = Map::new();
        self
    }
}

/// Users, with what was spent of each.
pub(super) async fn views(db: &mut PgConnection, users: Vec<User>) -> sqlx::Result<Vec<UserView>> {
    let ids: Vec<String> = users.iter().map(|user| user.user_id.clone()).collect();
    let totals = spend::totals(db, Owner::User, &ids).await?;
    let view = |user: User| {
        let total = totals.get(&user.user_id).copied().unwrap_or_default();
        UserView::of(user, total)
    };
    Ok(users.into_iter().map(view).collect())
}

/// One user, with what was spent of them.
pub(super) async fn view(db: &mut PgConnection, user: User) -> sqlx::Result<UserView> {
    let total = spend::total(db, Owner::User, &user.user_id).await?;
    Ok(UserView::of(user, total))
}

/// A user as audit rows keep them.
pub(super) fn for_audit(user: &User) -> Value {
    let mut value = serde_json::to_value(UserView::of(user.clone(), Total::default())).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        // Not the user's own: it is in the spend tables, and a zero here would be wrong.
        members.shift_remove("spend");
    }
    value
}
