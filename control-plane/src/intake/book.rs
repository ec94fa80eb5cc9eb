//! One transaction: insert what is new, sum up what was inserted, commit.

use std::collections::HashSet;

use sqlx::{PgConnection, PgPool};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::aggregate::{Sums, Totals};
use super::columns::Columns;
use super::event::Booking;
use super::newest::Newest;
use crate::keys::replaced::BOOKING;

/// Books events in one transaction and says how many were new. Returns after the commit reached the disk.
/// `bookings` must be in the order of their day and id, each id once.
pub(super) async fn book(db: &PgPool, data_plane_id: &str, bookings: &[Booking]) -> sqlx::Result<usize> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        "select set_config('synchronous_commit', 'on', true) as durable, set_config('lock_timeout', '2s', true) as patience,
             pg_advisory_xact_lock_shared($1)::text as turn",
        BOOKING,
    )
    .fetch_one(&mut *tx)
    .await?;
    let newest = Newest::of(&mut tx, bookings.iter()).await?;
    let inserted = insert(&mut tx, data_plane_id, Columns::of(bookings, &newest)).await?;
    let inserted: HashSet<Uuid> = inserted.into_iter().collect();
    let totals = Totals::of(bookings.iter().filter(|booking| inserted.contains(&booking.id)), &newest);
    add_to_days(&mut tx, &totals).await?;
    add_to_accounts(&mut tx, &totals).await?;
    add_to_owners(&mut tx, &totals).await?;
    tx.commit().await?;
    Ok(inserted.len())
}

/// Inserts, and gives the ids that were not there.
async fn insert(db: &mut PgConnection, data_plane_id: &str, columns: Columns<'_>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "insert into spend_logs (
             data_plane_id, day, event_id, request_id, call_id, call_type, key_hash, key_alias, master_key, user_id,
             team_id, team_alias, organization_id, end_user, model, model_group, deployment_id, provider, api_base,
             started_at, first_byte_at, ended_at, prompt_tokens, completion_tokens, total_tokens, token_details,
             usage_source, estimate_method, price_state, price_source, cost_nano_usd, ending, success, status, tags,
             error_class, error_message, attempt, client_ip, user_agent, session_id, streamed, spend_logs_metadata)
         select $1, day, event_id, request_id, call_id, call_type, key_hash, key_alias, master_key, user_id,
             team_id, team_alias, organization_id, end_user, model, model_group, deployment_id, provider, api_base,
             started_at, first_byte_at, ended_at, prompt_tokens, completion_tokens, total_tokens, token_details,
             usage_source, estimate_method, price_state, price_source, cost_nano_usd, ending, success, status,
             array(select jsonb_array_elements_text(tags)),
             error_class, error_message, attempt, client_ip, user_agent, session_id, streamed, metadata
         from unnest(
             $2::date[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::bool[],
             $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
             $18::text[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::timestamptz[], $23::bigint[],
             $24::bigint[], $25::bigint[], $26::jsonb[], $27::text[], $28::text[], $29::text[], $30::text[],
             $31::bigint[], $32::text[], $33::bool[], $34::int[], $35::jsonb[], $36::text[], $37::text[], $38::int[],
             $39::text[], $40::text[], $41::text[], $42::bool[], $43::jsonb[]
         ) as event (
             day, event_id, request_id, call_id, call_type, key_hash, key_alias, master_key, user_id, team_id,
             team_alias, organization_id, end_user, model, model_group, deployment_id, provider, api_base, started_at,
             first_byte_at, ended_at, prompt_tokens, completion_tokens, total_tokens, token_details, usage_source,
             estimate_method, price_state, price_source, cost_nano_usd, ending, success, status, tags, error_class,
             error_message, attempt, client_ip, user_agent, session_id, streamed, metadata)
         on conflict (day, event_id) do nothing
         returning event_id",
        data_plane_id,
        &columns.day,
        &columns.event_id,
        &columns.request_id as &[&str],
        &columns.call_id as &[&str],
        &columns.call_type as &[&str],
        &columns.key_hash as &[Option<&[u8]>],
        &columns.key_alias as &[Option<&str>],
        &columns.master_key,
        &columns.user_id as &[Option<&str>],
        &columns.team_id as &[Option<&str>],
        &columns.team_alias as &[Option<&str>],
        &columns.organization_id as &[Option<&str>],
        &columns.end_user as &[Option<&str>],
        &columns.model as &[&str],
        &columns.model_group as &[&str],
        &columns.deployment_id as &[&str],
        &columns.provider as &[&str],
        &columns.api_base as &[&str],
        &columns.started_at,
        &columns.first_byte_at as &[Option<OffsetDateTime>],
        &columns.ended_at,
        &columns.prompt_tokens,
        &columns.completion_tokens,
        &columns.total_tokens,
        &columns.token_details as &[&serde_json::Value],
        &columns.usage_source as &[&str],
        &columns.estimate_method as &[Option<&str>],
        &columns.price_state as &[&str],
        &columns.price_source as &[Option<&str>],
        &columns.cost_nano_usd,
        &columns.ending as &[&str],
        &columns.success,
        &columns.status,
        &columns.tags,
        &columns.error_class as &[Option<&str>],
        &columns.error_message as &[Option<&str>],
        &columns.attempt,
        &columns.client_ip as &[Option<&str>],
        &columns.user_agent as &[Option<&str>],
        &columns.session_id as &[Option<&str>],
        &columns.streamed,
        &columns.metadata as &[Option<&serde_json::Value>],
    )
    .fetch_all(db)
    .await
}

async fn add_to_days(db: &mut PgConnection, totals: &Totals) -> sqlx::Result<()> {
    let keys = totals.of_days.keys();
    let days: Vec<Date> = keys.clone().map(|key| key.0).collect();
    let kinds: Vec<&str> = keys.clone().map(|key| key.1).collect();
    let owners: Vec<&str> = keys.clone().map(|key| key.2.as_str()).collect();
    let models: Vec<&str> = keys.clone().map(|key| key.3.as_str()).collect();
    let providers: Vec<&str> = keys.map(|key| key.4.as_str()).collect();
    let sums = SumColumns::of(totals.of_days.values());
    sqlx::query!(
        "insert into spend_daily as known (day, kind, owner_id, model, provider, cost_nano_usd, prompt_tokens,
             completion_tokens, calls, failed_calls, unknown_price_calls)
         select * from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
         on conflict (day, kind, owner_id, model, provider) do update set
             cost_nano_usd = known.cost_nano_usd + excluded.cost_nano_usd,
             prompt_tokens = known.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = known.completion_tokens + excluded.completion_tokens,
             calls = known.calls + excluded.calls,
             failed_calls = known.failed_calls + excluded.failed_calls,
             unknown_price_calls = known.unknown_price_calls + excluded.unknown_price_calls",
        &days,
        &kinds as &[&str],
        &owners as &[&str],
        &models as &[&str],
        &providers as &[&str],
        &sums.cost_nano_usd,
        &sums.prompt_tokens,
        &sums.completion_tokens,
        &sums.calls,
        &sums.failed_calls,
        &sums.unknown_price_calls,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds to the accounts of single windows and models. Of the accounts of models, the one with the whole name counts; where
/// there is none, that of what follows the last `/` of it. They are locked in one order, which `set` alone does not promise.
async fn add_to_accounts(db: &mut PgConnection, totals: &Totals) -> sqlx::Result<()> {
    let keys = totals.of_models.keys();
    let kinds: Vec<&str> = keys.clone().map(|key| key.0).collect();
    let owners: Vec<&str> = keys.clone().map(|key| key.1.as_str()).collect();
    let models: Vec<&str> = keys.map(|key| key.2.as_str()).collect();
    let costs: Vec<i64> = totals.of_models.values().copied().collect();
    sqlx::query!(
        "with added as (
             select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as a (kind, owner_id, model, cost)
         ), sums as (
             select t.kind, t.owner_id, t.scope, sum(a.cost)::bigint as cost
             from added a join spend_totals t on t.kind = a.kind and t.owner_id = a.owner_id and t.scope <> ''
             where t.model is null or t.model = a.model or (
                 t.model = regexp_replace(a.model, '^.*/', '') and not exists (
                     select from spend_totals whole
                     where whole.kind = t.kind and whole.owner_id = t.owner_id and whole.model = a.model))
             group by t.kind, t.owner_id, t.scope
         ), locked as (
             select t.kind, t.owner_id, t.scope, sums.cost from spend_totals t join sums using (kind, owner_id, scope)
             order by t.kind collate \"C\", t.owner_id collate \"C\", t.scope collate \"C\" for update of t
         )
         update spend_totals t set
             cost_nano_usd = t.cost_nano_usd + locked.cost, total_nano_usd = t.total_nano_usd + locked.cost,
             version = t.version + 1, told_in = pg_current_xact_id()
         from locked where t.kind = locked.kind and t.owner_id = locked.owner_id and t.scope = locked.scope",
        &kinds as &[&str],
        &owners as &[&str],
        &models as &[&str],
        &costs,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Comes last: everybody's batches meet in the row of the whole proxy, which stays locked until the commit.
async fn add_to_owners(db: &mut PgConnection, totals: &Totals) -> sqlx::Result<()> {
    let kinds: Vec<&str> = totals.of_owners.keys().map(|owner| owner.0).collect();
    let owners: Vec<&str> = totals.of_owners.keys().map(|owner| owner.1.as_str()).collect();
    let sums = SumColumns::of(totals.of_owners.values());
    sqlx::query!(
        "insert into spend_totals as known (kind, owner_id, cost_nano_usd, total_nano_usd, prompt_tokens,
             completion_tokens, calls, unknown_price_calls, last_used_at)
         select kind, owner_id, cost, cost, prompt, completion, calls, unpriced, last_used_at
         from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
             $8::timestamptz[]) as added (kind, owner_id, cost, prompt, completion, calls, unpriced, last_used_at)
         on conflict (kind, owner_id, scope) do update set
             cost_nano_usd = known.cost_nano_usd + excluded.cost_nano_usd,
             total_nano_usd = known.total_nano_usd + excluded.total_nano_usd,
             prompt_tokens = known.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = known.completion_tokens + excluded.completion_tokens,
             calls = known.calls + excluded.calls,
             unknown_price_calls = known.unknown_price_calls + excluded.unknown_price_calls,
             last_used_at = greatest(known.last_used_at, excluded.last_used_at),
             version = known.version + known.budgeted::int,
             told_in = case when known.budgeted then pg_current_xact_id() else known.told_in end",
        &kinds as &[&str],
        &owners as &[&str],
        &sums.cost_nano_usd,
        &sums.prompt_tokens,
        &sums.completion_tokens,
        &sums.calls,
        &sums.unknown_price_calls,
        &sums.last_used_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[derive(Default)]
struct SumColumns {
    cost_nano_usd: Vec<i64>,
    prompt_tokens: Vec<i64>,
    completion_tokens: Vec<i64>,
    calls: Vec<i64>,
    failed_calls: Vec<i64>,
    unknown_price_calls: Vec<i64>,
    last_used_at: Vec<OffsetDateTime>,
}

impl SumColumns {
    fn of<'a>(sums: impl Iterator<Item = &'a Sums>) -> Self {
        let mut columns = Self::default();
        for sum in sums {
            columns.cost_nano_usd.push(sum.cost_nano_usd);
            columns.prompt_tokens.push(sum.prompt_tokens);
            columns.completion_tokens.push(sum.completion_tokens);
            columns.calls.push(sum.calls);
            columns.failed_calls.push(sum.failed_calls);
            columns.unknown_price_calls.push(sum.unknown_price_calls);
            columns.last_used_at.push(sum.last_used_at);
        }
        columns
    }
}
