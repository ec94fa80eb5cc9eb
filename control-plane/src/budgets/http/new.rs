//! `POST /budget/new`.

use axum::extract::State;
use uuid::Uuid;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::patch::{BudgetPatch, LIMITS, MORE, apply};
use crate::budgets::view::{BudgetView, views};
use crate::budgets::{BudgetError, BudgetRow, link};
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;

/// Most characters of an id.
const ID: usize = 256;

/// What `POST /budget/new` asks for.
#[derive(Debug)]
pub(super) struct NewBudget {
    budget_id: Option<String>,
    limits: BudgetPatch,
}

impl Request for NewBudget {
    const NAME: &'static str = "NewBudget";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("budget_id", Shape::Text, "The id of the budget. Absent: a random one.")], LIMITS, MORE];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { budget_id: form.take("budget_id").given(), limits: BudgetPatch::read(&mut form) })
    }
}

type NewBudgetBody = Body<NewBudget>;

/// Makes a budget, for owners to be linked to.
#[utoipa::path(
    post,
    path = "/budget/new",
    tag = "budgets",
    params(Wait),
    request_body = NewBudgetBody,
    responses((status = 200, body = BudgetView), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: NewBudget { budget_id, limits }, unknown }: NewBudgetBody,
) -> Result<Changed<Option<BudgetView>>, Plain> {
    actor.may(Permission::ChangeBudget, &Subject::Anything)?;
    let budget_id = budget_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let length = budget_id.trim().chars().count();
    if !(1..=ID).contains(&length) || budget_id.chars().count() > ID || budget_id.chars().any(char::is_control) {
        return Err(BudgetError::BadId.into());
    }
    let mut change = Change::begin(&app, &actor).await?;
    let by = change.author().changed_by.clone();
    let now = moment::now();
    let row = apply(&BudgetRow::empty(budget_id, &by, now), limits, &by, now)?;
    link::add(&mut change, &row).await?;
    let view = views(change.db(), vec![row]).await?.pop();
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn a_budget_has_every_field_and_moves_no_revision() {
        let world = World::new().await;
        let body = json!({
            "budget_id": "b", "max_budget": "10.5", "soft_budget": 5, "max_parallel_requests": 3, "tpm_limit": 100,
            "rpm_limit": "7", "tpd_limit": 1000, "model_max_budget": {"m": {"budget_limit": 1, "time_period": "1d"}},
            "budget_duration": "7d", "allowed_models": ["m"], "temp_budget_increase": 2,
            "temp_budget_expiry": "2030-01-01", "budget_reset_at": "2030-01-01T00:00:00Z",
        });
        let answer = world.post("/budget/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("budget_reset_at"));
        let row = answer.ok();
        assert!(row["budget_reset_at"].is_string());
        insta::assert_json_snapshot!(settled(row, &["created_at", "updated_at", "budget_reset_at"]));
        assert_eq!(world.revision().await, 0, "data planes hold no budgets that nobody has");
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'created'").await, 1);
        let random = world.post("/budget/new", json!({})).await.ok();
        assert_eq!((random["budget_id"].as_str().unwrap().len(), &random["max_budget"]), (36, &json!(null)));
        assert_eq!(random["budget_reset_at"], json!(null));
    }

    #[tokio::test]
    async fn bad_budgets_taken_ids_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b"})).await.ok();
        for body in [
            json!({"budget_id": "b"}),
            json!({"budget_id": ""}),
            json!({"budget_id": "a\nb"}),
            json!({"budget_id": "x".repeat(257)}),
            json!({"max_budget": -1}),
            json!({"soft_budget": 1e18}),
            json!({"tpm_limit": -1}),
            json!({"tpd_limit": -1}),
            json!({"budget_duration": "soon"}),
            json!({"model_max_budget": {"m": 5}}),
            json!({"temp_budget_increase": -1}),
            json!({"temp_budget_expiry": "soon"}),
        ] {
            let answer = world.post("/budget/new", body.clone()).await;
            assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (400, true), "{body}");
        }
        let wrong = json!({"max_budget": "NaN", "rpm_limit": 1.5, "model_max_budget": [], "allowed_models": "m"});
        let places = world.post("/budget/new", wrong).await.issues();
        let fields: Vec<&str> = places.iter().map(|place| place[1].as_str().unwrap()).collect();
        assert_eq!(fields, ["max_budget", "rpm_limit", "model_max_budget", "allowed_models"]);
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/budget/new", json!({})).await.refused(401);
        }
        assert_eq!((world.count("budgets").await, world.count("audit_log where noun = 'budget'").await), (1, 1));
    }
}
