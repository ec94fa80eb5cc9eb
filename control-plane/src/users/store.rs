//! Rows of users.

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::User;

/// Selects whole rows of users. Which ones is the caller's to say.
macro_rules! select_users {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select user_id, email, alias, role, team_id, organization_id, teams, models, metadata, max_budget_nano_usd,
                    budget_duration, tpm_limit, rpm_limit, max_parallel_requests, more, created_at,
                    updated_at
             from users "
                + $which
            $(, $argument)*
        )
    };
}

/// The user with this id.
pub(super) async fn by_id(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<User>> {
    Ok(select_users!("where user_id = $1", user_id).fetch_optional(db).await?.map(User::from))
}

/// The user with this id, locked until the transaction ends.
pub(super) async fn locked(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<User>> {
    Ok(select_users!("where user_id = $1 for update", user_id).fetch_optional(db).await?.map(User::from))
}

/// The user with this e-mail address in any case, locked until the transaction ends.
pub(super) async fn locked_by_email(db: &mut PgConnection, email: &str) -> sqlx::Result<Option<User>> {
    let row = select_users!("where lower(email) = lower($1) for update", email).fetch_optional(db).await?;
    Ok(row.map(User::from))
}

/// The ids of the users with one of these addresses, in any case.
pub(super) async fn ids_of_emails(db: &mut PgConnection, emails: &[String]) -> sqlx::Result<Vec<String>> {
    let lower: Vec<String> = emails.iter().map(|email| email.to_lowercase()).collect();
    sqlx::query_scalar!("select user_id from users where lower(email) = any($1)", &lower).fetch_all(db).await
}

/// Who has these addresses, which are in lower case.
pub(super) async fn owners_of_emails(db: &mut PgConnection, lower: &[String]) -> sqlx::Result<Vec<(String, String)>> {
    let rows =
        sqlx::query!(r#"select lower(email) as "email!", user_id from users where lower(email) = any($1)"#, lower);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.email, row.user_id)).collect())
}

/// The ids among these that are users'.
pub(super) async fn known(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select user_id from users where user_id = any($1)", ids).fetch_all(db).await
}

/// Puts a team on the lists of users; that somebody else put it there is no change of theirs.
pub(super) async fn add_to_lists(db: &mut PgConnection, ids: &[String], team_id: &str) -> sqlx::Result<()> {
    sqlx::query!("update users set teams = array_append(teams, $2) where user_id = any($1)", ids, team_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Shares the user's row until the transaction ends.
pub(super) async fn hold(db: &mut PgConnection, user_id: &str) -> sqlx::Result<()> {
    sqlx::query!("select user_id from users where user_id = $1 for share", user_id).fetch_optional(db).await?;
    Ok(())
}

/// The role of a user.
pub(super) async fn role(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select role from users where user_id = $1", user_id).fetch_optional(db).await
}

/// Adds a row.
pub(super) async fn insert(db: &mut PgConnection, user: &User) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into users
             (user_id, email, alias, role, team_id, organization_id, teams, models, metadata, max_budget_nano_usd,
              budget_duration, tpm_limit, rpm_limit, max_parallel_requests, more, created_at,
              updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        user.user_id,
        user.email.as_deref(),
        user.alias.as_deref(),
        user.role,
        user.team_id.as_deref(),
        user.organization_id.as_deref(),
        &user.teams,
        &user.models,
        Value::Object(user.metadata.clone()),
        user.max_budget.map(NanoUsd::nanos),
        user.budget_duration.as_deref(),
        user.tpm_limit,
        user.rpm_limit,
        user.max_parallel_requests,
        Value::Object(user.more.clone()),
        user.created_at,
        user.updated_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The users among these ids that exist, locked until the transaction ends; in one order, so that nobody waits for each
/// other.
pub(super) async fn all_locked(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<Vec<User>> {
    let rows = select_users!("where user_id = any($1) order by user_id for update", user_ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Writes a locked row anew; what a user is born with stays.
pub(super) async fn update(db: &mut PgConnection, user: &User) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set
             email = $2, alias = $3, role = $4, models = $5, metadata = $6, max_budget_nano_usd = $7,
             budget_duration = $8, tpm_limit = $9, rpm_limit = $10, max_parallel_requests = $11, more = $12,
             updated_at = $13
         where user_id = $1",
        user.user_id,
        user.email.as_deref(),
        user.alias.as_deref(),
        user.role,
        &user.models,
        Value::Object(user.metadata.clone()),
        user.max_budget.map(NanoUsd::nanos),
        user.budget_duration.as_deref(),
        user.tpm_limit,
        user.rpm_limit,
        user.max_parallel_requests,
        Value::Object(user.more.clone()),
        user.updated_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes rows.
pub(super) async fn delete(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from users where user_id = any($1)", user_ids).execute(db).await?;
    Ok(())
}

/// Writes the list of a user's teams anew.
pub(super) async fn set_teams(
    db: &mut PgConnection,
    user_id: &str,
    teams: &[String],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!("update users set teams = $2, updated_at = $3 where user_id = $1", user_id, teams, now)
        .execute(db)
        .await?;
    Ok(())
}

/// Takes teams out of all lists; the rows are locked in one order, so that nobody waits for each other.
pub(super) async fn leave(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "with leaving as (select user_id from users where teams && $1 order by user_id for update)
         update users set
             teams = array(select team from unnest(users.teams) as team where team <> all($1)),
             team_id = case when team_id = any($1) then null else team_id end,
             updated_at = now()
         from leaving where users.user_id = leaving.user_id",
        team_ids,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a team out of one list.
pub(super) async fn leave_one(db: &mut PgConnection, user_id: &str, team_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set
             teams = array_remove(teams, $2), updated_at = now(),
             team_id = case when team_id = $2 then null else team_id end
         where user_id = $1",
        user_id,
        team_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The ids of the first users by id, at most `limit`.
pub(super) async fn ids(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select user_id from users order by user_id limit $1", limit).fetch_all(db).await
}

/// A row as Postgres has it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    user_id: String,
    email: Option<String>,
    alias: Option<String>,
    role: String,
    team_id: Option<String>,
    organization_id: Option<String>,
    teams: Vec<String>,
    models: Vec<String>,
    metadata: Value,
    max_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    more: Value,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.user_id,
            email: row.email,
            alias: row.alias,
            role: row.role,
            team_id: row.team_id,
            organization_id: row.organization_id,
            teams: row.teams,
            models: row.models,
            metadata: members(row.metadata),
            max_budget: row.max_budget_nano_usd.map(NanoUsd::from_nanos),
            budget_duration: row.budget_duration,
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            max_parallel_requests: row.max_parallel_requests,
            more: members(row.more),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The members of a JSON column; we write only objects there.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
