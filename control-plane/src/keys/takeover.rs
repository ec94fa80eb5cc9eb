//! Keys from LiteLLM's database. It knows them by the same SHA-256, so that every value goes on to work.

use std::collections::{HashMap, HashSet};

use proto::KeyHash;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::fields::KEY_TYPES;
use super::mint::{NewKey, RANDOM_BYTES};
use super::{Key, Minted, Rules, add, link, patch, put, store, view};
use crate::audit::{Entry, Noun};
use crate::budgets::takeover::Budgets;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, OldKeys, Record, TakeoverError, Unfit, author, without_secrets};
use crate::users::takeover::Users;
use crate::{teams, users};

/// Rows of `LiteLLM_VerificationToken`.
pub(crate) struct Keys;

/// What a page of keys refers to.
pub(crate) struct Around {
    /// Budgets there, by id.
    budgets: HashMap<String, Record>,
    /// Teams here, with their organizations.
    teams: HashMap<String, Option<String>>,
    /// Users there whom there are not here.
    left_users: HashSet<String>,
    aliases: HashMap<String, KeyHash>,
}

/// What a key has from the budget that it shares, where it has none of its own.
const SHARED: [&str; 7] =
    ["soft_budget", "tpm_limit", "rpm_limit", "tpd_limit", "max_parallel_requests", "model_max_budget", "max_budget"];

impl Kind for Keys {
    const NAME: &'static str = "key";
    const TABLE: &'static str = "LiteLLM_VerificationToken";
    const ID: &'static str = "token";
    const OWNER: Option<Owner> = Some(Owner::Key);
    type Ours = Key;
    type Around = Around;

    /// A budget that is shared there is the key's own here.
    fn open(mut record: Record, _old: &OldKeys, around: &Around) -> Result<Record, String> {
        let Some(id) = record.text("budget_id").map(str::to_owned) else { return Ok(record) };
        let budget = around.budgets.get(&id).ok_or_else(|| format!("its budget {id} is not there"))?;
        for name in SHARED {
            let filled = record.fill(name, budget.get(name));
            if name == "max_budget" && filled && record.text("budget_duration").is_none() {
                record.fill("budget_duration", budget.get("budget_duration"));
                record.fill("budget_reset_at", budget.get("budget_reset_at"));
            }
        }
        Ok(record)
    }

    /// What is no hash may be the value of a key.
    fn shown(record: &Record) -> String {
        let hash = record.text(Self::ID).filter(|text| text.parse::<KeyHash>().is_ok());
        match (hash, record.text("key_name")) {
            (Some(hash), Some(masked)) => format!("{masked} ({hash})"),
            (Some(hash), None) => hash.to_owned(),
            (None, masked) => masked.unwrap_or("sk-...").to_owned(),
        }
    }

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Key)>> {
        let hashes: Vec<KeyHash> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let rows = store::locked(db, &hashes).await?.into_iter();
        Ok(rows.map(|row| (row.hash.to_string(), row.updated_at, row)).collect())
    }

    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<Around, TakeoverError> {
        let named = |column: &str| -> Vec<String> {
            let mut ids: Vec<String> = page.iter().filter_map(|row| row.text(column)).map(str::to_owned).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let budgets = hands.source.among(Budgets::TABLE, Budgets::ID, &named("budget_id")).await?;
        let budgets = budgets.into_iter().filter_map(|row| Some((row.text(Budgets::ID)?.to_owned(), row)));
        let db = hands.change.db();
        let teams = teams::among(db, &named("team_id")).await?;
        let aliases = store::hashes_of_aliases(db, &named("key_alias")).await?;
        let here: HashSet<String> = users::takeover::known(db, &named("user_id")).await?.into_iter().collect();
        let mut missing = named("user_id");
        missing.retain(|id| !here.contains(id));
        let left = hands.source.among(Users::TABLE, Users::ID, &missing).await?;
        Ok(Around {
            budgets: budgets.collect(),
            teams: teams.into_iter().map(|team| (team.team_id, team.organization_id)).collect(),
            left_users: left.iter().filter_map(|row| row.text(Users::ID)).map(str::to_owned).collect(),
            aliases: aliases.into_iter().collect(),
        })
    }

    async fn put(
        hands: &mut Hands<'_>,
        around: &mut Around,
        mut record: Record,
        before: Option<Key>,
    ) -> Result<Vec<String>, Unfit> {
        let mut notes = Vec::new();
        let hash = record.text(Self::ID).and_then(|id| id.parse::<KeyHash>().ok());
        let hash =
            hash.ok_or_else(|| Unfit::Left("is not kept as a SHA-256, and so cannot be known again".to_owned()))?;
        check_owners(&record, around)?;
        without_secrets(&mut record, &mut notes);
        clear_alias(&mut record, around, hash, &mut notes);
        if let Some(id) = record.text("budget_id") {
            notes.push(format!("shares budget {id}: its limits are the key's own here"));
        }
        let key = made(record, hash, around, hands.now)?;
        link::budgets(&key, None).map_err(|error| Unfit::Left(error.to_string()))?;
        match before {
            None => add(hands.change, &key).await?,
            Some(before) => {
                let key = Key { created_at: before.created_at, created_by: before.created_by.clone(), ..key };
                put(hands.change.db(), &before, &key).await?;
                let (was, is) = (view::for_audit(&before), view::for_audit(&key));
                hands.change.note(Entry::updated(Noun::Key, key.hash.to_string(), was, is));
            }
        }
        Ok(notes)
    }
}

/// Without the rules of its team or its user, a key would be allowed more than it was.
fn check_owners(record: &Record, around: &Around) -> Result<(), Unfit> {
    match (record.text("team_id"), record.text("user_id")) {
        (Some(teams::RESERVED_ID), _) => Err(Unfit::Left("is a session of LiteLLM's admin page".to_owned())),
        (Some(team_id), _) if !around.teams.contains_key(team_id) => {
            Err(Unfit::Left(format!("its team {team_id} is not here")))
        }
        (_, Some(user_id)) if around.left_users.contains(user_id) => {
            Err(Unfit::Left(format!("its user {user_id} was left")))
        }
        _ => Ok(()),
    }
}

/// A key whose alias cannot be one works all the same.
fn clear_alias(record: &mut Record, around: &mut Around, hash: KeyHash, notes: &mut Vec<String>) {
    let Some(alias) = record.text("key_alias").map(str::to_owned) else { return };
    let why = match around.aliases.get(&alias) {
        Some(other) if *other != hash => Some("another key has it".to_owned()),
        _ => patch::check_alias(&alias).err().map(|error| error.to_string()),
    };
    match why {
        Some(why) => {
            record.remove("key_alias");
            notes.push(format!("key_alias was left out: {why}"));
        }
        None => _ = around.aliases.insert(alias, hash),
    }
}

/// The key that the row is, made as `/key/generate` makes one.
fn made(mut record: Record, hash: KeyHash, around: &Around, now: OffsetDateTime) -> Result<Key, Unfit> {
    // Its limits are the key's own here.
    record.remove("budget_id");
    // The routes of its type are in the row.
    let key_type = record.remove("key_type");
    // Says nothing where it is false, and is so in every row.
    if record.get("auto_rotate") == Some(&Value::Bool(false)) {
        record.remove("auto_rotate");
    }
    let expires_at = record.moment("expires").map_err(Unfit::Left)?;
    let created_at = record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(now);
    let mut new: NewKey = record.ask().map_err(Unfit::Left)?;
    if let Some(organization) = new.team_id.as_ref().and_then(|id| around.teams.get(id)).cloned().flatten() {
        new.organization_id = Some(organization);
    }
    // The random value is nobody's: the hash is that of the value there.
    let Minted { key, .. } = super::mint(new, None, &Rules::default(), &author(), now, [0; RANDOM_BYTES])?;
    let known = key_type.as_ref().and_then(Value::as_str).filter(|name| KEY_TYPES.contains(name));
    Ok(Key {
        hash,
        masked: record.text("key_name").map(str::to_owned),
        key_type: known.unwrap_or("default").to_owned(),
        expires_at,
        created_at,
        created_by: record.text("created_by").map(str::to_owned),
        updated_by: record.text("updated_by").map(str::to_owned),
        ..key
    })
}
