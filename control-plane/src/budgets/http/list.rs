//! `GET /budget/list`.

use axum::Json;
use axum::extract::State;

use super::may_here;
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::budgets::store;
use crate::budgets::view::{BudgetView, views};
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request};
use crate::http::part::{PART, Part};
use crate::http::query::Query;

/// Which part of the list.
#[derive(Debug)]
pub(super) struct Wanted(Part);

impl Request for Wanted {
    const NAME: &'static str = "ListedBudgets";
    const FIELDS: &'static [&'static [Field]] = &[PART];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Part::read(&mut form).map(Self)
    }
}

type ListedBudgets = Query<Wanted>;

/// Lists budgets, oldest first.
#[utoipa::path(
    get,
    path = "/budget/list",
    tag = "budgets",
    params(ListedBudgets),
    responses((status = 200, body = Vec<BudgetView>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Wanted(part)): ListedBudgets,
) -> Result<Json<Vec<BudgetView>>, Plain> {
    may_here(&actor, Permission::ReadBudget)?;
    let mut db = app.db.acquire().await?;
    let rows = store::part(&mut db, part).await?;
    Ok(Json(views(&mut db, rows).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn ids(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|row| row["budget_id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn budgets_are_a_bare_list_in_parts_for_admins() {
        let world = World::new().await;
        assert_eq!(world.get("/budget/list").await.ok(), json!([]));
        for id in ["b3", "b1", "b2"] {
            world.post("/budget/new", json!({"budget_id": id})).await.ok();
        }
        assert_eq!(ids(&world.get("/budget/list").await.ok()), ["b3", "b1", "b2"]);
        assert_eq!(ids(&world.get("/budget/list?page=2&page_size=2").await.ok()), ["b2"]);
        for query in ["page=0", "page_size=0", "page_size=10001", "page=x"] {
            assert_eq!(world.get(&format!("/budget/list?{query}")).await.status, 422, "{query}");
        }
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("u", "internal_user").await);
        assert_eq!(ids(&world.get_as(&viewer, "/budget/list").await.ok()).len(), 3);
        let answer = world.get_as(&user, "/budget/list").await;
        assert_eq!(answer.status, 400);
        assert!(answer.body["detail"]["error"].as_str().unwrap().contains("internal_user"));
        assert_eq!(world.get_as("sk-nobody-knows-this-key", "/budget/list").await.status, 401);
    }
}
