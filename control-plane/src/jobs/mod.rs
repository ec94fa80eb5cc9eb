//! Periodic jobs, each in its file. Of several control planes one runs a job at a time.

mod partitions;
mod prune;
mod reconcile;
mod replaced;
mod windows;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Runs all jobs, each at once and then at its interval, until `shutdown`.
pub(crate) async fn run(db: PgPool, shutdown: CancellationToken) {
    let hour = Duration::from_secs(3_600);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = every(Duration::from_secs(1), &db, "windows", windows::LOCK, windows::end) => {}
        () = every(Duration::from_secs(30), &db, "replaced", replaced::LOCK, replaced::take_back) => {}
        () = every(hour, &db, "partitions", partitions::LOCK, partitions::make_ahead) => {}
        () = every(hour, &db, "prune", prune::LOCK, prune::change_log) => {}
        () = every(24 * hour, &db, "reconcile", reconcile::LOCK, reconcile::recent_days) => {}
    }
}

async fn every<F>(period: Duration, db: &PgPool, name: &'static str, lock: i64, job: impl Fn(PgPool) -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = 0;
    loop {
        ticks.tick().await;
        let turn = alone(db, lock, &job).await;
        match &turn {
            Ok(Turn::Done) => tracing::debug!(job = name, "a job ran"),
            Ok(Turn::Elsewhere) => tracing::debug!(job = name, "another control plane runs this job"),
            // Said once: some run each second, and Postgres may be away for an hour.
            Err(error) if failed == 0 => {
                tracing::error!(job = name, error = format!("{error:#}"), "a job failed; it is tried again");
            }
            Err(error) => tracing::debug!(job = name, error = format!("{error:#}"), "a job failed again"),
        }
        if turn.is_ok() && failed > 0 {
            tracing::info!(job = name, failed, "a job runs again");
        }
        failed = if turn.is_ok() { 0 } else { failed + 1 };
    }
}

enum Turn {
    Done,
    Elsewhere,
}

/// Runs the job unless another control plane is at it. The lock goes with its transaction, whatever happens.
async fn alone<F>(db: &PgPool, lock: i64, job: impl Fn(PgPool) -> F) -> anyhow::Result<Turn>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut tx = db.begin().await?;
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, lock).fetch_one(&mut *tx);
    if !ours.await? {
        return Ok(Turn::Elsewhere);
    }
    if let Err(error) = job(db.clone()).await {
        // By hand: a dropped transaction is rolled back a moment later, and keeps the lock until then. Where that fails,
        // the connection is gone, and the lock with it.
        drop(tx.rollback().await);
        return Err(error);
    }
    tx.commit().await?;
    Ok(Turn::Done)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn of_several_control_planes_one_runs_a_job_at_a_time() {
        let database = fixture::database().await;
        let db = database.pool();
        let nothing = |_| async { anyhow::Ok(()) };
        let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (says, waits, first) = (begun.clone(), may_end.clone(), db.clone());
        let first = tokio::spawn(async move {
            let job = |_| async {
                says.notify_one();
                waits.notified().await;
                anyhow::Ok(())
            };
            alone(&first, 7, job).await
        });
        begun.notified().await;
        assert!(matches!(alone(&db, 7, nothing).await, Ok(Turn::Elsewhere)));
        assert!(matches!(alone(&db, 8, nothing).await, Ok(Turn::Done)), "another job waits for nobody");
        may_end.notify_one();
        assert!(matches!(first.await.unwrap(), Ok(Turn::Done)));
        assert!(alone(&db, 7, |_| async { anyhow::bail!("it failed") }).await.is_err());
        assert!(matches!(alone(&db, 7, nothing).await, Ok(Turn::Done)), "a job that failed keeps the lock");
    }

    #[tokio::test]
    async fn a_control_plane_that_dies_at_a_job_leaves_it_to_the_others() {
        let database = fixture::database().await;
        let db = database.pool();
        let begun = Arc::new(Notify::new());
        let (says, first) = (begun.clone(), db.clone());
        let dying = tokio::spawn(async move {
            let job = |_| async {
                says.notify_one();
                std::future::pending::<anyhow::Result<()>>().await
            };
            alone(&first, 7, job).await
        });
        begun.notified().await;
        // Its process is gone, which Postgres sees as the end of its connection.
        sqlx::query("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 7")
            .execute(&db)
            .await
            .unwrap();
        let freed = async { while !matches!(alone(&db, 7, |_| async { Ok(()) }).await, Ok(Turn::Done)) {} };
        tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
        dying.abort();
    }
}
