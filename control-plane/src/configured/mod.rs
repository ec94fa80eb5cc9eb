//! The settings of the product as admin pages ask for them, field by field: what may stand in `general_settings`, what does,
//! and where it was said. They are changed in `config.yaml`.

pub(crate) mod http;

use std::collections::BTreeMap;

use litellm_config::support::{self, Shape, Support};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::publish::sections::{self, place};
use crate::vault::{OpenError, Vault};

/// The one section that the endpoints are about.
const SECTION: &str = "general_settings";

/// What answers show in a secret's place.
const MASK: &str = "***";

/// Settings of the process: they are not kept in the database.
const OF_THE_PROCESS: [&str; 2] = ["master_key", "database_url"];

/// Why settings are not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfiguredError {
    #[error("Field name={0} not in DB")]
    Unset(String),
    #[error("The stored secrets of general_settings cannot be read: {0}")]
    Sealed(#[from] OpenError),
    #[error("reading settings")]
    Database(#[from] sqlx::Error),
}

/// A field that may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    name: &'static str,
    shape: Shape,
    note: &'static str,
}

/// A field that is set.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    /// Masked, where it is a secret.
    value: Value,
    /// `file` or `api`.
    origin: String,
}

/// The fields that do something.
fn known() -> impl Iterator<Item = Known> {
    let keys = support::table(SECTION).map_or(&[][..], |table| table.keys);
    let own = keys.iter().filter(|key| key.support == Support::Honoured && !OF_THE_PROCESS.contains(&key.name));
    own.filter(|key| !key.name.contains('*')).map(|key| Known { name: key.name, shape: key.shape, note: key.note })
}

/// What is set of all fields, also of those that do nothing yet. What the API wrote goes before what the file says.
async fn said(db: &mut PgConnection, vault: &Vault) -> Result<BTreeMap<String, Said>, ConfiguredError> {
    let mut all = BTreeMap::new();
    for row in sections::stored(db).await?.into_iter().filter(|row| row.section == SECTION) {
        let mut members = match row.value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        if let Some(sealed) = row.sealed_value {
            let plain = vault.open(&place(&row.section, &row.origin), &sealed)?;
            let secrets: Map<String, Value> = serde_json::from_slice(&plain).unwrap_or_default();
            members.extend(secrets.into_iter().map(|(name, _secret)| (name, Value::String(MASK.to_owned()))));
        }
        let said = members.into_iter().filter(|(_, value)| !value.is_null());
        all.extend(said.map(|(name, value)| (name, Said { value, origin: row.origin.clone() })));
    }
    Ok(all)
}
