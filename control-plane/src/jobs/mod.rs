//! Periodic jobs, each in its file. Of several control planes one runs a job at a time.

mod partitions;
mod prune;
mod reconcile;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Runs all jobs, each at once and then at its interval, until `shutdown`.
pub(crate) async fn run(db: PgPool, shutdown: CancellationToken) {
    let hour = Duration::from_secs(3_600);
    tokio::select! {
        () = shutdown.cancelled() => {}
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
    loop {
        ticks.tick().await;
        match alone(db, lock, &job).await {
            Ok(Turn::Done) => tracing::debug!(job = name, "a job ran"),
            Ok(Turn::Elsewhere) => tracing::debug!(job = name, "another control plane runs this job"),
            Err(error) => tracing::error!(job = name, error = format!("{error:#}"), "a job failed; it will run again"),
        }
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
    job(db.clone()).await?;
    tx.commit().await?;
    Ok(Turn::Done)
}
