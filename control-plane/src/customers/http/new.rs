//! `POST /customer/new`.

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
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;
use crate::limits;
use crate::spend::Owner;

const MAKING: &[Field] = &[
    required("user_id", Shape::Text, "The id by which calls name the customer."),
    optional("spend", Shape::Usd, "What was spent for them already, in US dollars."),
];

/// What `POST /customer/new` asks for.
#[derive(Debug)]
pub(super) struct NewCustomer {
    user_id: String,
    spend: Option<f64>,
    columns: CustomerPatch,
    budget: Wanted,
}

impl Request for NewCustomer {
    const NAME: &'static str = "NewCustomer";
    const FIELDS: &'static [&'static [Field]] = &[MAKING, COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            user_id: form.take("user_id").given().unwrap_or_default(),
            spend: form.take("spend").given(),
            columns: CustomerPatch::read(&mut form),
            budget: Wanted::read(&mut form)?,
        })
    }
}

pub(super) type NewCustomerBody = Body<NewCustomer>;

/// Makes a customer, with a budget of their own or a shared one.
#[utoipa::path(
    post,
    path = "/customer/new",
    tag = "customers",
    params(Wait),
    request_body = NewCustomerBody,
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: new, unknown }: NewCustomerBody,
) -> Result<Changed<CustomerView>, Generic> {
    actor.may(Permission::ChangeCustomer, &Subject::Anything)?;
    if new.user_id.trim().is_empty() {
        return Err(CustomerError::NoId { field: "user_id" }.into());
    }
    let spent = limits::usd("spend", new.spend)?;
    let mut change = Change::begin(&app, &actor).await?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let budget = budgets::linked(&mut change, None, new.budget, now).await?;
    let row = Customer::seen(new.user_id, &by, now).patched(new.columns, budget.as_ref());
    row.check_model(change.db()).await?;
    let inserted = store::insert(change.db(), &row).await;
    inserted.map_err(|error| CustomerError::from_insert(error, &row.customer_id))?;
    row.keep_budgets(change.db(), None, budget.as_ref()).await?;
    if let Some(spent) = spent {
        budgets::set_spent(change.db(), Owner::Customer, &row.customer_id, spent.nanos()).await?;
    }
    note(&mut change, Action::Created, None, Some(&row));
    let view = view::view(change.db(), row, budget).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn a_customer_has_every_field_and_a_budget_of_their_own() {
        let world = World::new().await;
        let params = json!({"model_name": "m", "litellm_params": {"model": "openai/x", "api_key": "os.environ/K"}});
        world.post("/model/new", params).await.ok();
        let body = json!({
            "user_id": "ada", "alias": "Ada", "blocked": false, "max_budget": 5, "soft_budget": 4, "tpm_limit": 10,
            "budget_duration": "30d", "rpm_limit": 2, "tpd_limit": 3, "max_parallel_requests": 1,
            "model_max_budget": {"m": {"max_budget": 1, "budget_duration": "1d"}}, "spend": 1.5,
            "allowed_model_region": "eu", "default_model": "m", "models": ["m"], "object_permission": {"a": []}, "odd": 1,
        });
        let answer = world.post("/customer/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let changing = ["budget_id", "budget_reset_at", "created_at", "updated_at"];
        insta::assert_json_snapshot!(settled(answer.ok(), &changing));
        assert_eq!(world.count("spend_totals where kind = 'customer' and owner_id = 'ada' and budgeted").await, 2);
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'created'").await, 1);
        assert_eq!(world.count("audit_log where noun = 'budget' and action = 'created'").await, 1);

        let plain = world.post("/end_user/new", json!({"user_id": "bob", "max_budget": null, "budget_id": null})).await;
        assert_eq!(
            plain.ok(),
            json!({
                "user_id": "bob", "alias": null, "blocked": false, "spend": 0.0, "allowed_model_region": null,
                "default_model": null, "models": [], "budget_id": null, "litellm_budget_table": null,
                "object_permission": null,
            })
        );
        assert_eq!(world.count("budgets").await, 1);
    }

    #[tokio::test]
    async fn bad_customers_taken_ids_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada"})).await.ok();
        let taken = world.post("/customer/new", json!({"user_id": "ada", "max_budget": 1})).await.refused(400);
        assert_eq!((&taken["type"], &taken["param"]), (&json!("bad_request"), &json!("user_id")));
        for body in [
            json!({"user_id": ""}),
            json!({"user_id": "b", "max_budget": -1}),
            json!({"user_id": "b", "spend": -1}),
            json!({"user_id": "b", "budget_duration": "soon"}),
            json!({"user_id": "b", "budget_id": "unknown"}),
        ] {
            world.post("/customer/new", body).await.refused(400);
        }
        let unknown = world.post("/customer/new", json!({"user_id": "b", "default_model": "nothing"})).await;
        assert_eq!((unknown.status, unknown.body["detail"]["error"].is_string()), (422, true));
        world.post("/budget/new", json!({"budget_id": "shared"})).await.ok();
        for (body, field) in [
            (json!({}), "user_id"),
            (json!({"user_id": "b", "budget_id": "shared", "max_budget": 1}), "budget_id"),
            (json!({"user_id": "b", "budget_id": "shared", "rpm_limit": 1}), "budget_id"),
            (json!({"user_id": "b", "allowed_model_region": "mars"}), "allowed_model_region"),
            (json!({"user_id": "b\u{0}"}), "user_id"),
        ] {
            assert_eq!(world.post("/customer/new", body).await.issues(), [json!(["body", field])]);
        }
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/customer/new", json!({"user_id": "b"})).await.refused(401);
            world.post_as(&key, "/end_user/new", json!({"user_id": "b"})).await.refused(401);
        }
        assert_eq!((world.count("customers").await, world.count("budgets").await), (1, 1));
        assert_eq!(world.count("spend_totals where kind = 'customer'").await, 0);
    }
}
