//! Rows of teams.

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{Member, Team};

/// Selects whole rows of teams. Which ones is the caller's to say.
macro_rules! select_teams {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select team_id, alias, organization_id, members as \"members: Json<Vec<Member>>\", models, model_aliases,
                    metadata, blocked, max_budget_nano_usd, soft_budget_nano_usd, budget_duration,
                    tpm_limit, rpm_limit, max_parallel_requests, more, created_at, updated_at
             from teams "
                + $which
            $(, $argument)*
        )
    };
}

/// The team with this id.
pub(super) async fn by_id(db: &mut PgConnection, team_id: &str) -> sqlx::Result<Option<Team>> {
    Ok(select_teams!("where team_id = $1", team_id).fetch_optional(db).await?.map(Team::from))
}

/// The team with this id; until the transaction ends, it can be read by all and deleted by nobody.
pub(super) async fn shared(db: &mut PgConnection, team_id: &str) -> sqlx::Result<Option<Team>> {
    Ok(select_teams!("where team_id = $1 for share", team_id).fetch_optional(db).await?.map(Team::from))
}

/// The teams among these ids that exist, locked until the transaction ends; in one order, so that nobody waits for each
/// other.
pub(super) async fn locked(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<Vec<Team>> {
    let rows = select_teams!("where team_id = any($1) order by team_id for update", team_ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

/// The teams among these ids that exist.
pub(super) async fn among(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<Vec<Team>> {
    let rows = select_teams!("where team_id = any($1) order by alias, team_id", team_ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

/// The teams with this user on their roster.
pub(super) async fn of_member(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<Team>> {
    let rows = select_teams!(
        "where members @> jsonb_build_array(jsonb_build_object('user_id', $1::text)) order by alias, team_id",
        user_id,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Team::from).collect())
}

/// The teams of these organizations.
pub(super) async fn of_organizations(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Team>> {
    let rows = select_teams!("where organization_id = any($1) order by alias, team_id", ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

/// All teams.
pub(super) async fn all(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Team>> {
    let rows = select_teams!("order by alias, team_id limit $1", limit).fetch_all(db).await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

/// Adds a row.
pub(super) async fn insert(db: &mut PgConnection, team: &Team) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into teams
             (team_id, alias, organization_id, members, models, model_aliases, metadata, blocked, max_budget_nano_usd,
              soft_budget_nano_usd, budget_duration, tpm_limit, rpm_limit, max_parallel_requests, more,
              created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        team.team_id,
        team.alias.as_deref(),
        team.organization_id.as_deref(),
        Json(&team.members) as _,
        &team.models,
        Value::Object(team.model_aliases.clone()),
        Value::Object(team.metadata.clone()),
        team.blocked,
        team.max_budget.map(NanoUsd::nanos),
        team.soft_budget.map(NanoUsd::nanos),
        team.budget_duration.as_deref(),
        team.tpm_limit,
        team.rpm_limit,
        team.max_parallel_requests,
        Value::Object(team.more.clone()),
        team.created_at,
        team.updated_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a locked row anew.
pub(super) async fn update(db: &mut PgConnection, team: &Team) -> sqlx::Result<()> {
    sqlx::query!(
        "update teams set
             alias = $2, organization_id = $3, members = $4, models = $5, model_aliases = $6, metadata = $7,
             blocked = $8, max_budget_nano_usd = $9, soft_budget_nano_usd = $10, budget_duration = $11,
             tpm_limit = $12, rpm_limit = $13, max_parallel_requests = $14, more = $15,
             updated_at = $16
         where team_id = $1",
        team.team_id,
        team.alias.as_deref(),
        team.organization_id.as_deref(),
        Json(&team.members) as _,
        &team.models,
        Value::Object(team.model_aliases.clone()),
        Value::Object(team.metadata.clone()),
        team.blocked,
        team.max_budget.map(NanoUsd::nanos),
        team.soft_budget.map(NanoUsd::nanos),
        team.budget_duration.as_deref(),
        team.tpm_limit,
        team.rpm_limit,
        team.max_parallel_requests,
        Value::Object(team.more.clone()),
        team.updated_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes rows.
pub(super) async fn delete(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from teams where team_id = any($1)", team_ids).execute(db).await?;
    Ok(())
}

/// The teams that users may join by themselves. What the API wrote goes before what the file says.
pub(super) async fn open_to_users(db: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let lists = sqlx::query_scalar!(
        "select value #> '{default_internal_user_params,available_teams}' from settings
         where section = 'litellm_settings'
         order by case origin when 'api' then 0 else 1 end",
    );
    let list = lists.fetch_all(db).await?.into_iter().flatten().find_map(|value| match value {
        Value::Array(ids) => Some(ids),
        _ => None,
    });
    Ok(list.unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A row as Postgres has it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    team_id: String,
    alias: Option<String>,
    organization_id: Option<String>,
    members: Json<Vec<Member>>,
    models: Vec<String>,
    model_aliases: Value,
    metadata: Value,
    blocked: bool,
    max_budget_nano_usd: Option<i64>,
    soft_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    more: Value,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for Team {
    fn from(row: Row) -> Self {
        Self {
            team_id: row.team_id,
            alias: row.alias,
            organization_id: row.organization_id,
            members: row.members.0,
            models: row.models,
            model_aliases: members(row.model_aliases),
            metadata: members(row.metadata),
            blocked: row.blocked,
            max_budget: row.max_budget_nano_usd.map(NanoUsd::from_nanos),
            soft_budget: row.soft_budget_nano_usd.map(NanoUsd::from_nanos),
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
