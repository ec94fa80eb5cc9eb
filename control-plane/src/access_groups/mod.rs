//! Access groups: names in `model_info.access_groups` of deployments, which keys, teams and users may list instead of
//! models.
//!
//! A group is nothing but its name on deployments, so a change of a group is a change of deployments that the API owns.
//! What config.yaml says of its own stays as it is.

pub(crate) mod http;

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::change::Change;
use crate::http::moment;
use crate::models::{self, Deployment, Origin};

/// Why a request about access groups is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessGroupError {
    #[error(
        "access_group must be a name: not empty, up to 256 printable characters, without `*`, and none of the words for all or no models."
    )]
    BadName,
    #[error("Give model_names or model_ids: which models are in the group.")]
    NoModels,
    #[error("There is no model `{0}`. /model/info shows which there are.")]
    UnknownModel(String),
    #[error("Model `{0}` stands in config.yaml: write the group into its model_info.access_groups there.")]
    OfFile(String),
    #[error("Access group '{0}' already exists. Change it with PUT /access_group/{0}/update.")]
    Exists(String),
    #[error("Access group '{0}' not found")]
    NotFound(String),
    #[error("Access group '{0}' stands in config.yaml too: remove it there first.")]
    InFile(String),
    #[error("storing access groups")]
    Database(#[from] sqlx::Error),
}

/// Names that mean something else in a list of models.
const WORDS: [&str; 3] = ["all-proxy-models", "all-team-models", "no-default-models"];

/// Most characters of a name.
const NAME: usize = 256;

/// One group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessGroup {
    access_group: String,
    /// By the names that clients know.
    model_names: Vec<String>,
    deployment_count: usize,
}

/// Which models a request means. Ids win.
#[derive(Debug)]
struct Members {
    names: Vec<String>,
    ids: Vec<String>,
}

/// The name of a new group, if it can be one.
fn named(text: String) -> Result<String, AccessGroupError> {
    let length = text.trim().chars().count();
    let is_name = (1..=NAME).contains(&length)
        && !text.chars().any(|char| char.is_control() || char == '*')
        && !WORDS.contains(&text.as_str());
    if is_name { Ok(text) } else { Err(AccessGroupError::BadName) }
}

/// The groups of a deployment.
fn groups_of(row: &Deployment) -> impl Iterator<Item = &str> {
    let groups = row.model_info.get("access_groups").and_then(Value::as_array);
    groups.into_iter().flatten().filter_map(Value::as_str)
}

fn is_in(row: &Deployment, group: &str) -> bool {
    groups_of(row).any(|name| name == group)
}

/// The group, if any deployment is in it.
fn find(rows: &[Deployment], group: &str) -> Option<AccessGroup> {
    let members: Vec<&Deployment> = rows.iter().filter(|row| is_in(row, group)).collect();
    let mut model_names: Vec<String> = Vec::new();
    for name in members.iter().map(|row| row.public_name()) {
        if !model_names.contains(&name) {
            model_names.push(name);
        }
    }
    let deployment_count = members.len();
    (deployment_count > 0).then(|| AccessGroup { access_group: group.to_owned(), model_names, deployment_count })
}

/// All groups, by name.
fn all(rows: &[Deployment]) -> Vec<AccessGroup> {
    let names: std::collections::BTreeSet<&str> = rows.iter().flat_map(groups_of).collect();
    names.into_iter().filter_map(|name| find(rows, name)).collect()
}

/// The ids of the deployments that are meant, all of which the API owns.
fn meant(rows: &[Deployment], members: &Members) -> Result<Vec<String>, AccessGroupError> {
    let by_id = !members.ids.is_empty();
    let said = if by_id { &members.ids } else { &members.names };
    let is_meant = |row: &Deployment, text: &str| match by_id {
        true => row.id == text,
        false => row.public_name() == text || row.model_name == text,
    };
    if said.is_empty() {
        return Err(AccessGroupError::NoModels);
    }
    let mut ids = Vec::new();
    for text in said {
        let found: Vec<&Deployment> = rows.iter().filter(|row| is_meant(row, text)).collect();
        if found.is_empty() {
            return Err(AccessGroupError::UnknownModel(text.clone()));
        }
        let owned: Vec<String> =
            found.iter().filter(|row| row.origin == Origin::Api).map(|row| row.id.clone()).collect();
        if owned.is_empty() {
            return Err(AccessGroupError::OfFile(text.clone()));
        }
        ids.extend(owned);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Puts these deployments, of those that the API owns, into the group and no others; gives how many changed.
async fn put(change: &mut Change, rows: &[Deployment], group: &str, ids: &[String]) -> Result<usize, AccessGroupError> {
    let mut changed = 0;
    for before in rows.iter().filter(|row| row.origin == Origin::Api) {
        let belongs = ids.contains(&before.id);
        if belongs == is_in(before, group) {
            continue;
        }
        let mut groups: Vec<Value> = groups_of(before).filter(|name| *name != group).map(Value::from).collect();
        if belongs {
            groups.push(group.into());
        }
        let mut row = before.clone();
        row.model_info.insert("access_groups".to_owned(), Value::Array(groups));
        row.updated_at = moment::now();
        row.updated_by = Some(change.author().changed_by.clone());
        models::put(change, before, &row).await?;
        changed += 1;
    }
    Ok(changed)
}

/// All deployments, those locked that the API owns, so that a group is what it was found to be until the change ends.
async fn locked(db: &mut PgConnection) -> Result<Vec<Deployment>, AccessGroupError> {
    Ok(models::all_locked(db).await?)
}
