//! `POST /customer/update`.

use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets::{self, LIMITS, LINK, Wanted};
use crate::change::{Change, Wait};
use crate::customers::view::{self, CustomerView};
use crate::customers::{COLUMNS, Customer, CustomerError, CustomerPatch, note, store};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;

/// What `POST /customer/update` asks for.
#[derive(Debug)]
pub(super) struct ChangedCustomer {
    user_id: String,
    columns: CustomerPatch,
    budget: Wanted,
}

impl Request for ChangedCustomer {
    const NAME: &'static str = "CustomerPatch";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("user_id", Shape::Text, "The customer to change.")], COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            user_id: form.take("user_id").given().unwrap_or_default(),
            columns: CustomerPatch::read(&mut form),
            budget: Wanted::read(&mut form)?,
        })
    }
}

pub(super) type CustomerPatchBody = Body<ChangedCustomer>;

/// Changes a customer: what is left out stays, `null` clears. Limits change the budget that they are linked to, for all who
/// share it.
#[utoipa::path(
    post,
    path = "/customer/update",
    tag = "customers",
    params(Wait),
    request_body = CustomerPatchBody,
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: ChangedCustomer { user_id, columns, budget }, unknown }: CustomerPatchBody,
) -> Result<Changed<CustomerView>, Generic> {
    actor.may(Permission::ChangeCustomer, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let id = std::slice::from_ref(&user_id);
    let stored = store::locked(change.db(), id).await?.pop();
    if stored.is_none() && store::seen(change.db(), id).await?.is_empty() {
        return Err(CustomerError::NotFound { field: "user_id", id: user_id }.into());
    }
    let before = stored.clone().unwrap_or_else(|| Customer::seen(user_id, &by, now));
    let budget = budgets::linked(&mut change, before.budget_id.as_deref(), budget, now).await?;
    let mut row = before.patched(columns, budget.as_ref());
    if row.default_model != before.default_model {
        row.check_model(change.db()).await?;
    }
    if stored.is_none() {
        let inserted = store::insert(change.db(), &row).await;
        inserted.map_err(|error| CustomerError::from_insert(error, &row.customer_id))?;
        note(&mut change, Action::Created, None, Some(&row));
    } else if row != before {
        (row.updated_at, row.updated_by) = (now, by);
        store::update(change.db(), &row).await?;
        note(&mut change, Action::Updated, Some(&before), Some(&row));
    }
    row.keep_budgets(change.db(), before.budget_id.as_deref(), budget.as_ref()).await?;
    let view = view::view(change.db(), row, budget).await?;
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
        let body = json!({"user_id": "ada", "alias": "Ada", "models": ["a"], "allowed_model_region": "eu"});
        world.post("/customer/new", body).await.ok();
        let body = json!({"user_id": "ada", "alias": null, "blocked": true});
        let row = world.post("/customer/update", body.clone()).await.ok();
        assert_eq!((&row["alias"], &row["blocked"], &row["models"]), (&json!(null), &json!(true), &json!(["a"])));
        assert_eq!(row["allowed_model_region"], "eu");
        let before = world.revision().await;
        world.post("/customer/update", body).await.ok();
        assert_eq!(world.revision().await, before, "nothing changed");
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'updated'").await, 1);
    }

    #[tokio::test]
    async fn a_customer_gets_a_budget_changes_it_shares_one_and_loses_it() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada"})).await.ok();
        let row = world.post("/customer/update", json!({"user_id": "ada", "max_budget": 5})).await.ok();
        assert_eq!(row["litellm_budget_table"]["max_budget"], 5.0);
        let own = row["budget_id"].clone();
        let body = json!({"user_id": "ada", "budget_duration": "1d"});
        let row = world.post("/end_user/update", body).await.ok();
        assert_eq!((&row["budget_id"], &row["litellm_budget_table"]["max_budget"]), (&own, &json!(5.0)));
        assert!(row["litellm_budget_table"]["budget_reset_at"].is_string());
        assert_eq!(world.count("budgets").await, 1);
        assert_eq!(world.count("spend_totals where budgeted and window_ends_at is not null").await, 1);

        world.post("/budget/new", json!({"budget_id": "shared", "max_budget": 7})).await.ok();
        world.post("/customer/new", json!({"user_id": "bob", "budget_id": "shared"})).await.ok();
        let row = world.post("/customer/update", json!({"user_id": "ada", "budget_id": "shared"})).await.ok();
        assert_eq!(row["litellm_budget_table"]["max_budget"], 7.0);
        // Limits are those of the budget: whoever shares it has them too.
        world.post("/customer/update", json!({"user_id": "bob", "max_budget": 8})).await.ok();
        let ada = world.get("/customer/info?end_user_id=ada").await.ok();
        assert_eq!(ada["litellm_budget_table"]["max_budget"], 8.0);

        let row = world.post("/customer/update", json!({"user_id": "ada", "budget_id": null})).await.ok();
        assert_eq!((&row["budget_id"], &row["litellm_budget_table"]), (&json!(null), &json!(null)));
        assert_eq!(world.count("spend_totals where owner_id = 'ada' and budgeted").await, 0);
        assert_eq!(world.count("spend_totals where owner_id = 'bob' and budgeted").await, 1);
    }

    #[tokio::test]
    async fn one_whom_only_spend_knows_gets_a_row() {
        let world = World::new().await;
        let spent = "insert into spend_totals (kind, owner_id, cost_nano_usd, last_used_at) values ('customer', 'seen', 1500000000, now())";
        sqlx::query(spent).execute(&world.db()).await.unwrap();
        let row = world.post("/customer/update", json!({"user_id": "seen", "max_budget": 5})).await.ok();
        assert_eq!((&row["spend"], &row["litellm_budget_table"]["max_budget"]), (&json!(1.5), &json!(5.0)));
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'created'").await, 1);
    }

    #[tokio::test]
    async fn unknown_customers_bad_values_and_strangers_change_nothing() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada", "max_budget": 5})).await.ok();
        let error = world.post("/customer/update", json!({"user_id": "nobody"})).await.refused(404);
        assert_eq!(error["type"], "not_found");
        world.post("/customer/update", json!({"user_id": "ada", "max_budget": -1})).await.refused(400);
        world.post("/customer/update", json!({"user_id": "ada", "budget_id": "unknown"})).await.refused(400);
        assert_eq!(world.post("/customer/update", json!({"user_id": "ada", "default_model": "x"})).await.status, 422);
        assert_eq!(world.post("/customer/update", json!({})).await.issues(), [json!(["body", "user_id"])]);
        let both = json!({"user_id": "ada", "budget_id": "b", "max_budget": 1});
        assert_eq!(world.post("/customer/update", both).await.issues(), [json!(["body", "budget_id"])]);
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/customer/update", json!({"user_id": "ada", "max_budget": 9})).await.refused(401);
        }
        assert_eq!(world.count("budgets where max_budget_nano_usd = 5000000000").await, 1);
        assert_eq!(world.count("audit_log where noun in ('customer', 'budget') and action = 'updated'").await, 0);
    }
}
