//! `/v1/models`: what the caller may call.

use std::rc::Rc;

use dialects::openai::models;
use http::request::Parts;
use http::{Response, StatusCode};

use super::body::{AnswerBody, json};
use crate::error::ProxyError;
use crate::gateway::Core;
use crate::pipeline::authenticate::{Caller, authenticate};
use crate::pipeline::{authorize, gate};
use crate::snapshot::Snapshot;

/// `GET /v1/models`.
pub(super) fn list(core: &Rc<Core>, client_ip: &Rc<str>, head: &Parts) -> Result<Response<AnswerBody>, ProxyError> {
    let snapshot = core.snapshot().ok_or(ProxyError::NoSnapshot)?;
    let caller = caller(core, &snapshot, client_ip, head)?;
    let names = visible(&snapshot, &caller, wildcards(head));
    Ok(json(StatusCode::OK, models::list(names.iter().map(String::as_str))))
}

/// `GET /v1/models/{id}`.
pub(super) fn one(
    core: &Rc<Core>,
    client_ip: &Rc<str>,
    head: &Parts,
    id: &str,
) -> Result<Response<AnswerBody>, ProxyError> {
    let snapshot = core.snapshot().ok_or(ProxyError::NoSnapshot)?;
    let caller = caller(core, &snapshot, client_ip, head)?;
    let names = visible(&snapshot, &caller, Wildcards::Expanded);
    match names.iter().any(|name| name == id) {
        true => Ok(json(StatusCode::OK, models::one(id))),
        false => Err(ProxyError::NotFound(format!("The model `{id}` does not exist, or this key may not see it."))),
    }
}

/// Who asks; where the operator opened the route to everybody, also somebody without a good key.
fn caller(core: &Core, snapshot: &Snapshot, client_ip: &Rc<str>, head: &Parts) -> Result<Caller, ProxyError> {
    let path = head.uri.path();
    gate::enter(snapshot, head, client_ip)?;
    let caller = match authenticate(snapshot, &head.headers, core.gateway.clock.now_ms()) {
        Err(_) if gate::is_public(snapshot, path) => return Ok(Caller::anybody()),
        caller => caller?,
    };
    authorize::check_route(&caller, path)?;
    gate::check_role(snapshot, &caller, path)?;
    Ok(caller)
}

/// How names with `*` are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Expanded,
    AsPatterns,
}

fn wildcards(head: &Parts) -> Wildcards {
    let query = head.uri.query().unwrap_or_default();
    let is_set = query.split('&').any(|pair| {
        let pair = pair.split_once('=');
        pair.is_some_and(|(key, value)| key == "return_wildcard_routes" && matches!(value, "true" | "True" | "1"))
    });
    if is_set { Wildcards::AsPatterns } else { Wildcards::Expanded }
}

fn visible(snapshot: &Snapshot, caller: &Caller, wildcards: Wildcards) -> Vec<String> {
    let own_team = caller.team.as_ref().map(|(id, _)| id.as_ref());
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        if !names.iter().any(|other| other == name) && authorize::may_use(snapshot, caller, name) {
            names.push(name.to_owned());
        }
    };
    for deployment in snapshot.models.all() {
        if deployment.blocked || deployment.team_id.as_deref().is_some_and(|team| Some(team) != own_team) {
            continue;
        }
        let name = deployment.team_public_model_name.as_ref().unwrap_or(&deployment.model_name);
        match name.contains('*') && wildcards == Wildcards::Expanded {
            false => add(name),
            true => {
                let mut known: Vec<&String> = deployment.known_prices.keys().collect();
                known.sort();
                known.iter().for_each(|model| add(&name.replacen('*', model, 1)));
            }
        }
    }
    for (alias, target) in &snapshot.settings.group_aliases {
        if !target.hidden {
            add(alias);
        }
    }
    names
}
