//! `POST /customer/delete`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Which;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets;
use crate::change::{Change, Wait};
use crate::customers::{Customer, CustomerError, note, store};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::spend::Owner;

pub(super) type WhichCustomers = Body<Which>;

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedCustomers {
    deleted_customers: usize,
    message: String,
}

/// Deletes customers; all or none. What was spent for them stays known; a call for one makes them known again.
#[utoipa::path(
    post,
    path = "/customer/delete",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = RemovedCustomers), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked, unknown }: WhichCustomers,
) -> Result<Changed<RemovedCustomers>, Generic> {
    actor.may(Permission::ChangeCustomer, &Subject::Anything)?;
    let ids = asked.ids()?;
    let mut change = Change::begin(&app, &actor).await?;
    let mut rows = store::locked(change.db(), &ids).await?;
    let seen = store::seen(change.db(), &ids).await?;
    for id in &ids {
        if rows.iter().any(|row| row.customer_id == *id) {
            continue;
        }
        if !seen.contains(id) {
            return Err(CustomerError::NotFound { field: "user_ids", id: id.clone() }.into());
        }
        rows.push(Customer::seen(id.clone(), "", moment::now()));
    }
    store::delete(change.db(), &ids).await?;
    budgets::forget(change.db(), Owner::Customer, &ids).await?;
    for row in &rows {
        note(&mut change, Action::Deleted, Some(row), None);
    }
    let published = change.commit(wait).await?;
    let view = RemovedCustomers {
        deleted_customers: ids.len(),
        message: format!("Successfully deleted customers with ids: {}", ids.join(", ")),
    };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn customers_go_and_what_they_spent_stays_known() {
        let world = World::new().await;
        let models = json!({"m": {"max_budget": 1, "budget_duration": "1d"}});
        world.post("/customer/new", json!({"user_id": "ada", "max_budget": 5, "model_max_budget": models})).await.ok();
        let spent = "insert into spend_totals as t (kind, owner_id, cost_nano_usd, last_used_at)
             values ('customer', 'ada', 7, now()), ('customer', 'seen', 7, now())
             on conflict (kind, owner_id, scope) do update set cost_nano_usd = 7, last_used_at = now()";
        sqlx::query(spent).execute(&world.db()).await.unwrap();
        let answer = world.post("/customer/delete", json!({"user_ids": ["seen", "ada", "ada"]})).await;
        let expected = json!({"deleted_customers": 2, "message": "Successfully deleted customers with ids: ada, seen"});
        assert_eq!(answer.ok(), expected);
        assert_eq!(world.get("/customer/list").await.ok(), json!([]));
        assert_eq!((world.count("customers").await, world.count("spend_totals where budgeted").await), (0, 0));
        assert_eq!(world.count("spend_totals where scope = '' and cost_nano_usd = 7").await, 2);
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'deleted'").await, 2);
        sqlx::query("update spend_totals set last_used_at = now() where owner_id = 'seen'")
            .execute(&world.db())
            .await
            .unwrap();
        assert_eq!(world.get("/customer/list").await.ok()[0]["user_id"], "seen");
    }

    #[tokio::test]
    async fn one_unknown_customer_stops_all_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada"})).await.ok();
        let before = world.revision().await;
        let error = world.post("/customer/delete", json!({"user_ids": ["ada", "nobody"]})).await.refused(404);
        assert_eq!((&error["type"], &error["param"]), (&json!("not_found"), &json!("user_ids")));
        world.post("/end_user/delete", json!({"user_ids": ["ada", ""]})).await.refused(400);
        let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
        world.post("/customer/delete", json!({"user_ids": many})).await.refused(400);
        assert_eq!(world.post("/customer/delete", json!({})).await.issues(), [json!(["body", "user_ids"])]);
        world.post("/customer/delete", json!({"user_ids": []})).await.ok();
        assert_eq!(world.revision().await, before);
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/customer/delete", json!({"user_ids": ["ada"]})).await.refused(401);
        }
        assert_eq!((world.count("customers").await, world.count("audit_log where action = 'deleted'").await), (1, 0));
    }
}
