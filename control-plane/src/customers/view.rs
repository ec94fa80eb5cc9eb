//! A customer as the API shows it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::Customer;
use crate::budgets::{self, BudgetRow, BudgetView};
use crate::http::moment::Moment;
use crate::spend::{self, Owner, Total};

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CustomerView {
    user_id: String,
    alias: Option<String>,
    blocked: bool,
    /// US dollars in the budget's current window.
    spend: f64,
    allowed_model_region: Option<String>,
    default_model: Option<String>,
    models: Vec<String>,
    budget_id: Option<String>,
    litellm_budget_table: Option<BudgetView>,
    #[schema(value_type = Option<Object>)]
    object_permission: Option<Map<String, Value>>,
}

impl CustomerView {
    fn of(row: Customer, budget: Option<BudgetRow>, total: Total) -> Self {
        Self {
            user_id: row.customer_id,
            alias: row.alias,
            blocked: row.blocked,
            spend: total.window.to_usd(),
            allowed_model_region: row.allowed_model_region,
            default_model: row.default_model,
            models: row.models,
            budget_id: row.budget_id,
            litellm_budget_table: budget.map(|budget| BudgetView::of(budget, total.resets_at)),
            object_permission: row.object_permission,
        }
    }
}

/// Customers with their budgets and what was spent for them.
pub(super) async fn views(db: &mut PgConnection, rows: Vec<Customer>) -> sqlx::Result<Vec<CustomerView>> {
    let ids: Vec<String> = rows.iter().map(|row| row.customer_id.clone()).collect();
    let mut totals = spend::totals(db, Owner::Customer, &ids).await?;
    let mut budget_ids: Vec<String> = rows.iter().filter_map(|row| row.budget_id.clone()).collect();
    budget_ids.sort_unstable();
    budget_ids.dedup();
    let budgets = budgets::among(db, &budget_ids).await?;
    let budgets: HashMap<&str, &BudgetRow> = budgets.iter().map(|row| (row.budget_id.as_str(), row)).collect();
    let view = |row: Customer| {
        let budget = row.budget_id.as_deref().and_then(|id| budgets.get(id)).map(|row| (*row).clone());
        let total = totals.remove(&row.customer_id).unwrap_or_default();
        CustomerView::of(row, budget, total)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// One customer with this budget.
pub(super) async fn view(
    db: &mut PgConnection,
    row: Customer,
    budget: Option<BudgetRow>,
) -> sqlx::Result<CustomerView> {
    let total = spend::total(db, Owner::Customer, &row.customer_id).await?;
    Ok(CustomerView::of(row, budget, total))
}

/// What audit rows keep of a customer.
pub(super) fn for_audit(row: &Customer) -> Value {
    json!({
        "user_id": row.customer_id,
        "alias": row.alias,
        "blocked": row.blocked,
        "allowed_model_region": row.allowed_model_region,
        "default_model": row.default_model,
        "models": row.models,
        "budget_id": row.budget_id,
        "object_permission": row.object_permission,
        "updated_at": Moment(row.updated_at).text(),
        "updated_by": row.updated_by,
    })
}
