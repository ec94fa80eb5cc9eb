//! Accounts: the rows of `spend_totals` that have a budget. Intake adds to them; here they are made, closed and ended.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Budget;
use super::calendar::Calendar;
use crate::spend::Owner;

/// Makes an owner's accounts those of `budgets`. What was spent in a window stays with it, and a window of the same length
/// runs on.
pub(crate) async fn keep(db: &mut PgConnection, owner: Owner, id: &str, budgets: &[Budget]) -> sqlx::Result<()> {
    let scopes: Vec<&str> = budgets.iter().map(|budget| budget.scope.as_str()).collect();
    sqlx::query!(
        "delete from spend_totals where kind = $1 and owner_id = $2 and scope <> '' and scope <> all($3)",
        owner.kind(),
        id,
        &scopes as &[&str],
    )
    .execute(&mut *db)
    .await?;
    if !scopes.contains(&"") {
        sqlx::query!(
            "update spend_totals set budgeted = false, budget_window = null, window_ends_at = null
             where kind = $1 and owner_id = $2 and scope = '' and budgeted",
            owner.kind(),
            id,
        )
        .execute(&mut *db)
        .await?;
    }
    if budgets.is_empty() {
        return Ok(());
    }
    let calendar = calendar(db).await?;
    let now = OffsetDateTime::now_utc();
    for budget in budgets {
        let ends_at = budget.window.as_deref().and_then(|window| calendar.next_end(window, now));
        sqlx::query!(
            "insert into spend_totals as known (kind, owner_id, scope, model, budgeted, budget_window, window_ends_at,
                 version, told_in)
             values ($1, $2, $3, $4, true, $5, $6, 1, pg_current_xact_id())
             on conflict (kind, owner_id, scope) do update set
                 budgeted = true, budget_window = excluded.budget_window,
                 window_ends_at = case when known.budget_window = excluded.budget_window and known.window_ends_at > $7
                     then known.window_ends_at else excluded.window_ends_at end,
                 version = known.version + 1, told_in = pg_current_xact_id()",
            owner.kind(),
            id,
            budget.scope,
            budget.model.as_deref(),
            budget.window.as_deref(),
            ends_at,
            now,
        )
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Sets what an owner spent in the current window of the budget of everything.
pub(crate) async fn set_spent(db: &mut PgConnection, owner: Owner, id: &str, nanos: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into spend_totals as known (kind, owner_id, cost_nano_usd, total_nano_usd) values ($1, $2, $3, 0)
         on conflict (kind, owner_id, scope) do update set
             cost_nano_usd = excluded.cost_nano_usd, version = known.version + 1, told_in = pg_current_xact_id()",
        owner.kind(),
        id,
        nanos,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Who is gone has no budget any more; what they spent stays known.
pub(crate) async fn forget(db: &mut PgConnection, owner: Owner, ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update spend_totals set budgeted = false, budget_window = null, window_ends_at = null
         where kind = $1 and owner_id = any($2) and budgeted",
        owner.kind(),
        ids,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An account whose window is over.
pub(crate) struct Due {
    kind: String,
    owner_id: String,
    scope: String,
    window: String,
}

/// Accounts whose window is over, locked until the transaction ends, in the order in which intake locks them.
pub(crate) async fn due(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Due>> {
    sqlx::query_as!(
        Due,
        r#"select kind, owner_id, scope, coalesce(budget_window, '') as "window!" from spend_totals
           where window_ends_at <= now() order by kind, owner_id, scope limit $1 for update"#,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Begins the next window of these accounts: nothing is spent in it yet.
pub(crate) async fn end_windows(db: &mut PgConnection, due: &[Due]) -> sqlx::Result<()> {
    let calendar = calendar(db).await?;
    let now = OffsetDateTime::now_utc();
    let ends: Vec<Option<OffsetDateTime>> = due.iter().map(|due| calendar.next_end(&due.window, now)).collect();
    let column = |read: fn(&Due) -> &str| -> Vec<String> { due.iter().map(|due| read(due).to_owned()).collect() };
    sqlx::query!(
        "update spend_totals t set
             cost_nano_usd = 0, window_ends_at = over.ends_at, version = version + 1, told_in = pg_current_xact_id()
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as over (kind, owner_id, scope, ends_at)
         where t.kind = over.kind and t.owner_id = over.owner_id and t.scope = over.scope",
        &column(|due| &due.kind),
        &column(|due| &due.owner_id),
        &column(|due| &due.scope),
        &ends as &[Option<OffsetDateTime>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The calendar of the settings. What the API set goes before what the file says.
async fn calendar(db: &mut PgConnection) -> sqlx::Result<Calendar> {
    let said = sqlx::query!(
        r#"select (array_agg(value ->> 'timezone') filter (where value ? 'timezone'))[1] as zone,
                  (array_agg(value ->> 'budget_reset_time') filter (where value ? 'budget_reset_time'))[1] as begins
           from (select value from settings where section = 'litellm_settings' order by origin) said"#,
    )
    .fetch_one(db)
    .await?;
    Ok(Calendar::new(said.zone.as_deref(), said.begins.as_deref()))
}
