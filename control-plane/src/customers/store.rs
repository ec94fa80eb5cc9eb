//! The `customers` table, and those whom only spend knows.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Customer;
use crate::audit::Action;
use crate::http::part::Part;

/// Selects whole rows of customers. Which ones is the caller's to say.
macro_rules! select_customers {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select customer_id, alias, blocked, allowed_model_region, default_model, models, budget_id,
                    object_permission, created_at, created_by, updated_at, updated_by
             from customers "
                + $which
            $(, $argument)*
        )
    };
}

/// The customers among these ids that have a row.
pub(super) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Customer>> {
    let rows = select_customers!("where customer_id = any($1)", ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(Customer::from).collect())
}

/// The same, locked until the transaction ends; in one order, so that nobody waits for each other.
pub(super) async fn locked(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Customer>> {
    let rows = select_customers!("where customer_id = any($1) order by customer_id for update", ids);
    Ok(rows.fetch_all(db).await?.into_iter().map(Customer::from).collect())
}

/// The ids of those who are linked to a budget; they can be read by all and changed by nobody until the transaction ends.
pub(super) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    let ids = sqlx::query_scalar!(
        "select customer_id from customers where budget_id = $1 order by customer_id for share",
        budget_id,
    );
    ids.fetch_all(db).await
}

/// Those among these ids for whom something was spent since they were last deleted.
pub(super) async fn seen(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<String>> {
    let ids = sqlx::query_scalar!(
        "select owner_id from spend_totals
         where kind = 'customer' and owner_id = any($1) and scope = '' and last_used_at is not null",
        ids,
    );
    ids.fetch_all(db).await
}

/// A part of the ids of all, with a row or only seen. Each side gives no more than the part can need, out of its index.
pub(super) async fn part(db: &mut PgConnection, part: Part) -> sqlx::Result<Vec<String>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id!" from (
               (select customer_id as id from customers order by customer_id limit $1::bigint + $2::bigint)
               union
               (select owner_id from spend_totals
                where kind = 'customer' and scope = '' and last_used_at is not null
                order by owner_id limit $1::bigint + $2::bigint)
           ) known order by id offset $1 limit $2"#,
        part.offset(),
        part.size(),
    );
    ids.fetch_all(db).await
}

/// The ids of those who are blocked, at most `limit`.
pub(super) async fn blocked(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select customer_id from customers where blocked order by customer_id limit $1", limit)
        .fetch_all(db)
        .await
}

/// Adds a customer. One with its id is a violation of `customers_pkey`.
pub(super) async fn insert(db: &mut PgConnection, row: &Customer) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into customers
             (customer_id, alias, blocked, allowed_model_region, default_model, models, budget_id, object_permission,
              created_at, created_by, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        row.customer_id,
        row.alias.as_deref(),
        row.blocked,
        row.allowed_model_region.as_deref(),
        row.default_model.as_deref(),
        &row.models,
        row.budget_id.as_deref(),
        row.object_permission.clone().map(Value::Object),
        row.created_at,
        row.created_by,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a locked row anew.
pub(super) async fn update(db: &mut PgConnection, row: &Customer) -> sqlx::Result<()> {
    sqlx::query!(
        "update customers set
             alias = $2, blocked = $3, allowed_model_region = $4, default_model = $5, models = $6, budget_id = $7,
             object_permission = $8, updated_at = $9, updated_by = $10
         where customer_id = $1",
        row.customer_id,
        row.alias.as_deref(),
        row.blocked,
        row.allowed_model_region.as_deref(),
        row.default_model.as_deref(),
        &row.models,
        row.budget_id.as_deref(),
        row.object_permission.clone().map(Value::Object),
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Blocks or unblocks these; those without a row get one.
pub(super) async fn switch(
    db: &mut PgConnection,
    ids: &[String],
    action: Action,
    by: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into customers (customer_id, blocked, created_at, created_by, updated_at, updated_by)
         select id, $2, $4, $3, $4, $3 from unnest($1::text[]) as named (id) order by id
         on conflict (customer_id) do update set
             blocked = excluded.blocked, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        ids,
        action == Action::Blocked,
        by,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes rows. What was spent stays known, and is nobody's until something is spent for them again.
pub(super) async fn delete(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from customers where customer_id = any($1)", ids).execute(&mut *db).await?;
    sqlx::query!(
        "update spend_totals set last_used_at = null where kind = 'customer' and owner_id = any($1) and scope = ''",
        ids,
    )
    .execute(db)
    .await?;
    Ok(())
}

struct Row {
    customer_id: String,
    alias: Option<String>,
    blocked: bool,
    allowed_model_region: Option<String>,
    default_model: Option<String>,
    models: Vec<String>,
    budget_id: Option<String>,
    object_permission: Option<Value>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            customer_id: row.customer_id,
            alias: row.alias,
            blocked: row.blocked,
            allowed_model_region: row.allowed_model_region,
            default_model: row.default_model,
            models: row.models,
            budget_id: row.budget_id,
            object_permission: row.object_permission.map(object),
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        }
    }
}

/// The members of a JSON column; we write only objects there.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
