//! `POST /budget/info`.

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::view::{BudgetView, views};
use crate::budgets::{BudgetError, store};
use crate::error::Plain;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};

/// Most budgets of one answer.
const MOST: usize = 10_000;

/// Which budgets to show.
#[derive(Debug)]
pub(super) struct Which {
    budgets: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "ShownBudgets";
    const FIELDS: &'static [&'static [Field]] = &[&[required("budgets", Shape::Texts, "The ids of the budgets.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { budgets: form.take("budgets").given().unwrap_or_default() })
    }
}

type WhichBudgets = Body<Which>;

/// Shows budgets, oldest first. Ids that name none are passed over.
#[utoipa::path(
    post,
    path = "/budget/info",
    tag = "budgets",
    request_body = WhichBudgets,
    responses((status = 200, body = Vec<BudgetView>), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Body { asked: Which { budgets }, .. }: WhichBudgets,
) -> Result<Json<Vec<BudgetView>>, Plain> {
    actor.may(Permission::ReadBudget, &Subject::Anything)?;
    match budgets.len() {
        0 => return Err(BudgetError::NoIds.into()),
        count if count > MOST => return Err(BudgetError::TooMany(MOST).into()),
        _ => {}
    }
    let mut db = app.db.acquire().await?;
    let rows = store::among(&mut db, &budgets).await?;
    Ok(Json(views(&mut db, rows).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn named_budgets_are_shown_to_admins() {
        let world = World::new().await;
        for id in ["b1", "b2", "b3"] {
            world.post("/budget/new", json!({"budget_id": id, "max_budget": 5})).await.ok();
        }
        let shown = world.post("/budget/info", json!({"budgets": ["b3", "b1", "unknown", "b1"]})).await.ok();
        let ids: Vec<_> = shown.as_array().unwrap().iter().map(|row| row["budget_id"].clone()).collect();
        assert_eq!((ids, &shown[0]["max_budget"]), (vec![json!("b1"), json!("b3")], &json!(5.0)));
        let none = world.post("/budget/info", json!({"budgets": []})).await;
        assert_eq!((none.status, none.body["detail"]["error"].is_string()), (400, true));
        assert_eq!(world.post("/budget/info", json!({})).await.issues(), [json!(["body", "budgets"])]);
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("u", "internal_user").await);
        world.post_as(&viewer, "/budget/info", json!({"budgets": ["b1"]})).await.ok();
        world.post_as(&user, "/budget/info", json!({"budgets": ["b1"]})).await.refused(401);
    }
}
