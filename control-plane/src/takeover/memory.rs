//! The table `taken_over`: which row of LiteLLM's was taken in which state, and how much of its spend.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

/// What is known of a row that was taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Memory {
    pub(super) id: String,
    /// Of the row there.
    pub(super) source_digest: Vec<u8>,
    /// `updated_at` of the row here, as it was written.
    pub(super) written_at: OffsetDateTime,
    /// How much of the spend there is in ours: of the window, and ever.
    pub(super) spent_nano_usd: i64,
    pub(super) total_nano_usd: i64,
}

/// What is known of these rows, by id.
pub(super) async fn of(db: &mut PgConnection, kind: &str, ids: &[String]) -> sqlx::Result<HashMap<String, Memory>> {
    let rows = sqlx::query_as!(
        Memory,
        "select id, source_digest, written_at, spent_nano_usd, total_nano_usd from taken_over
         where kind = $1 and id = any($2)",
        kind,
        ids,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.id.clone(), row)).collect())
}

/// The ids of what was taken of a kind, in their order.
pub(super) async fn page(db: &mut PgConnection, kind: &str, after: &str, most: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select id from taken_over where kind = $1 and id > $2 order by id limit $3",
        kind,
        after,
        most,
    )
    .fetch_all(db)
    .await
}

/// Remembers these rows as they are now.
pub(super) async fn keep(db: &mut PgConnection, kind: &str, rows: &[Memory], now: OffsetDateTime) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let digests: Vec<Vec<u8>> = rows.iter().map(|row| row.source_digest.clone()).collect();
    let written: Vec<OffsetDateTime> = rows.iter().map(|row| row.written_at).collect();
    let spent: Vec<i64> = rows.iter().map(|row| row.spent_nano_usd).collect();
    let totals: Vec<i64> = rows.iter().map(|row| row.total_nano_usd).collect();
    sqlx::query!(
        "insert into taken_over (kind, id, source_digest, written_at, spent_nano_usd, total_nano_usd, taken_at)
         select $1, id, digest, written_at, spent, total, $7
         from unnest($2::text[], $3::bytea[], $4::timestamptz[], $5::bigint[], $6::bigint[])
              as row (id, digest, written_at, spent, total)
         on conflict (kind, id) do update set
             source_digest = excluded.source_digest, written_at = excluded.written_at,
             spent_nano_usd = excluded.spent_nano_usd, total_nano_usd = excluded.total_nano_usd,
             taken_at = excluded.taken_at",
        kind,
        &ids,
        &digests,
        &written,
        &spent,
        &totals,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
