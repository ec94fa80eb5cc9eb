//! `POST /budget/update`.

use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::patch::{BudgetPatch, LIMITS, MORE, apply};
use crate::budgets::view::{BudgetView, views};
use crate::budgets::{BudgetError, link, store};
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;

/// What `POST /budget/update` asks for.
#[derive(Debug)]
pub(super) struct ChangedBudget {
    budget_id: Option<String>,
    limits: BudgetPatch,
}

impl Request for ChangedBudget {
    const NAME: &'static str = "BudgetPatch";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("budget_id", Shape::Text, "The budget to change. Required.")], LIMITS, MORE];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { budget_id: form.take("budget_id").given(), limits: BudgetPatch::read(&mut form) })
    }
}

type BudgetPatchBody = Body<ChangedBudget>;

/// Changes a budget, for all who are linked to it: what is left out stays, `null` clears. Answers `null` where there is no
/// such budget.
#[utoipa::path(
    post,
    path = "/budget/update",
    tag = "budgets",
    params(Wait),
    request_body = BudgetPatchBody,
    responses((status = 200, body = Option<BudgetView>), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: ChangedBudget { budget_id, limits }, unknown }: BudgetPatchBody,
) -> Result<Changed<Option<BudgetView>>, Plain> {
    actor.may(Permission::ChangeBudget, &Subject::Anything)?;
    let budget_id = budget_id.filter(|id| !id.is_empty()).ok_or(BudgetError::NoId)?;
    let mut change = Change::begin(&app, &actor).await?;
    let mut view = None;
    if let Some(before) = store::locked(change.db(), &budget_id).await? {
        let by = change.author().changed_by.clone();
        let row = apply(&before, limits, &by, moment::now())?;
        link::write(&mut change, &before, &row).await?;
        view = views(change.db(), vec![row]).await?.pop();
    }
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn what_is_left_out_stays_and_null_clears() {
        let world = World::new().await;
        let body = json!({"budget_id": "b", "max_budget": 5, "budget_duration": "1d", "rpm_limit": 3});
        world.post("/budget/new", body).await.ok();
        let changed = json!({"budget_id": "b", "max_budget": 6, "budget_duration": null, "tpm_limit": 9});
        let row = world.post("/budget/update", changed).await.ok();
        assert_eq!((&row["max_budget"], &row["rpm_limit"], &row["tpm_limit"]), (&json!(6.0), &json!(3), &json!(9)));
        assert_eq!((&row["budget_duration"], &row["budget_reset_at"]), (&json!(null), &json!(null)));
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'updated'").await, 1);
        // What is as it was is no change.
        world.post("/budget/update", json!({"budget_id": "b", "max_budget": 6})).await.ok();
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'updated'").await, 1);
    }

    #[tokio::test]
    async fn all_who_are_linked_follow_at_one_revision() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 5})).await.ok();
        for id in ["c1", "c2"] {
            world.post("/customer/new", json!({"user_id": id, "budget_id": "b"})).await.ok();
        }
        world.post("/tag/new", json!({"name": "t", "budget_id": "b"})).await.ok();
        world.post("/customer/new", json!({"user_id": "own", "max_budget": 1})).await.ok();
        let before = world.revision().await;
        let body = json!({"budget_id": "b", "budget_duration": "1d", "model_max_budget": {"m": {"max_budget": 1, "budget_duration": "1h"}}});
        world.post("/budget/update", body).await.ok();
        assert_eq!(world.revision().await, before + 1);
        let accounts = "spend_totals where budgeted and owner_id in ('c1', 'c2', 't')";
        assert_eq!(world.count(accounts).await, 6);
        assert_eq!(
            world.count("spend_totals where owner_id = 'c1' and budget_window = '1d' and window_ends_at > now()").await,
            1
        );
        assert_eq!(world.count("spend_totals where owner_id = 'own' and budget_window is not null").await, 0);
        let all = "audit_log where noun in ('customer', 'tag') and action = 'updated'";
        assert_eq!(world.count(all).await, 0, "they did not change themselves");
        let shown = world.get("/customer/info?end_user_id=c1").await.ok();
        assert_eq!(shown["litellm_budget_table"]["budget_duration"], "1d");
        assert!(shown["litellm_budget_table"]["budget_reset_at"].is_string());
    }

    #[tokio::test]
    async fn unknown_budgets_bad_values_and_strangers_change_nothing() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 5})).await.ok();
        assert_eq!(world.post("/budget/update", json!({"budget_id": "unknown"})).await.ok(), json!(null));
        for body in [json!({}), json!({"budget_id": ""}), json!({"budget_id": "b", "max_budget": -1})] {
            let answer = world.post("/budget/update", body).await;
            assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (400, true));
        }
        assert_eq!(
            world.post("/budget/update", json!({"budget_id": 1})).await.issues(),
            [json!(["body", "budget_id"])]
        );
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/budget/update", json!({"budget_id": "b", "max_budget": 9})).await.refused(401);
        }
        assert_eq!(world.count("budgets where max_budget_nano_usd = 5000000000").await, 1);
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'updated'").await, 0);
    }
}
