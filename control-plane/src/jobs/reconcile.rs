//! Compares what was logged with what was summed up. They are written in one transaction, so that any difference
//! is a fault; it is reported, never mended silently.

use sqlx::PgPool;
use time::Date;

pub(super) const LOCK: i64 = 0x7475_726e_6a6f_6203;

/// Days back that are compared: spools that were long away deliver late.
const DAYS: i32 = 8;

/// Compares the last days, as a whole and per key.
pub(super) async fn recent_days(db: PgPool) -> anyhow::Result<()> {
    let differences = differences(&db).await?;
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!("turnpike_spend_differences").set(differences.len() as f64);
    for found in &differences {
        tracing::error!(
            day = %found.day,
            kind = found.kind,
            owner = found.owner_id,
            logged_nano_usd = found.logged_cost,
            summed_nano_usd = found.summed_cost,
            logged_calls = found.logged_calls,
            summed_calls = found.summed_calls,
            "spend logs and daily sums differ"
        );
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Difference {
    day: Date,
    kind: String,
    owner_id: String,
    logged_cost: i64,
    summed_cost: i64,
    logged_calls: i64,
    summed_calls: i64,
}

/// One statement, hence one moment of the database.
async fn differences(db: &PgPool) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"with logged as (
               select day, 'proxy' as kind, 'proxy' as owner_id, sum(cost_nano_usd)::bigint as cost, count(*) as calls
               from spend_logs where day > current_date - $1::int group by day
               union all
               select day, 'key', encode(key_hash, 'hex'), sum(cost_nano_usd)::bigint, count(*)
               from spend_logs where day > current_date - $1::int and key_hash is not null group by day, key_hash
           ), summed as (
               select day, kind, owner_id, sum(cost_nano_usd)::bigint as cost, sum(calls)::bigint as calls
               from spend_daily
               where day > current_date - $1::int and kind in ('proxy', 'key')
                   and owner_id <> 'litellm_proxy_master_key'
               group by day, kind, owner_id
           )
           select day as "day!", kind as "kind!", owner_id as "owner_id!",
               coalesce(logged.cost, 0) as "logged_cost!", coalesce(summed.cost, 0) as "summed_cost!",
               coalesce(logged.calls, 0) as "logged_calls!", coalesce(summed.calls, 0) as "summed_calls!"
           from logged full join summed using (day, kind, owner_id)
           where logged.cost is distinct from summed.cost or logged.calls is distinct from summed.calls
           order by 1, 2, 3 limit 1000"#,
        DAYS,
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::intake::Intake;
    use prost::Message as _;
    use proto::v1 as pb;

    #[tokio::test]
    async fn a_sum_that_was_tampered_with_is_found() {
        let database = fixture::database().await;
        let db = database.pool();
        let events = (0..3).map(|_| pb::UsageEvent {
            event_id: uuid::Uuid::now_v7().as_bytes().to_vec().into(),
            key_hash: vec![7; 32].into(),
            cost_nano_usd: 5,
            ..pb::UsageEvent::default()
        });
        let batch = pb::UsageBatch {
            sequence: 1,
            data_plane_id: "dp".into(),
            events: events.map(|event| event.encode_to_vec().into()).collect(),
        };
        assert!(Intake::new(db.clone()).take_in(batch).await.committed);
        assert_eq!(differences(&db).await.unwrap(), []);

        sqlx::query("update spend_daily set cost_nano_usd = 14 where kind = 'key'").execute(&db).await.unwrap();
        let found = differences(&db).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind.as_str(), found[0].logged_cost, found[0].summed_cost), ("key", 15, 14));
    }
}
