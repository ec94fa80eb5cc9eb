//! How many data planes there are, over all control planes: each admits its part of every limit.
//!
//! Each control plane notes in the database which data planes it has connected, and counts those that anybody noted within
//! the last minute: one that is cut off goes on serving, so it counts for a while.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};

use super::Parts;

const PERIOD: Duration = Duration::from_secs(2);

/// A control plane that just started does not know who is on the way back to it: for this long, it counts everybody who was
/// there lately. Not longer ago: data planes that were replaced meanwhile would make everybody's part too small.
const NEW: Duration = Duration::from_secs(60);

/// Counts until it is dropped, again whenever a data plane comes or goes.
pub(super) async fn run(parts: &Parts) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moved = parts.fleet.moved();
    let mut counted: Vec<String> = Vec::new();
    let began = Instant::now();
    loop {
        let is_due = tokio::select! {
            _ = ticks.tick() => true,
            moved = moved.changed() => {
                if moved.is_err() {
                    return;
                }
                false
            }
        };
        let here = parts.fleet.ids();
        if !is_due && here == counted {
            continue;
        }
        let reach = if began.elapsed() < NEW { Reach::Outage } else { Reach::Minute };
        match count(&parts.source.db, &here, reach).await {
            Ok(planes) => {
                parts.planes.send_if_modified(|known| known.replace(planes) != Some(planes));
                counted = here;
            }
            Err(error) => tracing::warn!(%error, "data planes could not be counted: limits are shared as before"),
        }
    }
}

/// Notes those that are here, and counts them and those elsewhere.
async fn count(db: &PgPool, here: &[String], reach: Reach) -> sqlx::Result<u32> {
    let seconds = match reach {
        Reach::Minute => 60.0,
        Reach::Outage => 900.0,
    };
    let elsewhere = sqlx::query_scalar!(
        r#"with noted as (insert into fleet (data_plane_id, seen_at) select unnest($1::text[]), now()
                          on conflict (data_plane_id) do update set seen_at = now()),
                gone as (delete from fleet where seen_at < now() - interval '1 day')
           select count(*) as "elsewhere!" from fleet
           where seen_at > now() - make_interval(secs => $2) and data_plane_id <> all($1)"#,
        here,
        seconds,
    )
    .fetch_one(db)
    .await?;
    let all = here.len().saturating_add(usize::try_from(elsewhere).unwrap_or(0));
    Ok(u32::try_from(all).unwrap_or(u32::MAX).max(1))
}

/// Since when a data plane must have been seen to count.
#[derive(Debug, Clone, Copy)]
enum Reach {
    Minute,
    /// A quarter of an hour.
    Outage,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn data_planes_of_all_control_planes_count_for_a_minute_after_they_were_seen() {
        let database = fixture::database().await;
        let db = database.pool();
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(count(&db, &[], Reach::Minute).await.unwrap(), 1);
        assert_eq!(count(&db, &ids(&["a", "b"]), Reach::Minute).await.unwrap(), 2);
        assert_eq!(count(&db, &ids(&["c"]), Reach::Minute).await.unwrap(), 3);
        assert_eq!(count(&db, &ids(&["a", "b"]), Reach::Minute).await.unwrap(), 3);
        let later = "update fleet set seen_at = seen_at - interval '61 seconds' where data_plane_id = 'c'";
        sqlx::raw_sql(later).execute(&db).await.unwrap();
        assert_eq!(count(&db, &ids(&["a", "b"]), Reach::Minute).await.unwrap(), 2);
        assert_eq!(count(&db, &ids(&["a", "b"]), Reach::Outage).await.unwrap(), 3, "it may be on its way back");
    }
}
