//! When a data plane does not believe that so much is gone.
//!
//! A data plane refuses a whole snapshot that leaves far fewer keys (teams, users, deployments) than it holds: a database
//! that was emptied, or the wrong one, must not end all calls. The change log is asked first: where it holds as many changes
//! of that kind since what the data plane holds, admins did it, and the snapshot is sent again as confirmed. Otherwise
//! the data plane keeps what it has, the fleet view shows it, and an admin decides (`POST /fleet/confirm_shrink`).

use proto::v1 as pb;
use sqlx::PgPool;

use super::{Version, feed};

/// The word of the change log for a bulk change whose objects are not listed.
const FULL: &str = "full";

/// A refusal that waits for an explanation.
pub(super) struct Shrunk {
    pub(super) kept: Version,
    pub(super) shrinks: Vec<pb::Shrink>,
    /// The change log was asked.
    pub(super) looked_up: bool,
}

/// Whether the change log explains why there is so much less than the data plane kept.
pub(super) async fn is_explained(db: &PgPool, shrunk: &Shrunk) -> sqlx::Result<bool> {
    let (epoch, _) = feed::current(db).await?;
    let Ok(kept) = i64::try_from(shrunk.kept.revision) else { return Ok(false) };
    if epoch != shrunk.kept.epoch {
        return Ok(false);
    }
    let log = sqlx::query!(
        r#"select kind, count(distinct object_id) filter (where revision > $1) as "changed!", min(revision) as "oldest!"
         from change_log group by kind"#,
        kept,
    )
    .fetch_all(db)
    .await?;
    let reaches_back = log.iter().any(|row| row.oldest <= kept + 1);
    let in_bulk = log.iter().any(|row| row.kind == FULL && row.changed > 0);
    let changed = |kind: pb::Kind| {
        let word = kind.as_str_name().trim_start_matches("KIND_").to_lowercase();
        log.iter().find(|row| row.kind == word).map_or(0, |row| row.changed.unsigned_abs())
    };
    let explains = |shrink: &pb::Shrink| changed(shrink.kind()) >= shrink.held.saturating_sub(shrink.offered);
    Ok(reaches_back && (in_bulk || shrunk.shrinks.iter().all(explains)))
}
