//! The log of calls, one row per call to a provider. The query is put together as it runs: a filter that is not set is
//! not in it, so that Postgres plans for what was asked.

use proto::KeyHash;
use serde_json::Value;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{FromRow, QueryBuilder};
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

use crate::access::MASTER_KEY_ALIAS;

/// Most rows of one answer.
pub(super) const ROWS: usize = 10_000;

/// Which calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// As the provider named the answer, or as we named the call.
    pub(super) request_id: Option<String>,
    pub(super) key_hash: Option<KeyHash>,
    /// Calls with the master key.
    pub(super) master_key: bool,
    pub(super) user_id: Option<String>,
    pub(super) team_id: Option<String>,
    /// From the beginning of this day.
    pub(super) from: Option<Date>,
    /// To the beginning of this day, as LiteLLM has it.
    pub(super) to: Option<Date>,
}

/// A row as Postgres has it.
#[derive(Debug, FromRow)]
pub(super) struct Row {
    pub(super) event_id: Uuid,
    pub(super) request_id: String,
    pub(super) call_id: String,
    pub(super) call_type: String,
    pub(super) key_hash: Option<Vec<u8>>,
    pub(super) key_alias: Option<String>,
    pub(super) master_key: bool,
    pub(super) user_id: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) team_alias: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) end_user: Option<String>,
    pub(super) model: String,
    pub(super) model_group: String,
    pub(super) deployment_id: String,
    pub(super) provider: String,
    pub(super) api_base: String,
    pub(super) started_at: OffsetDateTime,
    pub(super) first_byte_at: Option<OffsetDateTime>,
    pub(super) ended_at: OffsetDateTime,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) total_tokens: i64,
    pub(super) token_details: Value,
    pub(super) usage_source: String,
    pub(super) estimate_method: Option<String>,
    pub(super) price_state: String,
    pub(super) price_source: Option<String>,
    pub(super) cost_nano_usd: i64,
    pub(super) ending: String,
    pub(super) success: bool,
    pub(super) status: i32,
    pub(super) tags: Vec<String>,
    pub(super) error_class: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) attempt: i32,
    pub(super) client_ip: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) streamed: bool,
    pub(super) spend_logs_metadata: Option<Value>,
    pub(super) data_plane_id: String,
    pub(super) taken_in_at: OffsetDateTime,
}

/// What one user spent with one key on one model on one day.
#[derive(Debug, FromRow)]
pub(super) struct DayRow {
    pub(super) day: Date,
    pub(super) key_hash: Option<Vec<u8>>,
    pub(super) master_key: bool,
    pub(super) user_id: Option<String>,
    pub(super) model: String,
    pub(super) cost_nano_usd: i64,
}

/// The newest calls that the filter lets through, up to [`ROWS`].
pub(super) async fn rows(db: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Row>> {
    let mut query = QueryBuilder::new("select * from spend_logs where true");
    narrow(&mut query, filter);
    query.push(" order by started_at desc, event_id desc limit ").push_bind(i64::try_from(ROWS).unwrap_or(i64::MAX));
    query.build_query_as().fetch_all(db).await
}

/// Sums by day, key, user and model, in the order of days.
pub(super) async fn days(db: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<DayRow>> {
    let mut query = QueryBuilder::new(
        "select (started_at at time zone 'utc')::date as day, key_hash, master_key, user_id, model,
                least(sum(cost_nano_usd), 9223372036854775807)::bigint as cost_nano_usd
         from spend_logs where true",
    );
    narrow(&mut query, filter);
    query.push(" group by 1, 2, 3, 4, 5 order by 1");
    query.build_query_as().fetch_all(db).await
}

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    if let Some(id) = &filter.request_id {
        query.push(" and (request_id = ").push_bind(id.clone()).push(" or call_id = ").push_bind(id.clone()).push(")");
    }
    if let Some(hash) = &filter.key_hash {
        query.push(" and key_hash = ").push_bind(hash.as_bytes().to_vec());
    }
    if filter.master_key {
        query.push(" and master_key");
    }
    if let Some(user_id) = &filter.user_id {
        query.push(" and user_id = ").push_bind(user_id.clone());
    }
    if let Some(team_id) = &filter.team_id {
        query.push(" and team_id = ").push_bind(team_id.clone());
    }
    // A partition's day is when the event got its id, which is close to the start of the call, not the same.
    let slack = Duration::days(2);
    if let Some(from) = filter.from {
        query.push(" and started_at >= ").push_bind(from.midnight().assume_utc());
        if let Some(day) = from.checked_sub(slack) {
            query.push(" and day >= ").push_bind(day);
        }
    }
    if let Some(to) = filter.to {
        query.push(" and started_at <= ").push_bind(to.midnight().assume_utc());
        if let Some(day) = to.checked_add(slack) {
            query.push(" and day <= ").push_bind(day);
        }
    }
}

/// What stands for a key in spend logs: its hash, or the master key's alias.
pub(super) fn key_name(hash: Option<&[u8]>, master_key: bool) -> String {
    match (hash, master_key) {
        (_, true) => MASTER_KEY_ALIAS.to_owned(),
        (Some(hash), false) => hex::encode(hash),
        (None, false) => String::new(),
    }
}
