//! Daily partitions of `spend_logs`.
//!
//! Made ahead by a job, and by intake where one is missing. Days far away stay in the default partition, so that
//! a clock gone wrong cannot make partitions without end.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sqlx::{AssertSqlSafe, PgPool};
use time::{Date, Duration, OffsetDateTime};

/// Days ahead of today, and behind it, that have a partition of their own. Twice a spool's longest age.
pub(crate) const AHEAD: i64 = 7;
const BEHIND: i64 = 14;

/// One control plane at a time makes partitions.
const LOCK: i64 = 0x7475_726e_7061_7274;

/// Days whose partitions are known to exist.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeSet<Date>>);

impl Known {
    /// Makes the partitions of these days where they are missing and near enough to today.
    pub(super) async fn ensure(&self, db: &PgPool, days: impl IntoIterator<Item = Date>) -> sqlx::Result<()> {
        let today = OffsetDateTime::now_utc().date();
        let near = |day: &Date| (today - Duration::days(BEHIND)..=today + Duration::days(AHEAD)).contains(day);
        let known = self.days().clone();
        let missing: BTreeSet<Date> = days.into_iter().filter(|day| near(day) && !known.contains(day)).collect();
        for day in missing {
            create(db, day).await?;
            let mut known = self.days();
            known.retain(near);
            known.insert(day);
        }
        Ok(())
    }

    fn days(&self) -> std::sync::MutexGuard<'_, BTreeSet<Date>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the partition of one day, unless it is there, and moves into it what waited in the default partition.
///
/// It is made aside and attached, which locks writers out of the default partition only.
pub(crate) async fn create(db: &PgPool, day: Date) -> sqlx::Result<()> {
    let (year, month, of_month) = day.to_calendar_date();
    let name = format!("spend_logs_{year:04}{:02}{of_month:02}", u8::from(month));
    let mut tx = db.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1), set_config('lock_timeout', '5s', true)", LOCK)
        .fetch_one(&mut *tx)
        .await?;
    let there = sqlx::query_scalar!(r#"select to_regclass($1) is not null as "there!""#, name).fetch_one(&mut *tx);
    if there.await? {
        return tx.commit().await;
    }
    let next = day + Duration::days(1);
    // Names and dates are made of digits here; identifiers cannot be bound as parameters.
    let statements = format!(
        "create table {name} (like spend_logs including defaults including constraints);
         lock table spend_logs_other in access exclusive mode;
         with waiting as (delete from spend_logs_other where day = '{day}' returning *)
             insert into {name} select * from waiting;
         alter table spend_logs attach partition {name} for values from ('{day}') to ('{next}')"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *tx).await?;
    tx.commit().await
}
