//! Accounts: the rows of `spend_totals` that have a budget. Intake adds to them; here they are made, closed and ended.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Budget;
use super::calendar::Calendar;
use crate::spend::Owner;

/// Makes an owner's accounts those of `budgets`. What was spent in a window stays with it, and a window of the same length
/// runs on.
pub(crate) async fn keep(db: &mut PgConnection, owner: Owner, id: &str, budgets: &[Budget]) -> sqlx::Result<()> {
    keep_all(db, owner, &[id.to_owned()], budgets).await
}

/// The same for several owners of one kind, in as many statements as for one.
pub(crate) async fn keep_all(
    db: &mut PgConnection,
    owner: Owner,
    ids: &[String],
    budgets: &[Budget],
) -> sqlx::Result<()> {
    lock_all(db, owner, ids).await?;
    let scopes: Vec<&str> = budgets.iter().map(|budget| budget.scope.as_str()).collect();
    sqlx::query!(
        "delete from spend_totals where kind = $1 and owner_id = any($2) and scope <> '' and scope <> all($3)",
        owner.kind(),
        ids,
        &scopes as &[&str],
    )
    .execute(&mut *db)
    .await?;
    if !scopes.contains(&"") {
        sqlx::query!(
            "update spend_totals set budgeted = false, budget_window = null, window_ends_at = null
             where kind = $1 and owner_id = any($2) and scope = '' and budgeted",
            owner.kind(),
            ids,
        )
        .execute(&mut *db)
        .await?;
    }
    if budgets.is_empty() {
        return Ok(());
    }
    let calendar = calendar(db).await?;
    let now = OffsetDateTime::now_utc();
    // An account that was closed and is opened again begins with a version beyond that which data planes know: each version costs
    // a transaction.
    for budget in budgets {
        let ends_at = budget.window.as_deref().and_then(|window| calendar.next_end(window, now));
        sqlx::query!(
            "insert into spend_totals as known (kind, owner_id, scope, model, budgeted, budget_window, window_ends_at,
                 version, told_in)
             select $1, owner_id, $3, $4, true, $5, $6, pg_current_xact_id()::text::bigint, pg_current_xact_id()
             from unnest($2::text[]) as owner (owner_id) order by owner_id
             on conflict (kind, owner_id, scope) do update set
                 budgeted = true, budget_window = excluded.budget_window,
                 window_ends_at = case when known.budget_window = excluded.budget_window and known.window_ends_at > $7
                     then known.window_ends_at else excluded.window_ends_at end,
                 version = known.version + 1, told_in = pg_current_xact_id()",
            owner.kind(),
            ids,
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

/// Spend that was counted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) id: String,
    /// How much more in the current window.
    pub(crate) window: i64,
    /// How much more ever.
    pub(crate) ever: i64,
    /// When the window ends, where that is known.
    pub(crate) ends_at: Option<OffsetDateTime>,
}

/// Adds what was spent elsewhere to the accounts of everything.
pub(crate) async fn bring(db: &mut PgConnection, owner: Owner, brought: &[Brought]) -> sqlx::Result<()> {
    if brought.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = brought.iter().map(|row| row.id.clone()).collect();
    let window: Vec<i64> = brought.iter().map(|row| row.window).collect();
    let ever: Vec<i64> = brought.iter().map(|row| row.ever).collect();
    let ends: Vec<Option<OffsetDateTime>> = brought.iter().map(|row| row.ends_at).collect();
    // In the order in which intake locks them.
    sqlx::query!(
        r#"insert into spend_totals as known (kind, owner_id, cost_nano_usd, total_nano_usd)
           select $1, id, spent, ever from unnest($2::text[], $3::bigint[], $4::bigint[]) as brought (id, spent, ever)
           order by id collate "C"
           on conflict (kind, owner_id, scope) do update set
               cost_nano_usd = known.cost_nano_usd + excluded.cost_nano_usd,
               total_nano_usd = known.total_nano_usd + excluded.total_nano_usd,
               version = known.version + 1, told_in = pg_current_xact_id()"#,
        owner.kind(),
        &ids,
        &window,
        &ever,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update spend_totals t set window_ends_at = brought.ends_at
         from unnest($2::text[], $3::timestamptz[]) as brought (id, ends_at)
         where t.kind = $1 and t.owner_id = brought.id and t.scope = '' and brought.ends_at is not null
           and t.budget_window is not null",
        owner.kind(),
        &ids,
        &ends as &[Option<OffsetDateTime>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Locks all accounts of these owners until the transaction ends, in the order in which intake locks them, so that neither waits
/// for the other in a circle.
pub(crate) async fn lock_all(db: &mut PgConnection, owner: Owner, ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "select version from spend_totals where kind = $1 and owner_id = any($2)
         order by scope = '', owner_id collate \"C\", scope collate \"C\" for update",
        owner.kind(),
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// Locks all accounts of an owner until the transaction ends, in the order in which intake does.
pub(crate) async fn lock(db: &mut PgConnection, owner: Owner, id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "select from spend_totals where kind = $1 and owner_id = $2 order by scope = '', scope for update",
        owner.kind(),
        id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets what an owner spent of everything, and in single windows and on models to no more than that. Gives how many accounts
/// changed; they must be locked.
pub(crate) async fn reset_spent(db: &mut PgConnection, owner: Owner, id: &str, nanos: i64) -> sqlx::Result<u64> {
    let changed = sqlx::query!(
        "update spend_totals set
             cost_nano_usd = $3, version = version + 1, told_in = pg_current_xact_id()
         where kind = $1 and owner_id = $2 and (cost_nano_usd > $3 or (scope = '' and cost_nano_usd <> $3))",
        owner.kind(),
        id,
        nanos,
    )
    .execute(db)
    .await?;
    Ok(changed.rows_affected())
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
           where window_ends_at <= now()
           order by scope = '', kind collate "C", owner_id collate "C", scope collate "C" limit $1 for update"#,
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
pub(super) async fn calendar(db: &mut PgConnection) -> sqlx::Result<Calendar> {
    let said = sqlx::query!(
        r#"select (array_agg(value ->> 'timezone') filter (where value ? 'timezone'))[1] as zone,
                  (array_agg(value ->> 'budget_reset_time') filter (where value ? 'budget_reset_time'))[1] as begins
           from (select value from settings where section = 'litellm_settings' order by origin) said"#,
    )
    .fetch_one(db)
    .await?;
    Ok(Calendar::new(said.zone.as_deref(), said.begins.as_deref()))
}

#[cfg(test)]
mod tests {
    use proto::NanoUsd;
    use time::Duration;

    use super::*;
    use crate::fixture::{self, TestDatabase};

    fn budget(scope: &str, window: Option<&str>) -> Budget {
        let (most, window) = (Some(NanoUsd::from_nanos(100)), window.map(str::to_owned));
        let model = scope.strip_prefix("model:").map(str::to_owned);
        Budget { scope: scope.to_owned(), model, most, window }
    }

    struct Books {
        database: TestDatabase,
    }

    impl Books {
        async fn new() -> Self {
            Self { database: fixture::database().await }
        }

        async fn keep(&self, budgets: &[Budget]) {
            let mut db = self.database.pool().acquire().await.unwrap();
            keep(&mut db, Owner::Team, "t", budgets).await.unwrap();
        }

        /// Scope, spend, whether it has a budget, and when it ends.
        async fn accounts(&self) -> Vec<(String, i64, bool, Option<OffsetDateTime>)> {
            sqlx::query_as("select scope, cost_nano_usd, budgeted, window_ends_at from spend_totals order by scope")
                .fetch_all(&self.database.pool())
                .await
                .unwrap()
        }

        async fn run(&self, statement: &'static str) {
            sqlx::query(statement).execute(&self.database.pool()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn spend_stays_with_its_window_when_budgets_change() {
        let books = Books::new().await;
        books.keep(&[budget("", Some("30d")), budget("window:1d", Some("1d"))]).await;
        books.run("update spend_totals set cost_nano_usd = 7").await;
        let before = books.accounts().await;
        assert!(before.iter().all(|(_, _, budgeted, ends_at)| *budgeted && ends_at.is_some()));

        // The same windows run on; another begins; one that is gone is gone.
        books.keep(&[budget("", Some("30d")), budget("model:gpt-4o", Some("1h"))]).await;
        let after = books.accounts().await;
        assert_eq!(after[0], before[0]);
        assert_eq!((after[1].0.as_str(), after[1].1, after.len()), ("model:gpt-4o", 0, 2));

        books.keep(&[]).await;
        let [(scope, spent, budgeted, ends_at)] = &books.accounts().await[..] else { panic!("one account") };
        assert_eq!((scope.as_str(), *spent, *budgeted, *ends_at), ("", 7, false, None), "spend is not forgotten");
    }

    #[tokio::test]
    async fn a_window_that_is_over_begins_anew_at_the_next_moment_of_its_calendar() {
        let books = Books::new().await;
        books.run("insert into settings (section, origin, value) values ('litellm_settings', 'file', '{\"timezone\": \"Asia/Tokyo\"}')").await;
        books.keep(&[budget("", Some("1d")), budget("window:1h", Some("1h"))]).await;
        books.run("update spend_totals set cost_nano_usd = 7, window_ends_at = now() - interval '1 minute' where scope = ''").await;
        let mut db = books.database.pool().acquire().await.unwrap();
        let due = due(&mut db, 10).await.unwrap();
        assert_eq!(due.len(), 1);
        end_windows(&mut db, &due).await.unwrap();
        let accounts = books.accounts().await;
        let (_, spent, _, ends_at) = &accounts[0];
        let ends_at = ends_at.unwrap();
        assert_eq!((*spent, ends_at.hour(), ends_at.minute()), (0, 15, 0), "midnight in Tokyo");
        assert!(ends_at > OffsetDateTime::now_utc() && ends_at <= OffsetDateTime::now_utc() + Duration::days(1));
        assert!(super::due(&mut db, 10).await.unwrap().is_empty());
    }
}
