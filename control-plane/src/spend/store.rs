//! Rows of totals.

use std::collections::HashMap;

use proto::NanoUsd;
use sqlx::PgConnection;

use super::Total;

/// The totals of these owners.
pub(super) async fn totals(db: &mut PgConnection, kind: &str, ids: &[String]) -> sqlx::Result<HashMap<String, Total>> {
    let rows = sqlx::query!(
        "select owner_id, cost_nano_usd, total_nano_usd, last_used_at, window_ends_at
         from spend_totals where kind = $1 and owner_id = any($2) and scope = ''",
        kind,
        ids,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let total = Total {
            window: NanoUsd::from_nanos(row.cost_nano_usd),
            ever: NanoUsd::from_nanos(row.total_nano_usd),
            last_used_at: row.last_used_at,
            resets_at: row.window_ends_at,
        };
        (row.owner_id, total)
    });
    Ok(rows.collect())
}
