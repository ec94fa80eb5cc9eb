//! Budgets begin anew when their window is over.

use sqlx::PgPool;

use crate::budgets;

pub(super) const LOCK: i64 = 0x7475_726e_6a6f_6204;

/// Windows in one transaction: intake waits for their rows meanwhile.
const AT_ONCE: i64 = 1_000;

/// Ends all windows that are over.
pub(super) async fn end(db: PgPool) -> anyhow::Result<()> {
    loop {
        let mut tx = db.begin().await?;
        let due = budgets::due(&mut tx, AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        budgets::end_windows(&mut tx, &due).await?;
        tx.commit().await?;
        tracing::info!(budgets = due.len(), "budgets begin anew");
    }
}
