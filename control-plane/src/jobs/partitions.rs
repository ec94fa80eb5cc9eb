//! Makes the daily partitions of the spend logs ahead of time.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::intake::partitions::{AHEAD, create};

pub(super) const LOCK: i64 = 0x7475_726e_6a6f_6201;

pub(super) async fn make_ahead(db: PgPool) -> anyhow::Result<()> {
    let today = OffsetDateTime::now_utc().date();
    for days in 0..=AHEAD {
        create(&db, today + Duration::days(days)).await?;
    }
    Ok(())
}
