//! Forgets changes that no data plane will ask for as a delta any more.

use sqlx::PgPool;

pub(super) const LOCK: i64 = 0x7475_726e_6a6f_6202;

/// Changes kept at most, however young.
const MOST_ROWS: i64 = 1_000_000;

/// Keeps the changes of the last 24 hours, at most a million.
///
/// Whole revisions go, oldest first: `changed_at` is when a transaction began, which is not the order of revisions,
/// and a hole in the middle would make deltas that lack something.
pub(super) async fn change_log(db: PgPool) -> anyhow::Result<()> {
    let done = sqlx::query!(
        "delete from change_log where revision <= greatest(
             (select max(revision) from change_log where changed_at < now() - interval '24 hours'),
             (select revision from change_log order by revision desc offset $1 limit 1))",
        MOST_ROWS,
    )
    .execute(&db)
    .await?;
    if done.rows_affected() > 0 {
        tracing::info!(rows = done.rows_affected(), "forgot old changes: data planes that lack them get everything");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::fixture;

    #[tokio::test]
    async fn only_a_prefix_of_revisions_is_forgotten() {
        let database = fixture::database().await;
        let db = database.pool();
        // Revision 2 began before revision 1, and is old; 1 must go with it.
        sqlx::query(
            "insert into change_log (revision, kind, object_id, changed_at) values
             (1, 'key', 'a', now()), (2, 'key', 'b', now() - interval '25 hours'), (3, 'key', 'c', now())",
        )
        .execute(&db)
        .await
        .unwrap();
        super::change_log(db.clone()).await.unwrap();
        let left: Vec<i64> = sqlx::query_scalar("select revision from change_log").fetch_all(&db).await.unwrap();
        assert_eq!(left, [3]);
    }
}
