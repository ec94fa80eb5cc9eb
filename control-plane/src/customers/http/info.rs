//! `GET /customer/info`.

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::customers::view::{self, CustomerView};
use crate::customers::{Customer, CustomerError, store};
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::http::query::Query;

/// Which customer to show.
#[derive(Debug)]
pub(super) struct Which {
    id: String,
}

impl Request for Which {
    const NAME: &'static str = "WhichCustomer";
    const FIELDS: &'static [&'static [Field]] = &[&[required("end_user_id", Shape::Text, "The customer.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { id: form.take("end_user_id").given().unwrap_or_default() })
    }
}

pub(super) type WhichCustomer = Query<Which>;

/// Shows a customer, also one whom only spend knows.
#[utoipa::path(
    get,
    path = "/customer/info",
    tag = "customers",
    params(WhichCustomer),
    responses((status = 200, body = CustomerView), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(Which { id }): WhichCustomer,
) -> Result<Json<CustomerView>, Generic> {
    actor.may(Permission::ReadCustomer, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let named = std::slice::from_ref(&id);
    let mut rows = store::among(&mut db, named).await?;
    if rows.is_empty() && !store::seen(&mut db, named).await?.is_empty() {
        rows.push(Customer::seen(id.clone(), "", moment::now()));
    }
    let view = view::views(&mut db, rows).await?.pop();
    Ok(Json(view.ok_or(CustomerError::NotFound { field: "end_user_id", id })?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_customer_is_shown_with_spend_to_admins() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada", "max_budget": 5})).await.ok();
        let spent = "insert into spend_totals as t (kind, owner_id, cost_nano_usd, last_used_at)
             values ('customer', 'ada', 1500000000, now()), ('customer', 'seen', 2500000000, now()), ('tag', 'tag', 1, now())
             on conflict (kind, owner_id, scope) do update set cost_nano_usd = excluded.cost_nano_usd";
        sqlx::query(spent).execute(&world.db()).await.unwrap();
        let shown = world.get("/customer/info?end_user_id=ada").await.ok();
        assert_eq!((&shown["spend"], &shown["litellm_budget_table"]["max_budget"]), (&json!(1.5), &json!(5.0)));
        let seen = world.get("/end_user/info?end_user_id=seen").await.ok();
        assert_eq!((&seen["user_id"], &seen["spend"], &seen["budget_id"]), (&json!("seen"), &json!(2.5), &json!(null)));
        for nobody in ["nobody", "tag"] {
            let error = world.get(&format!("/customer/info?end_user_id={nobody}")).await.refused(404);
            assert_eq!((&error["type"], &error["param"]), (&json!("not_found"), &json!("end_user_id")));
        }
        assert_eq!(world.get("/customer/info").await.issues(), [json!(["query", "end_user_id"])]);
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("ada", "internal_user").await);
        world.get_as(&viewer, "/customer/info?end_user_id=ada").await.ok();
        for path in ["/customer/info?end_user_id=ada", "/end_user/info?end_user_id=nobody"] {
            world.get_as(&user, path).await.refused(401);
        }
    }
}
