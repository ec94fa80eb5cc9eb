//! Rows of keys.

use std::collections::HashMap;

use proto::{KeyHash, NanoUsd};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Key;
use crate::audit::Author;

/// Selects whole rows of `k`. Where `k` comes from is the caller's to say.
macro_rules! select_keys {
    ($from:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select k.hash as \"hash!\", k.masked, k.alias, k.user_id, k.team_id, k.organization_id, k.models as \"models!\",
                    k.aliases as \"aliases!\", k.config as \"config!\", k.permissions as \"permissions!\",
                    k.metadata as \"metadata!\", k.blocked, k.expires_at, k.max_budget_nano_usd,
                    k.soft_budget_nano_usd, k.budget_duration, k.budget_id, k.tpm_limit, k.rpm_limit,
                    k.max_parallel_requests, k.key_type as \"key_type!\", k.allowed_routes as \"allowed_routes!\",
                    k.allowed_cache_controls as \"allowed_cache_controls!\", k.more as \"more!\",
                    k.created_at as \"created_at!\", k.created_by, k.updated_at as \"updated_at!\", k.updated_by from "
                + $from
            $(, $argument)*
        )
    };
}

/// The key with this hash.
pub(super) async fn by_hash(db: &mut PgConnection, hash: &KeyHash) -> sqlx::Result<Option<Key>> {
    let row = select_keys!("keys k where k.hash = $1", hash.as_bytes()).fetch_optional(db).await?;
    row.map(Key::try_from).transpose()
}

/// The last key that had this hash, from the archive.
pub(super) async fn archived(db: &mut PgConnection, hash: &KeyHash) -> sqlx::Result<Option<Key>> {
    let row = select_keys!(
        "deleted_keys d, jsonb_populate_record(null::keys, d.row_before) k
         where d.hash = $1 order by d.deleted_at desc limit 1",
        hash.as_bytes(),
    )
    .fetch_optional(db)
    .await?;
    row.map(Key::try_from).transpose()
}

/// The keys among these hashes that exist.
pub(super) async fn among(db: &mut PgConnection, hashes: &[KeyHash]) -> sqlx::Result<Vec<Key>> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
    let rows = select_keys!("keys k where k.hash = any($1) order by k.hash", &hashes);
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// The keys among these hashes that exist, locked until the transaction ends; in one order, so that nobody waits for
/// each other.
pub(super) async fn locked(db: &mut PgConnection, hashes: &[KeyHash]) -> sqlx::Result<Vec<Key>> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
    let rows = select_keys!("keys k where k.hash = any($1) order by k.hash for update", &hashes);
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// All keys of these teams, locked as [`locked`] does.
pub(super) async fn locked_of_teams(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<Vec<Key>> {
    let rows = select_keys!("keys k where k.team_id = any($1) order by k.hash for update", team_ids);
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// All keys of these organizations, locked as [`locked`] does.
pub(super) async fn locked_of_organizations(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Key>> {
    let rows = select_keys!("keys k where k.organization_id = any($1) order by k.hash for update", ids);
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// Gives the keys of a team another organization, or none. Gives those that had another one.
pub(super) async fn move_of_team(
    db: &mut PgConnection,
    team_id: &str,
    organization_id: Option<&str>,
) -> sqlx::Result<Vec<KeyHash>> {
    let hashes = sqlx::query_scalar!(
        "update keys set organization_id = $2 where team_id = $1 and organization_id is distinct from $2 returning hash",
        team_id,
        organization_id,
    )
    .fetch_all(db)
    .await?;
    Ok(hashes.iter().filter_map(|hash| KeyHash::try_from(hash.as_slice()).ok()).collect())
}

/// All keys of these users, locked as [`locked`] does.
pub(super) async fn locked_of_users(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<Vec<Key>> {
    let rows = select_keys!("keys k where k.user_id = any($1) order by k.hash for update", user_ids);
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// The hashes of the keys with one of these aliases.
pub(super) async fn hashes_of_aliases(
    db: &mut PgConnection,
    aliases: &[String],
) -> sqlx::Result<Vec<(String, KeyHash)>> {
    let rows = sqlx::query!(r#"select alias as "alias!", hash from keys where alias = any($1)"#, aliases);
    rows.fetch_all(db).await?.into_iter().map(|row| Ok((row.alias, read_hash(&row.hash)?))).collect()
}

/// Which aliases.
#[derive(Debug)]
pub(super) struct AliasFilter {
    /// Has this in it, in any case.
    pub(super) search: Option<String>,
    pub(super) team_id: Option<String>,
    /// Of this user's keys, or of those of `team_ids`. Absent: of all.
    pub(super) user_id: Option<String>,
    pub(super) team_ids: Vec<String>,
}

/// How many aliases there are.
pub(super) async fn count_aliases(db: &mut PgConnection, filter: &AliasFilter) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from keys
           where alias is not null and ($1::text is null or strpos(lower(alias), lower($1)) > 0)
             and ($2::text is null or team_id = $2)
             and ($3::text is null or user_id = $3 or team_id = any($4))"#,
        filter.search.as_deref(),
        filter.team_id.as_deref(),
        filter.user_id.as_deref(),
        &filter.team_ids,
    );
    count.fetch_one(db).await
}

/// Aliases in their order.
pub(super) async fn aliases(
    db: &mut PgConnection,
    filter: &AliasFilter,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query_scalar!(
        r#"select alias as "alias!" from keys
           where alias is not null and ($1::text is null or strpos(lower(alias), lower($1)) > 0)
             and ($2::text is null or team_id = $2)
             and ($3::text is null or user_id = $3 or team_id = any($4))
           order by alias offset $5 limit $6"#,
        filter.search.as_deref(),
        filter.team_id.as_deref(),
        filter.user_id.as_deref(),
        &filter.team_ids,
        offset,
        limit,
    );
    rows.fetch_all(db).await
}

/// The newest keys of these teams.
pub(super) async fn of_teams(db: &mut PgConnection, team_ids: &[String], limit: i64) -> sqlx::Result<Vec<Key>> {
    let rows = select_keys!(
        "keys k where k.team_id = any($1) order by k.created_at desc, k.hash desc limit $2",
        team_ids,
        limit,
    );
    rows.fetch_all(db).await?.into_iter().map(Key::try_from).collect()
}

/// The newest keys of a user, or of everybody.
pub(super) async fn of_user(db: &mut PgConnection, user_id: Option<&str>, limit: i64) -> sqlx::Result<Vec<Key>> {
    let rows = match user_id {
        Some(user_id) => select_keys!(
            "keys k where k.user_id = $1 order by k.created_at desc, k.hash desc limit $2",
            user_id,
            limit,
        )
        .fetch_all(db)
        .await?,
        None => select_keys!("keys k order by k.created_at desc, k.hash desc limit $1", limit).fetch_all(db).await?,
    };
    rows.into_iter().map(Key::try_from).collect()
}

/// Adds a row. None is added for a value that was replaced: usage under it is booked on another key.
pub(super) async fn insert(db: &mut PgConnection, key: &Key) -> sqlx::Result<()> {
    let added = sqlx::query!(
        "insert into keys
             (hash, masked, alias, user_id, team_id, organization_id, models, aliases, config, permissions, metadata,
              blocked, expires_at, max_budget_nano_usd, soft_budget_nano_usd, budget_duration,
              tpm_limit, rpm_limit, max_parallel_requests, key_type, allowed_routes, allowed_cache_controls, more,
              created_at, created_by, updated_at, updated_by, budget_id)
         select $1::bytea, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                $22, $23, $24, $25, $26, $27, $28
         where not exists (select from replaced_keys where old_hash = $1)",
        key.hash.as_bytes(),
        key.masked.as_deref(),
        key.alias.as_deref(),
        key.user_id.as_deref(),
        key.team_id.as_deref(),
        key.organization_id.as_deref(),
        &key.models,
        Value::Object(key.aliases.clone()),
        Value::Object(key.config.clone()),
        Value::Object(key.permissions.clone()),
        Value::Object(key.metadata.clone()),
        key.blocked,
        key.expires_at,
        key.max_budget.map(NanoUsd::nanos),
        key.soft_budget.map(NanoUsd::nanos),
        key.budget_duration.as_deref(),
        key.tpm_limit,
        key.rpm_limit,
        key.max_parallel_requests,
        key.key_type,
        &key.allowed_routes,
        &key.allowed_cache_controls,
        Value::Object(key.more.clone()),
        key.created_at,
        key.created_by.as_deref(),
        key.updated_at,
        key.updated_by.as_deref(),
        key.budget_id.as_deref(),
    )
    .execute(db)
    .await?;
    match added.rows_affected() {
        0 => Err(sqlx::Error::RowNotFound),
        _ => Ok(()),
    }
}

/// Writes a locked row anew; what a key is born with stays.
pub(super) async fn update(db: &mut PgConnection, key: &Key) -> sqlx::Result<()> {
    sqlx::query!(
        "update keys set
             alias = $2, user_id = $3, team_id = $4, organization_id = $5, models = $6, aliases = $7, config = $8,
             permissions = $9, metadata = $10, blocked = $11, expires_at = $12, max_budget_nano_usd = $13,
             soft_budget_nano_usd = $14, budget_duration = $15, tpm_limit = $16,
             rpm_limit = $17, max_parallel_requests = $18, allowed_routes = $19, allowed_cache_controls = $20,
             more = $21, updated_at = $22, updated_by = $23, budget_id = $24
         where hash = $1",
        key.hash.as_bytes(),
        key.alias.as_deref(),
        key.user_id.as_deref(),
        key.team_id.as_deref(),
        key.organization_id.as_deref(),
        &key.models,
        Value::Object(key.aliases.clone()),
        Value::Object(key.config.clone()),
        Value::Object(key.permissions.clone()),
        Value::Object(key.metadata.clone()),
        key.blocked,
        key.expires_at,
        key.max_budget.map(NanoUsd::nanos),
        key.soft_budget.map(NanoUsd::nanos),
        key.budget_duration.as_deref(),
        key.tpm_limit,
        key.rpm_limit,
        key.max_parallel_requests,
        &key.allowed_routes,
        &key.allowed_cache_controls,
        Value::Object(key.more.clone()),
        key.updated_at,
        key.updated_by.as_deref(),
        key.budget_id.as_deref(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps what these keys are, so that their spend keeps a name.
pub(super) async fn archive(db: &mut PgConnection, keys: &[Key], author: &Author) -> sqlx::Result<()> {
    let hashes = hashes(keys);
    sqlx::query!(
        "insert into deleted_keys (id, hash, row_before, deleted_by, deleted_by_key)
         select gen_random_uuid(), k.hash, to_jsonb(k), $2, $3 from keys k where k.hash = any($1)",
        &hashes,
        author.changed_by,
        author.changed_by_key,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes rows.
pub(super) async fn delete(db: &mut PgConnection, keys: &[Key]) -> sqlx::Result<()> {
    let hashes = hashes(keys);
    sqlx::query!("delete from keys where hash = any($1)", &hashes).execute(db).await?;
    Ok(())
}

fn hashes(keys: &[Key]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.hash.as_bytes().to_vec()).collect()
}

/// How many keys each of these users has.
pub(super) async fn counts_of_users(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<HashMap<String, i64>> {
    let rows = sqlx::query!(
        r#"select user_id as "id!", count(*) as "count!" from keys where user_id = any($1) group by user_id"#,
        user_ids,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id, row.count)).collect())
}

/// How many keys each of these teams has.
pub(super) async fn counts_of_teams(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<HashMap<String, i64>> {
    let rows = sqlx::query!(
        r#"select team_id as "id!", count(*) as "count!" from keys where team_id = any($1) group by team_id"#,
        team_ids,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id, row.count)).collect())
}

/// A row as Postgres has it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    hash: Vec<u8>,
    masked: Option<String>,
    alias: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    aliases: Value,
    config: Value,
    permissions: Value,
    metadata: Value,
    blocked: Option<bool>,
    expires_at: Option<OffsetDateTime>,
    max_budget_nano_usd: Option<i64>,
    soft_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    budget_id: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    key_type: String,
    allowed_routes: Vec<String>,
    allowed_cache_controls: Vec<String>,
    more: Value,
    created_at: OffsetDateTime,
    created_by: Option<String>,
    updated_at: OffsetDateTime,
    updated_by: Option<String>,
}

impl TryFrom<Row> for Key {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            hash: read_hash(&row.hash)?,
            masked: row.masked,
            alias: row.alias,
            user_id: row.user_id,
            team_id: row.team_id,
            organization_id: row.organization_id,
            models: row.models,
            aliases: members(row.aliases),
            config: members(row.config),
            permissions: members(row.permissions),
            metadata: members(row.metadata),
            blocked: row.blocked,
            expires_at: row.expires_at,
            max_budget: row.max_budget_nano_usd.map(NanoUsd::from_nanos),
            soft_budget: row.soft_budget_nano_usd.map(NanoUsd::from_nanos),
            budget_duration: row.budget_duration,
            budget_id: row.budget_id,
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            max_parallel_requests: row.max_parallel_requests,
            key_type: row.key_type,
            allowed_routes: row.allowed_routes,
            allowed_cache_controls: row.allowed_cache_controls,
            more: members(row.more),
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            updated_by: row.updated_by,
        })
    }
}

fn read_hash(bytes: &[u8]) -> sqlx::Result<KeyHash> {
    KeyHash::try_from(bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The members of a JSON column; we write only objects there.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
