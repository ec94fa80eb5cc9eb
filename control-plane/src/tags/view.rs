//! A tag as the API shows it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Tag;
use crate::budgets::{self, BudgetRow, BudgetView};
use crate::http::moment::Moment;
use crate::models;
use crate::spend::{self, Owner};

/// What is said of a tag without a row.
const DYNAMIC: &str = "Seen in calls only: it was never made, chooses no models and has no budget.";

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagView {
    name: String,
    description: Option<String>,
    /// Ids of deployments; null where the tag has no row.
    models: Option<Vec<String>>,
    /// Of those that there are, the name by which clients know them.
    model_info: Option<BTreeMap<String, String>>,
    /// US dollars in the budget's current window.
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    litellm_budget_table: Option<BudgetView>,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
    created_by: Option<String>,
}

impl TagView {
    /// A tag that only calls know, last carried then.
    pub(super) fn dynamic(name: String, last_used_at: Option<OffsetDateTime>) -> Self {
        let at = last_used_at.map(Moment);
        Self { description: Some(DYNAMIC.to_owned()), created_at: at, updated_at: at, ..Self::bare(name, None) }
    }

    /// A tag as those see it who are no admins: without budget, spend and models, which are everybody's.
    pub(super) fn bare(name: String, description: Option<String>) -> Self {
        Self {
            name,
            description,
            models: None,
            model_info: None,
            spend: None,
            budget_id: None,
            litellm_budget_table: None,
            created_at: None,
            updated_at: None,
            created_by: None,
        }
    }
}

/// Tags with models, spend and budgets.
pub(super) async fn views(db: &mut PgConnection, rows: Vec<Tag>) -> sqlx::Result<Vec<TagView>> {
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let mut totals = spend::totals(db, Owner::Tag, &names).await?;
    let distinct = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let budgets = distinct(rows.iter().filter_map(|row| row.budget_id.clone()).collect());
    let budgets = budgets::among(db, &budgets).await?;
    let budgets: HashMap<&str, &BudgetRow> = budgets.iter().map(|row| (row.budget_id.as_str(), row)).collect();
    let models = models::among(db, &distinct(rows.iter().flat_map(|row| row.models.clone()).collect())).await?;
    let model_names: HashMap<&str, String> = models.iter().map(|row| (row.id.as_str(), row.public_name())).collect();
    let view = |row: Tag| {
        let total = totals.remove(&row.name).unwrap_or_default();
        let budget = row.budget_id.as_deref().and_then(|id| budgets.get(id)).map(|row| (*row).clone());
        let named = row.models.iter().filter_map(|id| Some((id.clone(), model_names.get(id.as_str())?.clone())));
        TagView {
            model_info: Some(named.collect()),
            models: Some(row.models),
            spend: Some(total.window.to_usd()),
            budget_id: row.budget_id,
            litellm_budget_table: budget.map(|budget| BudgetView::of(budget, total.resets_at)),
            created_at: Some(Moment(row.created_at)),
            updated_at: Some(Moment(row.updated_at)),
            created_by: Some(row.created_by),
            ..TagView::bare(row.name, row.description)
        }
    };
    Ok(rows.into_iter().map(view).collect())
}

/// What audit rows keep of a tag.
pub(super) fn for_audit(row: &Tag) -> Value {
    json!({
        "name": row.name,
        "description": row.description,
        "models": row.models,
        "budget_id": row.budget_id,
        "updated_at": Moment(row.updated_at).text(),
        "updated_by": row.updated_by,
    })
}
