//! The `organizations` table.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Organization;

/// Selects whole rows of organizations. Which ones is the caller's to say.
macro_rules! select_organizations {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select organization_id, alias, budget_id, metadata, models, object_permission, created_at, created_by,
                    updated_at, updated_by
             from organizations "
                + $which
            $(, $argument)*
        )
    };
}

/// The organizations among these ids that exist, by alias.
pub(super) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Organization>> {
    let rows = select_organizations!("where organization_id = any($1) order by alias, organization_id", ids);
    Ok(rows.fetch_all(db).await?.into_iter().map(Organization::from).collect())
}

/// The same, locked until the transaction ends; in one order, so that nobody waits for each other.
pub(super) async fn locked(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Organization>> {
    let rows = select_organizations!("where organization_id = any($1) order by organization_id for update", ids);
    Ok(rows.fetch_all(db).await?.into_iter().map(Organization::from).collect())
}

/// The organization; until the transaction ends, it can be read by all and changed by nobody.
pub(super) async fn shared(db: &mut PgConnection, id: &str) -> sqlx::Result<Option<Organization>> {
    let row = select_organizations!("where organization_id = $1 for share", id).fetch_optional(db).await?;
    Ok(row.map(Organization::from))
}

/// The organizations with this id and with this in their alias, where one is given; of those of the user, where one is given.
pub(super) async fn listed(
    db: &mut PgConnection,
    id: Option<&str>,
    alias: Option<&str>,
    user_id: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Organization>> {
    let rows = select_organizations!(
        "where ($1::text is null or organization_id = $1)
           and ($2::text is null or strpos(lower(alias), lower($2)) > 0)
           and ($3::text is null or exists (
               select from organization_members m
               where m.organization_id = organizations.organization_id and m.user_id = $3))
         order by alias, organization_id limit $4",
        id,
        alias,
        user_id,
        limit,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Organization::from).collect())
}

/// The ids of those that are linked to a budget; they can be read by all and changed by nobody until the transaction ends.
pub(super) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    let ids = sqlx::query_scalar!(
        "select organization_id from organizations where budget_id = $1 order by organization_id for share",
        budget_id,
    );
    ids.fetch_all(db).await
}

/// Adds an organization. One with its id is a violation of `organizations_pkey`.
pub(super) async fn insert(db: &mut PgConnection, row: &Organization) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into organizations
             (organization_id, alias, budget_id, metadata, models, object_permission, created_at, created_by, updated_at,
              updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        row.organization_id,
        row.alias,
        row.budget_id.as_deref(),
        Value::Object(row.metadata.clone()),
        &row.models,
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
pub(super) async fn update(db: &mut PgConnection, row: &Organization) -> sqlx::Result<()> {
    sqlx::query!(
        "update organizations set
             alias = $2, budget_id = $3, metadata = $4, models = $5, object_permission = $6, updated_at = $7,
             updated_by = $8
         where organization_id = $1",
        row.organization_id,
        row.alias,
        row.budget_id.as_deref(),
        Value::Object(row.metadata.clone()),
        &row.models,
        row.object_permission.clone().map(Value::Object),
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes organizations, with who is in them.
pub(super) async fn delete(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from organizations where organization_id = any($1)", ids).execute(db).await?;
    Ok(())
}

struct Row {
    organization_id: String,
    alias: String,
    budget_id: Option<String>,
    metadata: Value,
    models: Vec<String>,
    object_permission: Option<Value>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

impl From<Row> for Organization {
    fn from(row: Row) -> Self {
        Self {
            organization_id: row.organization_id,
            alias: row.alias,
            budget_id: row.budget_id,
            metadata: object(row.metadata),
            models: row.models,
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
