//! `POST /budget/delete`.

use axum::extract::State;

use super::may_here;
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::budgets::view::{BudgetView, views};
use crate::budgets::{BudgetError, link, store};
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};

/// Which budget to delete.
#[derive(Debug)]
pub(super) struct Which {
    id: String,
}

impl Request for Which {
    const NAME: &'static str = "DeletedBudget";
    const FIELDS: &'static [&'static [Field]] = &[&[required("id", Shape::Text, "The id of the budget.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { id: form.take("id").given().unwrap_or_default() })
    }
}

type WhichBudget = Body<Which>;

/// Deletes a budget. Who was linked to it has none any more; what they spent stays known.
#[utoipa::path(
    post,
    path = "/budget/delete",
    tag = "budgets",
    params(Wait),
    request_body = WhichBudget,
    responses((status = 200, body = BudgetView), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { id }, unknown }: WhichBudget,
) -> Result<Changed<Option<BudgetView>>, Plain> {
    may_here(&actor, Permission::ChangeBudget)?;
    let mut change = Change::begin(&app, &actor).await?;
    let row = store::locked(change.db(), &id).await?.ok_or(BudgetError::NotFound(id))?;
    link::remove(&mut change, &row).await?;
    let view = views(change.db(), vec![row]).await?.pop();
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_budget_goes_and_its_owners_stay_without_one() {
        let world = World::new().await;
        let models = json!({"m": {"max_budget": 1, "budget_duration": "1d"}});
        let body = json!({"budget_id": "b", "max_budget": 5, "budget_duration": "1d", "model_max_budget": models});
        world.post("/budget/new", body).await.ok();
        world.post("/customer/new", json!({"user_id": "c", "budget_id": "b"})).await.ok();
        world.post("/tag/new", json!({"name": "t", "budget_id": "b"})).await.ok();
        assert_eq!(world.count("spend_totals where budgeted").await, 4);
        sqlx::query("update spend_totals set cost_nano_usd = 7").execute(&world.db()).await.unwrap();
        let before = world.revision().await;
        let answer = world.post("/budget/delete", json!({"id": "b"})).await;
        assert_eq!(answer.header("x-turnpike-revision"), Some((before + 1).to_string().as_str()));
        assert_eq!(answer.ok()["max_budget"], 5.0);
        assert_eq!(world.count("spend_totals where budgeted or scope <> ''").await, 0);
        assert_eq!(world.count("spend_totals where cost_nano_usd = 7").await, 2, "spend is not forgotten");
        let customer = world.get("/customer/info?end_user_id=c").await.ok();
        assert_eq!((&customer["budget_id"], &customer["litellm_budget_table"]), (&json!(null), &json!(null)));
        assert_eq!(world.count("tags where budget_id is null").await, 1);
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'deleted'").await, 1);
    }

    #[tokio::test]
    async fn unknown_budgets_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b"})).await.ok();
        let unknown = world.post("/budget/delete", json!({"id": "unknown"})).await;
        assert_eq!((unknown.status, unknown.body["detail"]["error"].is_string()), (404, true));
        assert_eq!(world.post("/budget/delete", json!({"budget_id": "b"})).await.issues(), [json!(["body", "id"])]);
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            let answer = world.post_as(&key, "/budget/delete", json!({"id": "b"})).await;
            assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (400, true), "{role}");
        }
        assert_eq!((world.count("budgets").await, world.count("audit_log where action = 'deleted'").await), (1, 0));
    }
}
