//! Revisions: the order of all changes that data planes must hear of.
//!
//! One counter row gives them out. It is locked from [`record`] until the transaction ends, so that the order of commits
//! is the order of revisions; therefore `record` comes after all other rows of a transaction. What becomes of a revision
//! is the rest of [`super`]'s business.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The channel on which commits are hinted at. The truth is the counter.
pub(crate) const CHANNEL: &str = "turnpike_revision";

/// The id of the one settings resource.
pub(crate) const SETTINGS_ID: &str = "settings";

/// What kind of object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A virtual key; its id is its hash in hex.
    Key,
    /// A team.
    Team,
    /// A user.
    User,
    /// A place that serves a model.
    Deployment,
    /// A customer, a tag, or another owner of spend; its id is `proto::owner::resource_id`.
    Owner,
    /// The settings; their id is `settings`.
    Settings,
}

/// An object that a transaction made, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// What kind of object.
    pub(crate) kind: Kind,
    /// Which one.
    pub(crate) id: String,
}

impl Kind {
    /// The word for it in `change_log`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Deployment => "deployment",
            Self::Owner => "owner",
            Self::Settings => "settings",
        }
    }
}

/// Moves the revision and writes down what changed. The last rows of an admin transaction; the caller commits.
pub(crate) async fn record(tx: &mut PgConnection, changes: &[Change]) -> Result<u64, sqlx::Error> {
    let revision = sqlx::query_scalar!("update installation set revision = revision + 1 returning revision")
        .fetch_one(&mut *tx)
        .await?;
    let kinds: Vec<String> = changes.iter().map(|change| change.kind.as_str().to_owned()).collect();
    let ids: Vec<String> = changes.iter().map(|change| change.id.clone()).collect();
    let keys = changes.iter().filter(|change| change.kind == Kind::Key);
    let keys: Vec<Vec<u8>> = keys.filter_map(|change| hex::decode(&change.id).ok()).collect();
    // Values that a key had before have its rights for as long as they work: what becomes of it becomes of them.
    sqlx::query!(
        "insert into change_log (revision, kind, object_id)
         select $1::bigint, kind, id from unnest($2::text[], $3::text[]) as change (kind, id)
         union all
         select $1::bigint, 'key', encode(old_hash, 'hex') from replaced_keys where new_hash = any($4) and published",
        revision,
        &kinds,
        &ids,
        &keys,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, revision.to_string()).execute(&mut *tx).await?;
    Ok(revision.unsigned_abs())
}

/// The lineage of the database and how far it has come.
pub(crate) async fn current(db: impl PgExecutor<'_>) -> Result<(Uuid, u64), sqlx::Error> {
    let row = sqlx::query!("select epoch, revision from installation").fetch_one(db).await?;
    Ok((row.epoch, row.revision.unsigned_abs()))
}
