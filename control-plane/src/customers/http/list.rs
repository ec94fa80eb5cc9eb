//! `GET /customer/list`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::customers::view::{self, CustomerView};
use crate::customers::{Customer, store};
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request};
use crate::http::moment;
use crate::http::part::{PART, Part};
use crate::http::query::Query;

/// Which part of the list.
#[derive(Debug)]
pub(super) struct Wanted(Part);

impl Request for Wanted {
    const NAME: &'static str = "ListedCustomers";
    const FIELDS: &'static [&'static [Field]] = &[PART];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Part::read(&mut form).map(Self)
    }
}

pub(super) type ListedCustomers = Query<Wanted>;

/// Lists customers by id, also those whom only spend knows.
#[utoipa::path(
    get,
    path = "/customer/list",
    tag = "customers",
    params(ListedCustomers),
    responses((status = 200, body = Vec<CustomerView>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Wanted(part)): ListedCustomers,
) -> Result<Json<Vec<CustomerView>>, Generic> {
    actor.may(Permission::ReadCustomer, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let ids = store::part(&mut db, part).await?;
    let rows = store::among(&mut db, &ids).await?;
    let mut stored: HashMap<String, Customer> = rows.into_iter().map(|row| (row.customer_id.clone(), row)).collect();
    let now = moment::now();
    let row = |id: String| stored.remove(&id).unwrap_or_else(|| Customer::seen(id, "", now));
    let rows = ids.into_iter().map(row).collect();
    Ok(Json(view::views(&mut db, rows).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn ids(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|row| row["user_id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn customers_are_a_bare_list_in_parts_with_those_whom_spend_knows() {
        let world = World::new().await;
        assert_eq!(world.get("/customer/list").await.ok(), json!([]));
        for id in ["a", "c", "e"] {
            world.post("/customer/new", json!({"user_id": id, "max_budget": 5})).await.ok();
        }
        let spent = "insert into spend_totals (kind, owner_id, cost_nano_usd, last_used_at) values
             ('customer', 'b', 1500000000, now()), ('customer', 'f', 1, now()), ('tag', 'd', 1, now())";
        sqlx::query(spent).execute(&world.db()).await.unwrap();
        let list = world.get("/customer/list").await.ok();
        assert_eq!(ids(&list), ["a", "b", "c", "e", "f"]);
        assert_eq!((&list[0]["litellm_budget_table"]["max_budget"], &list[0]["spend"]), (&json!(5.0), &json!(0.0)));
        assert_eq!((&list[1]["litellm_budget_table"], &list[1]["spend"]), (&json!(null), &json!(1.5)));
        assert_eq!(ids(&world.get("/end_user/list?page_size=2").await.ok()), ["a", "b"]);
        assert_eq!(ids(&world.get("/customer/list?page_size=2&page=2").await.ok()), ["c", "e"]);
        assert_eq!(ids(&world.get("/customer/list?page_size=2&page=3").await.ok()), ["f"]);
        assert_eq!(world.get("/customer/list?page=0").await.issues(), [json!(["query", "page"])]);
    }

    #[tokio::test]
    async fn only_admins_list_customers() {
        let world = World::new().await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        world.get_as(&viewer, "/customer/list").await.ok();
        for role in ["internal_user", "internal_user_viewer"] {
            let key = world.user(role, role).await;
            world.get_as(&key, "/customer/list").await.refused(401);
            world.get_as(&key, "/end_user/list").await.refused(401);
        }
    }
}
