//! `GET /budget/settings`: the fields of a budget, for admin pages that show a form.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::may_here;
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::budgets::link;
use crate::budgets::patch::LIMITS;
use crate::budgets::view::BudgetView;
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::query::Query;

/// Of which budget.
#[derive(Debug)]
pub(super) struct Which {
    budget_id: String,
}

impl Request for Which {
    const NAME: &'static str = "WhichBudget";
    const FIELDS: &'static [&'static [Field]] = &[&[required("budget_id", Shape::Text, "The budget.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { budget_id: form.take("budget_id").given().unwrap_or_default() })
    }
}

type WhichBudget = Query<Which>;

/// One field of a budget.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BudgetField {
    field_name: &'static str,
    field_type: &'static str,
    field_description: &'static str,
    /// What the budget has; null where it has nothing, and where there is no such budget.
    #[schema(value_type = Option<Object>)]
    field_value: Value,
    stored_in_db: bool,
    #[schema(value_type = Option<Object>)]
    field_default_value: Value,
    premium_field: bool,
    #[schema(value_type = Option<Vec<Object>>)]
    nested_fields: Value,
}

/// Shows what may be set of a budget, and what is.
#[utoipa::path(
    get,
    path = "/budget/settings",
    tag = "budgets",
    params(WhichBudget),
    responses((status = 200, body = Vec<BudgetField>), crate::error::Refusals),
)]
pub(super) async fn settings(
    State(app): State<App>,
    actor: Actor,
    Query(Which { budget_id }): WhichBudget,
) -> Result<Json<Vec<BudgetField>>, Plain> {
    may_here(&actor, Permission::ReadBudget)?;
    let row = link::find(&mut *app.db.acquire().await?, &budget_id).await?;
    let is_stored = row.is_some();
    let values = row.and_then(|row| serde_json::to_value(BudgetView::of(row, None)).ok()).unwrap_or_default();
    let fields = LIMITS.iter().filter_map(|field| {
        Some(BudgetField {
            field_name: field.name,
            field_type: type_of(field.shape)?,
            field_description: field.about,
            field_value: values.get(field.name).cloned().unwrap_or_default(),
            stored_in_db: is_stored,
            field_default_value: Value::Null,
            premium_field: false,
            nested_fields: Value::Null,
        })
    });
    Ok(Json(fields.collect()))
}

/// The words of LiteLLM's pages; they have none for objects.
fn type_of(shape: Shape) -> Option<&'static str> {
    match shape {
        Shape::Text => Some("String"),
        Shape::Whole => Some("Integer"),
        Shape::Usd | Shape::Number => Some("Float"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn fields_are_described_with_what_the_budget_has() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 5, "rpm_limit": 3})).await.ok();
        insta::assert_json_snapshot!(world.get("/budget/settings?budget_id=b").await.ok());
        let unknown = world.get("/budget/settings?budget_id=unknown").await.ok();
        assert_eq!((&unknown[0]["field_value"], &unknown[0]["stored_in_db"]), (&json!(null), &json!(false)));
        assert_eq!(world.get("/budget/settings").await.issues(), [json!(["query", "budget_id"])]);
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("u", "internal_user").await);
        world.get_as(&viewer, "/budget/settings?budget_id=b").await.ok();
        assert_eq!(world.get_as(&user, "/budget/settings?budget_id=b").await.status, 400);
    }
}
