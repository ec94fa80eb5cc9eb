//! The `deployments` table.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Deployment, Origin};

pub(super) async fn all(db: &mut PgConnection) -> sqlx::Result<Vec<Deployment>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, model_name, params, sealed_params, model_info, blocked, origin, created_at, created_by, updated_at,
                updated_by
         from deployments order by origin = 'api', position, created_at, id",
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Deployment::from).collect())
}

pub(super) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Deployment>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, model_name, params, sealed_params, model_info, blocked, origin, created_at, created_by, updated_at,
                updated_by
         from deployments where id = any($1)",
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Deployment::from).collect())
}

/// The deployments among these ids that exist, locked until the transaction ends; in one order, so that nobody waits for
/// each other.
pub(super) async fn locked(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Deployment>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, model_name, params, sealed_params, model_info, blocked, origin, created_at, created_by, updated_at,
                updated_by
         from deployments where id = any($1) order by id for update",
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Deployment::from).collect())
}

/// Locks the deployments that the API owns until the transaction ends, and gives all as [`all`] does. Those of the file
/// are the import's, which locks them in the order of the file.
pub(super) async fn all_locked(db: &mut PgConnection) -> sqlx::Result<Vec<Deployment>> {
    sqlx::query!("select id from deployments where origin = 'api' order by id for update").fetch_all(&mut *db).await?;
    all(db).await
}

/// Whether the router's settings have an alias of this name.
pub(super) async fn is_group_alias(db: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select 1 from settings
               where section = 'router_settings' and value -> 'model_group_alias' ? $1) as "found!""#,
        name,
    );
    found.fetch_one(db).await
}

/// Adds a deployment that the API owns. One with its id is a violation of `deployments_pkey`.
pub(super) async fn insert(db: &mut PgConnection, new: &Deployment) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into deployments (id, model_name, params, sealed_params, model_info, blocked, origin, created_at,
                                  created_by, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, 'api', $7, $8, $9, $10)",
        new.id,
        new.model_name,
        Value::Object(new.params.clone()),
        new.sealed_params.as_deref(),
        Value::Object(new.model_info.clone()),
        new.blocked,
        new.created_at,
        new.created_by,
        new.updated_at,
        new.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Puts a deployment that the API owns in place of what is stored under its id.
pub(super) async fn update(db: &mut PgConnection, row: &Deployment) -> sqlx::Result<()> {
    sqlx::query!(
        "update deployments set model_name = $2, params = $3, sealed_params = $4, model_info = $5, blocked = $6,
                updated_at = $7, updated_by = $8
         where id = $1 and origin = 'api'",
        row.id,
        row.model_name,
        Value::Object(row.params.clone()),
        row.sealed_params.as_deref(),
        Value::Object(row.model_info.clone()),
        row.blocked,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A deployment that a file owns, as it is to be stored.
pub(crate) struct NewDeployment {
    pub(crate) id: String,
    pub(crate) model_name: String,
    pub(crate) params: Value,
    pub(crate) sealed_params: Option<Vec<u8>>,
    pub(crate) model_info: Value,
    pub(crate) blocked: bool,
    pub(crate) position: i64,
}

/// Puts a file's deployment in place of the file's earlier one with its id. One that the API owns stays as it is.
pub(crate) async fn put_from_file(db: &mut PgConnection, new: &NewDeployment) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into deployments (id, model_name, params, sealed_params, model_info, blocked, origin, position)
         values ($1, $2, $3, $4, $5, $6, 'file', $7)
         on conflict (id) do update set
             model_name = excluded.model_name, params = excluded.params, sealed_params = excluded.sealed_params,
             model_info = excluded.model_info, blocked = excluded.blocked, position = excluded.position,
             updated_at = clock_timestamp(), updated_by = null
         where deployments.origin = 'file'",
        new.id,
        new.model_name,
        new.params,
        new.sealed_params.as_deref(),
        new.model_info,
        new.blocked,
        new.position,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes where in the file an unchanged deployment stands now. Only the order of lists depends on it.
pub(crate) async fn place_in_file(db: &mut PgConnection, id: &str, position: i64) -> sqlx::Result<()> {
    sqlx::query!("update deployments set position = $2 where id = $1 and position <> $2", id, position)
        .execute(db)
        .await?;
    Ok(())
}

/// Removes these deployments.
pub(crate) async fn delete(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from deployments where id = any($1)", ids).execute(db).await?;
    Ok(())
}

struct Row {
    id: String,
    model_name: String,
    params: Value,
    sealed_params: Option<Vec<u8>>,
    model_info: Value,
    blocked: bool,
    origin: String,
    created_at: OffsetDateTime,
    created_by: Option<String>,
    updated_at: OffsetDateTime,
    updated_by: Option<String>,
}

impl From<Row> for Deployment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            model_name: row.model_name,
            params: object(row.params),
            sealed_params: row.sealed_params,
            model_info: object(row.model_info),
            blocked: row.blocked,
            origin: match row.origin.as_str() {
                "file" => Origin::File,
                _ => Origin::Api, // the table's check allows no third
            },
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
