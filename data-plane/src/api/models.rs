//! `/v1/models`: what the caller may call.

use std::rc::Rc;

use dialects::openai::models;
use http::{Request, Response, StatusCode};

use super::body::{AnswerBody, json};
use crate::error::ProxyError;
use crate::gateway::Core;
use crate::pipeline::authenticate::{Caller, authenticate};
use crate::pipeline::authorize;
use crate::snapshot::Snapshot;

/// `GET /v1/models`.
pub(super) fn list<B>(core: &Rc<Core>, request: &Request<B>) -> Result<Response<AnswerBody>, ProxyError> {
    let snapshot = core.snapshot().ok_or(ProxyError::NoSnapshot)?;
    let caller = authenticate(&snapshot, request.headers(), core.gateway.clock.now_ms())?;
    authorize::check_route(&caller, request.uri().path())?;
    let wildcards = query_flag(request, "return_wildcard_routes");
    let names = visible(&snapshot, &caller, wildcards);
    Ok(json(StatusCode::OK, models::list(names.iter().map(String::as_str))))
}

/// `GET /v1/models/{id}`.
pub(super) fn one<B>(core: &Rc<Core>, request: &Request<B>, id: &str) -> Result<Response<AnswerBody>, ProxyError> {
    let snapshot = core.snapshot().ok_or(ProxyError::NoSnapshot)?;
    let caller = authenticate(&snapshot, request.headers(), core.gateway.clock.now_ms())?;
    authorize::check_route(&caller, request.uri().path())?;
    let names = visible(&snapshot, &caller, Wildcards::Expanded);
    match names.iter().any(|name| name == id) {
        true => Ok(json(StatusCode::OK, models::one(id))),
        false => Err(ProxyError::NotFound(format!("The model `{id}` does not exist, or this key may not see it."))),
    }
}

/// How names with `*` are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Expanded,
    AsPatterns,
}

fn query_flag<B>(request: &Request<B>, name: &str) -> Wildcards {
    let query = request.uri().query().unwrap_or_default();
    let is_set = query.split('&').any(|pair| {
        pair.split_once('=').is_some_and(|(key, value)| key == name && matches!(value, "true" | "True" | "1"))
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
