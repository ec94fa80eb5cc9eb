//! The `budgets` table.

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::BudgetRow;
use crate::http::part::Part;

/// Selects whole rows of budgets. Which ones is the caller's to say.
macro_rules! select_budgets {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select budget_id, max_budget_nano_usd, soft_budget_nano_usd, budget_duration, rpm_limit, tpm_limit,
                    tpd_limit, max_parallel_requests, model_max_budget, allowed_models, temp_increase_nano_usd,
                    temp_expires_at, created_at, created_by, updated_at, updated_by
             from budgets "
                + $which
            $(, $argument)*
        )
    };
}

/// The budgets among these ids that exist, oldest first.
pub(super) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<BudgetRow>> {
    let rows = select_budgets!("where budget_id = any($1) order by created_at, budget_id", ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(BudgetRow::from).collect())
}

/// A part of all budgets, oldest first.
pub(super) async fn part(db: &mut PgConnection, part: Part) -> sqlx::Result<Vec<BudgetRow>> {
    let rows = select_budgets!("order by created_at, budget_id offset $1 limit $2", part.offset(), part.size());
    Ok(rows.fetch_all(db).await?.into_iter().map(BudgetRow::from).collect())
}

/// The budget, which nobody changes until the transaction ends.
pub(super) async fn locked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Option<BudgetRow>> {
    let row = select_budgets!("where budget_id = $1 for update", budget_id).fetch_optional(db).await?;
    Ok(row.map(BudgetRow::from))
}

/// The budgets among these ids, as [`locked`]; in one order, so that nobody waits for each other.
pub(super) async fn all_locked(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<BudgetRow>> {
    let rows = select_budgets!("where budget_id = any($1) order by budget_id for update", ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(BudgetRow::from).collect())
}

/// The budget; until the transaction ends, it can be linked to by all and changed by nobody.
pub(crate) async fn shared(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Option<BudgetRow>> {
    let row = select_budgets!("where budget_id = $1 for share", budget_id).fetch_optional(db).await?;
    Ok(row.map(BudgetRow::from))
}

/// Adds a budget. One with its id is a violation of `budgets_pkey`.
pub(super) async fn insert(db: &mut PgConnection, row: &BudgetRow) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into budgets
             (budget_id, max_budget_nano_usd, soft_budget_nano_usd, budget_duration, rpm_limit, tpm_limit, tpd_limit,
              max_parallel_requests, model_max_budget, allowed_models, temp_increase_nano_usd, temp_expires_at,
              created_at, created_by, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        row.budget_id,
        row.max_budget.map(NanoUsd::nanos),
        row.soft_budget.map(NanoUsd::nanos),
        row.budget_duration.as_deref(),
        row.rpm_limit,
        row.tpm_limit,
        row.tpd_limit,
        row.max_parallel_requests,
        row.model_max_budget.clone().map(Value::Object),
        &row.allowed_models,
        row.temp_increase.map(NanoUsd::nanos),
        row.temp_expires_at,
        row.created_at,
        row.created_by,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a locked row anew.
pub(super) async fn update(db: &mut PgConnection, row: &BudgetRow) -> sqlx::Result<()> {
    sqlx::query!(
        "update budgets set
             max_budget_nano_usd = $2, soft_budget_nano_usd = $3, budget_duration = $4, rpm_limit = $5, tpm_limit = $6,
             tpd_limit = $7, max_parallel_requests = $8, model_max_budget = $9, allowed_models = $10,
             temp_increase_nano_usd = $11, temp_expires_at = $12, updated_at = $13, updated_by = $14
         where budget_id = $1",
        row.budget_id,
        row.max_budget.map(NanoUsd::nanos),
        row.soft_budget.map(NanoUsd::nanos),
        row.budget_duration.as_deref(),
        row.rpm_limit,
        row.tpm_limit,
        row.tpd_limit,
        row.max_parallel_requests,
        row.model_max_budget.clone().map(Value::Object),
        &row.allowed_models,
        row.temp_increase.map(NanoUsd::nanos),
        row.temp_expires_at,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a budget. Who was linked to it is not any more.
pub(super) async fn delete(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from budgets where budget_id = $1", budget_id).execute(db).await?;
    Ok(())
}

struct Row {
    budget_id: String,
    max_budget_nano_usd: Option<i64>,
    soft_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    tpd_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    model_max_budget: Option<Value>,
    allowed_models: Vec<String>,
    temp_increase_nano_usd: Option<i64>,
    temp_expires_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

impl From<Row> for BudgetRow {
    fn from(row: Row) -> Self {
        Self {
            budget_id: row.budget_id,
            max_budget: row.max_budget_nano_usd.map(NanoUsd::from_nanos),
            soft_budget: row.soft_budget_nano_usd.map(NanoUsd::from_nanos),
            budget_duration: row.budget_duration,
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
            model_max_budget: row.model_max_budget.map(object),
            allowed_models: row.allowed_models,
            temp_increase: row.temp_increase_nano_usd.map(NanoUsd::from_nanos),
            temp_expires_at: row.temp_expires_at,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        }
    }
}

/// The members of a JSON column; we write only objects there.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
