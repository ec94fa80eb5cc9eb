//! `POST /customer/block` and `POST /customer/unblock`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::delete::WhichCustomers;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::change::{Change, Wait};
use crate::customers::view::{CustomerView, views};
use crate::customers::{Customer, CustomerError, note, store};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;

/// Most ids of those who are still blocked.
const STILL_BLOCKED: i64 = 10_000;

/// Those who were blocked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BlockedCustomers {
    blocked_users: Vec<CustomerView>,
}

/// Those who are still blocked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StillBlocked {
    blocked_users: Vec<String>,
}

/// Blocks customers, also those whom nobody made yet: calls for them are refused from now on.
#[utoipa::path(
    post,
    path = "/customer/block",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = BlockedCustomers), crate::error::Refusals),
)]
pub(super) async fn block(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked, unknown }: WhichCustomers,
) -> Result<Changed<BlockedCustomers>, Plain> {
    actor.may(Permission::ChangeCustomer, &Subject::Anything)?;
    let ids = asked.ids()?;
    let mut change = Change::begin(&app, &actor).await?;
    let before = store::locked(change.db(), &ids).await?;
    let is_blocked = |id: &String| before.iter().any(|row| row.customer_id == *id && row.blocked);
    let newly: Vec<String> = ids.iter().filter(|id| !is_blocked(id)).cloned().collect();
    switch(&mut change, &before, &newly, Action::Blocked).await?;
    let mut rows = store::among(change.db(), &ids).await?;
    rows.sort_by(|one, other| one.customer_id.cmp(&other.customer_id));
    let blocked_users = views(change.db(), rows).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: BlockedCustomers { blocked_users }, published, unknown })
}

/// Unblocks customers, and says who is still blocked.
#[utoipa::path(
    post,
    path = "/customer/unblock",
    tag = "customers",
    params(Wait),
    request_body = WhichCustomers,
    responses((status = 200, body = StillBlocked), crate::error::Refusals),
)]
pub(super) async fn unblock(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked, unknown }: WhichCustomers,
) -> Result<Changed<StillBlocked>, Plain> {
    actor.may(Permission::ChangeCustomer, &Subject::Anything)?;
    let ids = asked.ids()?;
    let mut change = Change::begin(&app, &actor).await?;
    let before = store::locked(change.db(), &ids).await?;
    let were: Vec<String> = before.iter().filter(|row| row.blocked).map(|row| row.customer_id.clone()).collect();
    switch(&mut change, &before, &were, Action::Unblocked).await?;
    let blocked_users = store::blocked(change.db(), STILL_BLOCKED).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: StillBlocked { blocked_users }, published, unknown })
}

/// Blocks or unblocks these; `before` has the rows that there are of them.
async fn switch(change: &mut Change, before: &[Customer], ids: &[String], action: Action) -> Result<(), CustomerError> {
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    store::switch(change.db(), ids, action, &by, now).await?;
    for id in ids {
        let was = before.iter().find(|row| row.customer_id == *id);
        let mut row = was.cloned().unwrap_or_else(|| Customer::seen(id.clone(), &by, now));
        row.blocked = action == Action::Blocked;
        (row.updated_at, row.updated_by) = (now, by.clone());
        note(change, action, was, Some(&row));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn customers_are_blocked_with_a_row_or_without_and_unblocked() {
        let world = World::new().await;
        world.post("/customer/new", json!({"user_id": "ada", "alias": "Ada", "max_budget": 5})).await.ok();
        let rows = world.post("/customer/block", json!({"user_ids": ["bob", "ada"]})).await.ok();
        let row = &rows["blocked_users"][0];
        assert_eq!((&row["user_id"], &row["blocked"], &row["alias"]), (&json!("ada"), &json!(true), &json!("Ada")));
        assert_eq!(row["litellm_budget_table"]["max_budget"], 5.0);
        assert_eq!(rows["blocked_users"][1]["user_id"], "bob");
        let before = world.revision().await;
        world.post("/end_user/block", json!({"user_ids": ["ada", "bob"]})).await.ok();
        assert_eq!(world.revision().await, before, "nothing changed");
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'blocked'").await, 2);
        let left = world.post("/customer/unblock", json!({"user_ids": ["ada", "nobody"]})).await.ok();
        assert_eq!(left, json!({"blocked_users": ["bob"]}));
        assert_eq!(world.get("/customer/info?end_user_id=ada").await.ok()["blocked"], false);
        assert_eq!(world.count("customers").await, 2, "nobody is made by unblocking");
        let left = world.post("/user/unblock", json!({"user_ids": ["bob"]})).await.ok();
        assert_eq!(left, json!({"blocked_users": []}));
        world.post("/user/block", json!({"user_ids": ["bob"]})).await.ok();
        assert_eq!(world.count("audit_log where noun = 'customer' and action = 'unblocked'").await, 2);
    }

    #[tokio::test]
    async fn bad_requests_and_strangers_block_nobody() {
        let world = World::new().await;
        for path in ["/customer/block", "/customer/unblock", "/end_user/block", "/end_user/unblock"] {
            assert_eq!(world.post(path, json!({})).await.issues(), [json!(["body", "user_ids"])]);
            assert_eq!(world.post(path, json!({"user_ids": [1]})).await.issues(), [json!(["body", "user_ids", 0])]);
            let empty = world.post(path, json!({"user_ids": [" "]})).await;
            assert_eq!((empty.status, empty.body["error"]["param"].clone()), (400, json!("user_ids")));
        }
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            for path in ["/customer/block", "/customer/unblock", "/user/block", "/user/unblock"] {
                world.post_as(&key, path, json!({"user_ids": ["ada"]})).await.refused(401);
            }
        }
        assert_eq!((world.count("customers").await, world.count("audit_log where noun = 'customer'").await), (0, 0));
    }
}
