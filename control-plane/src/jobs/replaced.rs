//! Takes values of keys back from data planes that another value took the place of, once they do not work any more.

use sqlx::PgPool;

use crate::keys::replaced;
use crate::publish::feed::{self, Change, Kind};

pub(super) const LOCK: i64 = 0x7475_726e_6a6f_6211;

/// Values in one revision.
const AT_ONCE: i64 = 1_000;

/// They have ended by themselves; here they leave snapshots, and the change log says why there are fewer keys.
pub(super) async fn take_back(db: PgPool) -> anyhow::Result<()> {
    loop {
        let mut tx = db.begin().await?;
        let ended = replaced::take_back(&mut tx, AT_ONCE).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let changes: Vec<Change> = ended.into_iter().map(|id| Change { kind: Kind::Key, id }).collect();
        feed::record(&mut tx, &changes).await?;
        tx.commit().await?;
        tracing::debug!(keys = changes.len(), "values of keys that were replaced are gone");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_value_that_ended_leaves_the_data_planes_and_goes_on_leading_to_the_new_one() {
        let world = World::new().await;
        for grace in ["1s", "1d"] {
            let key = world.key(json!({})).await;
            world.post("/key/regenerate", json!({"key": key, "grace_period": grace})).await.ok();
        }
        let before = world.revision().await;
        super::take_back(world.db()).await.unwrap();
        assert_eq!(world.revision().await, before, "both may still be asked for");
        let later = "update replaced_keys set revoke_at = revoke_at - interval '2 minutes',
                     replaced_at = replaced_at - interval '2 minutes'";
        sqlx::query(later).execute(&world.db()).await.unwrap();
        super::take_back(world.db()).await.unwrap();
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(world.count("replaced_keys where not published").await, 1);
        assert_eq!(
            world
                .count(
                    "change_log c join replaced_keys r on c.object_id = encode(r.old_hash, 'hex') where not published"
                )
                .await,
            3,
            "it was made, replaced and taken back"
        );
    }
}
