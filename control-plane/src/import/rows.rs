//! What the file's deployments and sections are as rows, and which of them differ from what is stored.

use std::collections::{BTreeMap, BTreeSet};

use litellm_config::reference::Value as Text;
use litellm_config::{Config, secret};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{ImportError, store};
use crate::models::{self, NewDeployment, Origin};
use crate::publish::sections::place;
use crate::vault::Vault;

/// Settings of the process, which it needs before it can read the database: not stored.
const OF_THE_PROCESS: [&str; 2] = ["master_key", "database_url"];

/// Ids of what changed.
pub(super) struct Changed {
    pub(super) put: Vec<String>,
    pub(super) removed: Vec<String>,
}

/// Puts the file's deployments in place of the earlier ones. Rows that say the same are left alone.
pub(super) async fn put_deployments(
    tx: &mut PgConnection,
    vault: &Vault,
    config: &Config,
) -> Result<Changed, ImportError> {
    let stored = models::all(tx).await?;
    let stored: BTreeMap<&str, &models::Deployment> = stored.iter().map(|row| (row.id.as_str(), row)).collect();
    let taken = config
        .deployments
        .iter()
        .filter(|new| stored.get(new.id.as_str()).is_some_and(|row| row.origin == Origin::Api));
    let taken: Vec<String> = taken.map(|new| new.id.clone()).collect();
    if !taken.is_empty() {
        return Err(ImportError::Taken(taken));
    }
    let mut put = Vec::new();
    for (position, new) in (0_i64..).zip(&config.deployments) {
        let same = stored.get(new.id.as_str()).is_some_and(|row| {
            row.model_name == new.model_name
                && row.blocked == new.blocked
                && row.model_info == new.model_info
                && row.opened(vault).is_ok_and(|params| params == new.params)
        });
        if same {
            models::place_in_file(tx, &new.id, position).await?;
            continue;
        }
        let (open, secrets) = secret::split(&new.params);
        let row = NewDeployment {
            id: new.id.clone(),
            model_name: new.model_name.clone(),
            params: Value::Object(open),
            sealed_params: sealed(vault, &models::place(&new.id), secrets),
            model_info: Value::Object(new.model_info.clone()),
            blocked: new.blocked,
            position,
        };
        models::put_from_file(tx, &row).await?;
        put.push(new.id.clone());
    }
    let named: BTreeSet<&str> = config.deployments.iter().map(|new| new.id.as_str()).collect();
    let gone = stored.values().filter(|row| row.origin == Origin::File && !named.contains(row.id.as_str()));
    let removed: Vec<String> = gone.map(|row| row.id.clone()).collect();
    models::delete(tx, &removed).await?;
    Ok(Changed { put, removed })
}

/// Puts the file's sections in place of the earlier ones, and gives the names of those that changed.
pub(super) async fn put_sections(
    tx: &mut PgConnection,
    vault: &Vault,
    config: &Config,
) -> Result<Vec<String>, ImportError> {
    let mut new: BTreeMap<String, (Value, Map<String, Value>)> = BTreeMap::new();
    for (name, value) in &config.sections {
        new.insert(name.clone(), split_section(name, value));
    }
    if !config.environment.is_empty() {
        new.insert("environment_variables".to_owned(), split_environment(&config.environment));
    }
    let mut stored = store::sections(tx).await?;
    let mut changed = Vec::new();
    for (name, (open, secrets)) in new {
        let place = place(&name, "file");
        let same = stored.remove(&name).is_some_and(|row| {
            let opened = match &row.sealed_value {
                None => Some(Map::new()),
                Some(sealed) => vault.open(&place, sealed).ok().and_then(|plain| serde_json::from_slice(&plain).ok()),
            };
            row.value == open && opened.as_ref() == Some(&secrets)
        });
        if !same {
            store::put_section(tx, &name, &open, sealed(vault, &place, secrets).as_deref()).await?;
            changed.push(name);
        }
    }
    let gone: Vec<String> = stored.into_keys().collect();
    store::delete_sections(tx, &gone).await?;
    changed.extend(gone);
    Ok(changed)
}

/// A section's members that may lie open, and those that must not. A section that is no object is one member.
fn split_section(name: &str, value: &Value) -> (Value, Map<String, Value>) {
    match value {
        Value::Object(members) => {
            let mut members = members.clone();
            if name == "general_settings" {
                members.retain(|member, _| !OF_THE_PROCESS.contains(&member.as_str()));
            }
            let (open, secrets) = secret::split(&members);
            (Value::Object(open), secrets)
        }
        other => {
            let (open, secrets) = secret::split(&Map::from_iter([(name.to_owned(), other.clone())]));
            (open.get(name).cloned().unwrap_or(Value::Null), secrets)
        }
    }
}

/// Of environment variables nobody knows which are secret: only references lie open.
fn split_environment(variables: &BTreeMap<String, String>) -> (Value, Map<String, Value>) {
    let is_reference = |text: &str| matches!(Text::read(text), Text::Environment(_));
    let members = variables.iter().map(|(name, text)| (name.clone(), Value::String(text.clone())));
    let (open, secrets): (Map<_, _>, Map<_, _>) =
        members.partition(|(_, value)| value.as_str().is_some_and(is_reference));
    (Value::Object(open), secrets)
}

fn sealed(vault: &Vault, place: &str, secrets: Map<String, Value>) -> Option<Vec<u8>> {
    (!secrets.is_empty()).then(|| vault.seal(place, Value::Object(secrets).to_string().as_bytes()))
}
