//! Making and changing a deployment as a request wants it. Pure; whether it may be stored is [`super::check`]'s to say.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Deployment, ModelError, Origin};

/// Members of `model_info` that the gateway says, and that nobody tells it.
const OURS: [&str; 6] = ["db_model", "unavailable", "created_at", "created_by", "updated_at", "updated_by"];

/// Most characters of an id.
const ID: usize = 256;

/// What a request says of a deployment: of a new one, or of what is to be different.
pub(super) struct Wanted {
    pub(super) model_name: Option<String>,
    pub(super) params: Map<String, Value>,
    pub(super) model_info: Map<String, Value>,
    pub(super) blocked: Option<bool>,
}

/// What `null` in params and info does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// Nothing.
    Keep,
    /// Removes the member.
    Clear,
}

/// A deployment with params that are not sealed yet. One of a team is stored under a name that nobody else has.
pub(super) fn make(wanted: Wanted, author: &str, now: OffsetDateTime) -> Result<Deployment, ModelError> {
    let mut wanted = cleaned(wanted)?;
    wanted.params.retain(|_, value| !value.is_null());
    wanted.model_info.retain(|_, value| !value.is_null());
    let id = id_in(&mut wanted.model_info)?.unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut row = Deployment {
        id,
        model_name: wanted.model_name.unwrap_or_default(),
        params: wanted.params,
        sealed_params: None,
        model_info: wanted.model_info,
        blocked: wanted.blocked.unwrap_or(false),
        origin: Origin::Api,
        created_at: now,
        created_by: Some(author.to_owned()),
        updated_at: now,
        updated_by: Some(author.to_owned()),
    };
    let public = row.model_info.get("team_public_model_name").cloned();
    match (row.team_id().map(str::to_owned), row.model_info.contains_key("team_id"), public) {
        (Some(team_id), _, public) => {
            if row.model_name.trim().is_empty() {
                return Err(ModelError::Unfit("model_name: is empty; give the name that clients ask for".to_owned()));
            }
            let public = match public {
                None => row.model_name.clone(),
                Some(Value::String(name)) if !name.trim().is_empty() => name,
                Some(_) => {
                    return Err(ModelError::Unfit("model_info.team_public_model_name: must be a name".to_owned()));
                }
            };
            if public.contains('*') {
                return Err(ModelError::Unfit(
                    "model_name: a team's model is one model: patterns with `*` are served for everybody only"
                        .to_owned(),
                ));
            }
            row.model_name = format!("model_name_{team_id}_{}", Uuid::new_v4());
            row.model_info.insert("team_public_model_name".to_owned(), Value::String(public));
        }
        (None, true, _) => return Err(ModelError::Unfit("model_info.team_id: must be the id of a team".to_owned())),
        (None, false, Some(_)) => {
            return Err(ModelError::Unfit(
                "model_info.team_public_model_name: means nothing without model_info.team_id".to_owned(),
            ));
        }
        (None, false, None) => {}
    }
    Ok(row)
}

/// The deployment, whose params are not sealed, with what is to be different.
pub(super) fn change(
    mut row: Deployment,
    wanted: Wanted,
    nulls: Nulls,
    author: &str,
    now: OffsetDateTime,
) -> Result<Deployment, ModelError> {
    let mut wanted = cleaned(wanted)?;
    if id_in(&mut wanted.model_info)?.is_some_and(|id| id != row.id) {
        return Err(ModelError::Unfit(
            "model_info.id: an id cannot be changed. Add a new model, and delete this one".to_owned(),
        ));
    }
    for name in ["team_id", "team_public_model_name"] {
        let said = wanted.model_info.shift_remove(name).filter(|said| !(nulls == Nulls::Keep && said.is_null()));
        if said.is_some_and(|said| said != *row.model_info.get(name).unwrap_or(&Value::Null)) {
            return Err(ModelError::Unfit(format!(
                "model_info.{name}: a model stays with its team, under its name. Add a new model, and delete this one"
            )));
        }
    }
    if let Some(name) = wanted.model_name.filter(|name| *name != row.model_name) {
        match row.team_id() {
            None => row.model_name = name,
            Some(_) if name == row.public_name() => {}
            Some(_) => {
                return Err(ModelError::Unfit(
                    "model_name: a team's model keeps its name. Add a new model, and delete this one".to_owned(),
                ));
            }
        }
    }
    merge(&mut row.params, wanted.params, nulls);
    merge(&mut row.model_info, wanted.model_info, nulls);
    row.blocked = wanted.blocked.unwrap_or(row.blocked);
    row.updated_at = now;
    row.updated_by = Some(author.to_owned());
    Ok(row)
}

/// Without what only the gateway says; `model_info.blocked` counts as `blocked`.
fn cleaned(mut wanted: Wanted) -> Result<Wanted, ModelError> {
    wanted.model_info.retain(|name, _| !OURS.contains(&name.as_str()));
    match wanted.model_info.shift_remove("blocked") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(blocked)) => wanted.blocked = wanted.blocked.or(Some(blocked)),
        Some(_) => return Err(ModelError::Unfit("model_info.blocked: must be true or false".to_owned())),
    }
    Ok(wanted)
}

/// Takes the id out of `model_info`.
fn id_in(model_info: &mut Map<String, Value>) -> Result<Option<String>, ModelError> {
    match model_info.shift_remove("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.is_empty() => Ok(None),
        Some(Value::String(id)) if id.chars().count() <= ID && !id.chars().any(char::is_control) => Ok(Some(id)),
        Some(_) => Err(ModelError::BadId),
    }
}

fn merge(members: &mut Map<String, Value>, said: Map<String, Value>, nulls: Nulls) {
    for (name, value) in said {
        match (value, nulls) {
            (Value::Null, Nulls::Keep) => {}
            (Value::Null, Nulls::Clear) => _ = members.shift_remove(&name),
            (value, _) => _ = members.insert(name, value),
        }
    }
}
