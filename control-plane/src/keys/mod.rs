//! Virtual keys: what one is, how it is made and changed.
//!
//! A key is stored under its SHA-256; the key itself is shown once and forgotten. Rules that say what becomes of a
//! request are pure: making in [`mint`], changing in [`patch`]; what the operator wants of keys is in [`rules`], what holders may do
//! in [`rights`]. How a key looks on the wire is [`view`]'s business, how
//! data planes learn of it [`publish`]'s.

pub(crate) mod duration;
mod error;
mod fields;
pub(crate) mod http;
mod identify;
pub(crate) mod link;
mod mint;
mod organization;
mod page;
mod patch;
pub(crate) mod publish;
pub(crate) mod replaced;
mod rights;
mod rules;
mod store;
pub(crate) mod takeover;
mod view;

use std::collections::HashMap;

use proto::{KeyHash, NanoUsd};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::KeyError;
pub(crate) use fields::CHANGED_BY_FLAG;
pub(crate) use mint::{Minted, NewKey, mint};
pub(crate) use rules::Rules;
pub(crate) use view::{Generated, KeyView, views};

use crate::audit::{Action, Entry, Noun};
use crate::budgets;
use crate::change::Change;
use crate::spend::Owner;

/// A virtual key as stored. Its value is not part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) hash: KeyHash,
    /// `sk-...` and the last four characters.
    pub(crate) masked: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) team_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) models: Vec<String>,
    pub(crate) aliases: Map<String, Value>,
    pub(crate) config: Map<String, Value>,
    pub(crate) permissions: Map<String, Value>,
    pub(crate) metadata: Map<String, Value>,
    /// Nothing: never said.
    pub(crate) blocked: Option<bool>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) max_budget: Option<NanoUsd>,
    pub(crate) soft_budget: Option<NanoUsd>,
    pub(crate) budget_duration: Option<String>,
    /// The budget that it shares; what the key has itself goes before what is there.
    pub(crate) budget_id: Option<String>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) rpm_limit: Option<i64>,
    pub(crate) max_parallel_requests: Option<i64>,
    pub(crate) key_type: String,
    pub(crate) allowed_routes: Vec<String>,
    pub(crate) allowed_cache_controls: Vec<String>,
    /// Fields that are kept and shown, and have no rule yet.
    pub(crate) more: Map<String, Value>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) created_by: Option<String>,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) updated_by: Option<String>,
}

/// Writes a locked key anew, with its budgets.
async fn put(db: &mut PgConnection, before: &Key, key: &Key) -> Result<(), KeyError> {
    // Before the key is written: who changes the budget sees the key as it was, or waits until it is written.
    if let Some(left) = before.budget_id.as_ref().filter(|left| key.budget_id.as_ref() != Some(left)) {
        budgets::shared(db, left).await?;
    }
    let shared = link::of(db, key).await?;
    let budgets = link::budgets(key, shared.as_ref())?;
    store::update(db, key).await.map_err(|error| KeyError::from_insert(error, key))?;
    // Those of old rows may be such as nobody could set today.
    let was = link::budgets(before, shared.as_ref()).ok();
    if before.budget_id != key.budget_id || was.as_ref() != Some(&budgets) {
        budgets::keep(db, Owner::Key, &key.hash.to_string(), &budgets).await?;
    }
    Ok(())
}

/// The key with this hash, blocked and expired ones too.
pub(crate) async fn by_hash(db: &mut PgConnection, hash: &KeyHash) -> sqlx::Result<Option<Key>> {
    store::by_hash(db, hash).await
}

/// The key that a shown value stands for: the one with this hash, or the one that took its place, which then ends when the old
/// value does.
pub(crate) async fn shown(db: &mut PgConnection, hash: &KeyHash, now: OffsetDateTime) -> sqlx::Result<Option<Key>> {
    if let Some(key) = store::by_hash(db, hash).await? {
        return Ok(Some(key));
    }
    let Some((newest, end)) = replaced::behind(db, hash, now).await? else { return Ok(None) };
    let key = store::by_hash(db, &newest).await?;
    Ok(key.map(|key| Key { expires_at: Some(key.expires_at.map_or(end, |at| at.min(end))), ..key }))
}

/// The newest keys of these teams, at most `limit`.
pub(crate) async fn of_teams(db: &mut PgConnection, team_ids: &[String], limit: i64) -> sqlx::Result<Vec<Key>> {
    store::of_teams(db, team_ids, limit).await
}

/// The newest keys of a user, at most `limit`; of everybody where there is no user given.
pub(crate) async fn of_user(db: &mut PgConnection, user_id: Option<&str>, limit: i64) -> sqlx::Result<Vec<Key>> {
    store::of_user(db, user_id, limit).await
}

/// How many keys each of these users has; who has none is not there.
pub(crate) async fn counts_of_users(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<HashMap<String, i64>> {
    store::counts_of_users(db, user_ids).await
}

/// How many keys each of these teams has; one that has none is not there.
pub(crate) async fn counts_of_teams(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<HashMap<String, i64>> {
    store::counts_of_teams(db, team_ids).await
}

/// Stores a new key as a part of a change.
pub(crate) async fn add(change: &mut Change, key: &Key) -> Result<(), KeyError> {
    let shared = link::of(change.db(), key).await?;
    let budgets = link::budgets(key, shared.as_ref())?;
    store::insert(change.db(), key).await.map_err(|error| KeyError::from_insert(error, key))?;
    if !budgets.is_empty() {
        budgets::keep(change.db(), Owner::Key, &key.hash.to_string(), &budgets).await?;
    }
    change.note(Entry {
        action: Action::Created,
        noun: Noun::Key,
        id: key.hash.to_string(),
        before: None,
        after: Some(view::for_audit(key)),
    });
    Ok(())
}

/// Removes keys as a part of a change; what they were stays in the archive. They must be locked.
pub(crate) async fn remove(change: &mut Change, keys: &[Key]) -> sqlx::Result<()> {
    let author = change.author().clone();
    store::archive(change.db(), keys, &author).await?;
    store::delete(change.db(), keys).await?;
    let ids: Vec<String> = keys.iter().map(|key| key.hash.to_string()).collect();
    budgets::forget(change.db(), Owner::Key, &ids).await?;
    for key in keys {
        change.note(Entry {
            action: Action::Deleted,
            noun: Noun::Key,
            id: key.hash.to_string(),
            before: Some(view::for_audit(key)),
            after: Some(Value::Object(Map::new())),
        });
    }
    Ok(())
}

/// Removes the keys that a user has in a team.
pub(crate) async fn remove_of_member(change: &mut Change, user_id: &str, team_id: &str) -> sqlx::Result<()> {
    let mut keys = store::locked_of_users(change.db(), &[user_id.to_owned()]).await?;
    keys.retain(|key| key.team_id.as_deref() == Some(team_id));
    remove(change, &keys).await
}

/// Removes all keys of users whose rows are locked.
pub(crate) async fn remove_of_users(change: &mut Change, user_ids: &[String]) -> sqlx::Result<()> {
    let keys = store::locked_of_users(change.db(), user_ids).await?;
    remove(change, &keys).await
}

/// Removes all keys of organizations whose rows are locked.
pub(crate) async fn remove_of_organizations(change: &mut Change, ids: &[String]) -> sqlx::Result<()> {
    let keys = store::locked_of_organizations(change.db(), ids).await?;
    remove(change, &keys).await
}

/// Lets the keys of a team, whose row is locked, belong to its organization, or to none.
pub(crate) async fn move_of_team(
    change: &mut Change,
    team_id: &str,
    organization_id: Option<&str>,
) -> sqlx::Result<()> {
    let moved = store::move_of_team(change.db(), team_id, organization_id).await?;
    change.publish(Noun::Key, moved.iter().map(ToString::to_string).collect());
    Ok(())
}

/// Removes all keys of teams whose rows are locked.
pub(crate) async fn remove_of_teams(change: &mut Change, team_ids: &[String]) -> sqlx::Result<()> {
    let keys = store::locked_of_teams(change.db(), team_ids).await?;
    remove(change, &keys).await
}
