//! Rows of totals.

use std::collections::HashMap;

use proto::NanoUsd;
use sqlx::PgConnection;

use super::Total;

/// The totals of these owners.
pub(super) async fn totals(db: &mut PgConnection, kind: &str, ids: &[String]) -> sqlx::Result<HashMap<String, Total>> {
    let rows = sqlx::query!(
        "select owner_id, cost_nano_usd, total_nano_usd, last_used_at
         from spend_totals where kind = $1 and owner_id = any($2)",
        kind,
        ids,
    )
    .fetch_all(db)
    .await?;
    let total = |window, ever, last_used_at| Total {
        window: NanoUsd::from_nanos(window),
        ever: NanoUsd::from_nanos(ever),
        last_used_at,
    };
    let rows = rows.into_iter();
    Ok(rows.map(|row| (row.owner_id, total(row.cost_nano_usd, row.total_nano_usd, row.last_used_at))).collect())
}

/// Writes the spend in the current window; what was spent ever stays.
pub(super) async fn set_window(db: &mut PgConnection, kind: &str, id: &str, nanos: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into spend_totals (kind, owner_id, cost_nano_usd, total_nano_usd) values ($1, $2, $3, 0)
         on conflict (kind, owner_id) do update set cost_nano_usd = excluded.cost_nano_usd",
        kind,
        id,
        nanos,
    )
    .execute(db)
    .await?;
    Ok(())
}
