//! Who changed what: one row per changed object, in the transaction of the change.
//!
//! Rows are written by [`crate::change`]; nothing else needs to think of them. Values are masked before they are stored.

mod mask;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::{Actor, Credential, DEFAULT_USER_ID, MASTER_KEY_ALIAS, SaysChangedBy};

/// Who makes a change.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// A user, or whom a trusted caller names.
    pub(crate) changed_by: String,
    /// The hash of a key, or the alias of the master key.
    pub(crate) changed_by_key: String,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Updated,
    Deleted,
    Blocked,
    Unblocked,
    /// A key got another value.
    Rotated,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noun {
    Key,
    Team,
    User,
    /// A deployment.
    Model,
    Credential,
    /// A row of budgets.
    Budget,
    Customer,
    Tag,
    /// A user in a team, with what is set for them there; known by `proto::owner::member_id`.
    Member,
    Organization,
    /// The file that configures the product; its id is `config`.
    Config,
}

/// One changed object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) action: Action,
    pub(crate) noun: Noun,
    pub(crate) id: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Entry {
    /// A changed object: all of it before, and of what it is after only what is different.
    pub(crate) fn updated(noun: Noun, id: impl Into<String>, before: Value, mut after: Value) -> Self {
        if let (Value::Object(before), Value::Object(after)) = (&before, &mut after) {
            after.retain(|name, value| before.get(name) != Some(value));
        }
        Self { action: Action::Updated, noun, id: id.into(), before: Some(before), after: Some(after) }
    }
}

impl Author {
    /// The author that an actor is.
    pub(crate) fn of(actor: &Actor) -> Self {
        let believed = actor.says_changed_by.as_ref().filter(|_| actor.may_say_changed_by == SaysChangedBy::Believed);
        let changed_by = believed.or(actor.user_id.as_ref()).cloned().unwrap_or_else(|| DEFAULT_USER_ID.to_owned());
        let changed_by_key = match &actor.credential {
            Credential::Master => MASTER_KEY_ALIAS.to_owned(),
            Credential::Key(key) => key.hash.to_string(),
            Credential::Nothing => String::new(),
        };
        Self { changed_by, changed_by_key }
    }

    /// The control plane itself, importing its configuration.
    pub(crate) fn configuration() -> Self {
        Self { changed_by: "config".to_owned(), changed_by_key: String::new() }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::Rotated => "rotated",
        }
    }
}

impl Noun {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Model => "model",
            Self::Credential => "credential",
            Self::Budget => "budget",
            Self::Customer => "customer",
            Self::Tag => "tag",
            Self::Member => "member",
            Self::Organization => "organization",
            Self::Config => "config",
        }
    }
}

/// Writes the entries of one transaction, which moved to this revision.
pub(crate) async fn note(tx: &mut PgConnection, author: &Author, entries: &[Entry], revision: u64) -> sqlx::Result<()> {
    let masked = |value: &Option<Value>| value.clone().map(mask::keys);
    let ids: Vec<Uuid> = entries.iter().map(|_| Uuid::new_v4()).collect();
    let actions: Vec<String> = entries.iter().map(|entry| entry.action.name().to_owned()).collect();
    let nouns: Vec<String> = entries.iter().map(|entry| entry.noun.name().to_owned()).collect();
    let objects: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    let before: Vec<Option<Value>> = entries.iter().map(|entry| masked(&entry.before)).collect();
    let after: Vec<Option<Value>> = entries.iter().map(|entry| masked(&entry.after)).collect();
    sqlx::query!(
        "insert into audit_log
             (id, changed_by, changed_by_key, action, noun, object_id, before_value, updated_values, revision)
         select id, $1, $2, action, noun, object_id, before_value, updated_values, $3
         from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[])
              as entry (id, action, noun, object_id, before_value, updated_values)",
        author.changed_by,
        author.changed_by_key,
        i64::try_from(revision).unwrap_or(i64::MAX),
        &ids,
        &actions,
        &nouns,
        &objects,
        &before as &[Option<Value>],
        &after as &[Option<Value>],
    )
    .execute(tx)
    .await?;
    Ok(())
}
