//! The `credentials` table.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Credential;

pub(super) async fn all(db: &mut PgConnection) -> sqlx::Result<Vec<Credential>> {
    let rows = sqlx::query_as!(
        Row,
        "select name, display_name, info, sealed_values, created_at, created_by, updated_at, updated_by
         from credentials order by created_at, name",
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Credential::from).collect())
}

/// The credential, which nobody changes until the transaction ends.
pub(super) async fn locked(db: &mut PgConnection, name: &str) -> sqlx::Result<Option<Credential>> {
    let row = sqlx::query_as!(
        Row,
        "select name, display_name, info, sealed_values, created_at, created_by, updated_at, updated_by
         from credentials where name = $1 for update",
        name,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Credential::from))
}

/// Adds a credential. One with its name is a violation of `credentials_pkey`.
pub(super) async fn insert(db: &mut PgConnection, new: &Credential) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into credentials (name, display_name, info, sealed_values, created_at, created_by, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.name,
        new.display_name,
        Value::Object(new.info.clone()),
        new.sealed_values,
        new.created_at,
        new.created_by,
        new.updated_at,
        new.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn update(db: &mut PgConnection, row: &Credential) -> sqlx::Result<()> {
    sqlx::query!(
        "update credentials set display_name = $2, info = $3, sealed_values = $4, updated_at = $5, updated_by = $6
         where name = $1",
        row.name,
        row.display_name,
        Value::Object(row.info.clone()),
        row.sealed_values,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn delete(db: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from credentials where name = $1", name).execute(db).await?;
    Ok(())
}

struct Row {
    name: String,
    display_name: Option<String>,
    info: Value,
    sealed_values: Vec<u8>,
    created_at: OffsetDateTime,
    created_by: Option<String>,
    updated_at: OffsetDateTime,
    updated_by: Option<String>,
}

impl From<Row> for Credential {
    fn from(row: Row) -> Self {
        let info = match row.info {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self {
            name: row.name,
            display_name: row.display_name,
            info,
            sealed_values: row.sealed_values,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        }
    }
}
