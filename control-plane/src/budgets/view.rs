//! A budget as the API shows it.

use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{BudgetRow, account};
use crate::http::moment::Moment;

/// A budget.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BudgetView {
    budget_id: String,
    /// US dollars.
    max_budget: Option<f64>,
    soft_budget: Option<f64>,
    max_parallel_requests: Option<i64>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    tpd_limit: Option<i64>,
    #[schema(value_type = Option<Object>)]
    model_max_budget: Option<Map<String, Value>>,
    budget_duration: Option<String>,
    /// Of an owner: when its window ends. Of a budget alone: when a window ends that begins now.
    budget_reset_at: Option<Moment>,
    allowed_models: Vec<String>,
    temp_budget_increase: Option<f64>,
    temp_budget_expiry: Option<Moment>,
    created_at: Moment,
    created_by: String,
    updated_at: Moment,
    updated_by: String,
}

impl BudgetView {
    /// The budget of an owner whose window ends then.
    pub(crate) fn of(row: BudgetRow, resets_at: Option<OffsetDateTime>) -> Self {
        Self {
            budget_id: row.budget_id,
            max_budget: row.max_budget.map(NanoUsd::to_usd),
            soft_budget: row.soft_budget.map(NanoUsd::to_usd),
            max_parallel_requests: row.max_parallel_requests,
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            tpd_limit: row.tpd_limit,
            model_max_budget: row.model_max_budget,
            budget_duration: row.budget_duration,
            budget_reset_at: resets_at.map(Moment),
            allowed_models: row.allowed_models,
            temp_budget_increase: row.temp_increase.map(NanoUsd::to_usd),
            temp_budget_expiry: row.temp_expires_at.map(Moment),
            created_at: Moment(row.created_at),
            created_by: row.created_by,
            updated_at: Moment(row.updated_at),
            updated_by: row.updated_by,
        }
    }
}

/// Budgets alone.
pub(super) async fn views(db: &mut PgConnection, rows: Vec<BudgetRow>) -> sqlx::Result<Vec<BudgetView>> {
    let calendar = account::calendar(db).await?;
    let now = OffsetDateTime::now_utc();
    let view = |row: BudgetRow| {
        let resets_at = row.budget_duration.as_deref().and_then(|window| calendar.next_end(window, now));
        BudgetView::of(row, resets_at)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// What audit rows keep of a budget.
pub(super) fn for_audit(row: &BudgetRow) -> Value {
    json!({
        "budget_id": row.budget_id,
        "max_budget": row.max_budget.map(NanoUsd::to_usd),
        "soft_budget": row.soft_budget.map(NanoUsd::to_usd),
        "max_parallel_requests": row.max_parallel_requests,
        "tpm_limit": row.tpm_limit,
        "rpm_limit": row.rpm_limit,
        "tpd_limit": row.tpd_limit,
        "model_max_budget": row.model_max_budget,
        "budget_duration": row.budget_duration,
        "allowed_models": row.allowed_models,
        "temp_budget_increase": row.temp_increase.map(NanoUsd::to_usd),
        "temp_budget_expiry": row.temp_expires_at.map(|at| Moment(at).text()),
        "updated_at": Moment(row.updated_at).text(),
        "updated_by": row.updated_by,
    })
}
