//! Values of keys that another took the place of: rows of `replaced_keys`.
//!
//! A key keeps its row, its spend and its budgets when it gets another value; what names it by its hash moves along. The old
//! hash leads to the newest one from then on, however often the value is replaced.

use proto::KeyHash;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Key;

/// Whoever books usage holds this lock together with others, and who replaces a value holds it alone: nothing is booked on a
/// hash that has just moved on.
pub(crate) const BOOKING: i64 = 0x7475_726e_6b65_7901;

/// Waits for the bookings under way; others wait until the transaction ends.
pub(super) async fn lock(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", BOOKING).execute(db).await?;
    Ok(())
}

/// Whether something was ever counted for this hash, or it was replaced: it cannot be taken for a key that has a past.
pub(super) async fn is_used(db: &mut PgConnection, hash: &KeyHash) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from replaced_keys where old_hash = $1)
               or exists (select from spend_totals where kind = 'key' and owner_id = $2) as "used!""#,
        hash.as_bytes(),
        hash.to_string(),
    )
    .fetch_one(db)
    .await
}

/// Moves a locked key to the hash and the masked form of `after`. Older values of it lead there too, and none of them works
/// longer than the one that is replaced now.
pub(super) async fn replace(
    db: &mut PgConnection,
    before: &Key,
    after: &Key,
    revoke_at: OffsetDateTime,
) -> sqlx::Result<()> {
    let (old, new) = (before.hash, after.hash);
    sqlx::query!(
        "update keys set hash = $2, masked = $3 where hash = $1",
        old.as_bytes(),
        new.as_bytes(),
        after.masked.as_deref(),
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update replaced_keys set
             new_hash = $2, revoke_at = least(revoke_at, $3), replaced_at = now() where new_hash = $1",
        old.as_bytes(),
        new.as_bytes(),
        revoke_at,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "insert into replaced_keys (old_hash, new_hash, masked, revoke_at) values ($1, $2, $3, $4)",
        old.as_bytes(),
        new.as_bytes(),
        before.masked.as_deref(),
        revoke_at,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update spend_totals set owner_id = $2, version = version + 1, told_in = pg_current_xact_id()
         where kind = 'key' and owner_id = $1",
        old.to_string(),
        new.to_string(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The key that took the place of this one, and how long the old value works.
pub(super) async fn behind(
    db: &mut PgConnection,
    hash: &KeyHash,
    now: OffsetDateTime,
) -> sqlx::Result<Option<(KeyHash, OffsetDateTime)>> {
    let row = sqlx::query!(
        "select new_hash, revoke_at from replaced_keys where old_hash = $1 and revoke_at > $2",
        hash.as_bytes(),
        now,
    );
    let read = |bytes: &[u8]| KeyHash::try_from(bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)));
    row.fetch_optional(db).await?.map(|row| Ok((read(&row.new_hash)?, row.revoke_at))).transpose()
}

/// Those of these hashes that were replaced, each with the newest.
pub(crate) async fn newest(db: &mut PgConnection, hashes: &[Vec<u8>]) -> sqlx::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let rows = sqlx::query!("select old_hash, new_hash from replaced_keys where old_hash = any($1)", hashes);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.old_hash, row.new_hash)).collect())
}

/// Takes back values that ended a while ago, so that every data plane has heard of them; gives their hashes in hex.
pub(crate) async fn take_back(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"update replaced_keys set published = false
           where old_hash in (
               select old_hash from replaced_keys
               where published and greatest(revoke_at, replaced_at) < now() - interval '1 minute'
               order by revoke_at limit $1)
           returning encode(old_hash, 'hex') as "hash!""#,
        limit,
    )
    .fetch_all(db)
    .await
}
