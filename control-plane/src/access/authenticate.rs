//! From headers to an actor: the steps of LiteLLM's authentication that concern admin calls, in its order.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use proto::KeyHash;
use proto::routes::{Reach, any_covers};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::gate::Gate;
use super::{Actor, Credential, DEFAULT_USER_ID, MasterKey, Role, SaysChangedBy, presented};
use crate::app::App;
use crate::http::{moment, path};
use crate::keys::{self, Key};
use crate::{organizations, teams, users};

/// Why somebody is not let in, or not let do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("no key was presented")]
    NoKey,
    #[error("the key lacks its prefix")]
    Malformed,
    #[error("not a virtual key")]
    NotVirtual { shown: String },
    #[error("unknown key")]
    Unknown { shown: String, hash: KeyHash },
    #[error("the key is blocked")]
    Blocked,
    #[error("the key expired at {at}")]
    Expired { at: OffsetDateTime, now: OffsetDateTime, shown: String },
    #[error("team {0} is blocked")]
    TeamBlocked(String),
    #[error("the key may not call {route}")]
    RouteNotAllowed { route: String, allowed: Vec<String> },
    /// A member of a team wants to do with its keys what the team does not let members do.
    #[error("team {team_id} does not let its members call {route}")]
    TeamPermission { route: String, team_id: String },
    /// The role as such may not call this route.
    #[error("only a proxy admin may call {route}")]
    AdminsOnly { route: String, role: Role, user_id: Option<String> },
    /// The role may, but not with this subject.
    #[error("{0}")]
    Forbidden(String),
    /// The actor is not what it takes in an organization.
    #[error("{0}")]
    Organization(String),
    /// A list is asked for that is not theirs to see.
    #[error("{0}")]
    ListRefused(String),
    /// Callers from there are not let in.
    #[error("callers from {address} are not let in")]
    Address { address: String },
    /// The operator opened other routes alone.
    #[error("{route} is closed")]
    Closed { route: String },
    #[error("{route} is for proxy admins")]
    AdminOnlyRoute { route: String },
    #[error("reading who is asking")]
    Database(#[from] sqlx::Error),
}

impl FromRequestParts<App> for Actor {
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AccessError> {
        let route = path::shown(parts.uri.path()).into_owned();
        let mut db = app.db.acquire().await?;
        let gate = Gate::read(&mut db).await?;
        let address = gate.address(&parts.headers, &parts.extensions);
        gate.enter(address, &route)?;
        parts.extensions.insert(address);
        let actor = match actor(&mut db, app, &parts.headers, &gate, route.clone()).await {
            Err(AccessError::Database(error)) => return Err(error.into()),
            Err(_) if gate.is_public(&route) => Self::anybody(route.clone()),
            actor => actor?,
        };
        gate.check_role(actor.role, &route)?;
        Ok(actor)
    }
}

/// Who it is that presents a key, and that the key may call this route.
async fn actor(
    db: &mut PgConnection,
    app: &App,
    headers: &HeaderMap,
    gate: &Gate,
    route: String,
) -> Result<Actor, AccessError> {
    let says_changed_by = changed_by(headers);
    let admin = |credential| Actor {
        credential,
        role: Role::ProxyAdmin,
        user_id: Some(DEFAULT_USER_ID.to_owned()),
        route: route.clone(),
        says_changed_by: says_changed_by.clone(),
        may_say_changed_by: SaysChangedBy::Ignored,
        organizations: Vec::new(),
    };
    if let MasterKey::NoAuth = app.master {
        return Ok(admin(Credential::Nothing));
    }
    let presented = presented::key(headers, gate.key_header.as_deref())?;
    let hash = KeyHash::of(presented);
    if app.master.is(&hash) {
        return Ok(admin(Credential::Master));
    }
    if !presented.starts_with("sk-") {
        return Err(AccessError::NotVirtual { shown: ends(presented) });
    }
    let shown = last_four(presented);
    let Some(key) = keys::shown(db, &hash, moment::now()).await? else {
        return Err(AccessError::Unknown { shown, hash });
    };
    let may_say_changed_by = valid(db, &key, moment::now(), shown).await?;
    permit(&key.allowed_routes, &route)?;
    let role = match &key.user_id {
        Some(user_id) => users::role(db, user_id).await?,
        None => None,
    };
    let role = Role::named(role.as_deref());
    let organizations = match &key.user_id {
        Some(user_id) if role != Role::ProxyAdmin => organizations::roles_of(db, user_id).await?,
        _ => Vec::new(),
    };
    Ok(Actor {
        user_id: key.user_id.clone(),
        role,
        organizations,
        credential: Credential::Key(Box::new(key)),
        route,
        says_changed_by,
        may_say_changed_by,
    })
}

impl Actor {
    /// Somebody without a good key on a route that is open to everybody: they may look, and nothing is theirs.
    fn anybody(route: String) -> Self {
        Self {
            credential: Credential::Nothing,
            role: Role::InternalUserViewer,
            user_id: None,
            route,
            says_changed_by: None,
            may_say_changed_by: SaysChangedBy::Ignored,
            organizations: Vec::new(),
        }
    }
}

/// Whether a key with this list may call `route`. An empty list allows every route.
fn permit(allowed: &[String], route: &str) -> Result<(), AccessError> {
    match allowed.is_empty() || any_covers(allowed.iter().map(String::as_str), route, Reach::Below) {
        true => Ok(()),
        false => Err(AccessError::RouteNotAllowed { route: route.to_owned(), allowed: allowed.to_vec() }),
    }
}

/// Refuses a key that is blocked, has expired, or belongs to a blocked team.
async fn valid(
    db: &mut PgConnection,
    key: &Key,
    now: OffsetDateTime,
    shown: String,
) -> Result<SaysChangedBy, AccessError> {
    if key.blocked == Some(true) {
        return Err(AccessError::Blocked);
    }
    if let Some(at) = key.expires_at.filter(|at| *at < now) {
        return Err(AccessError::Expired { at, now, shown });
    }
    let team = match &key.team_id {
        Some(team_id) => teams::find(db, team_id).await?,
        None => None,
    };
    if let Some(team) = team.as_ref().filter(|team| team.blocked) {
        return Err(AccessError::TeamBlocked(team.team_id.clone()));
    }
    let flag = keys::CHANGED_BY_FLAG;
    let allowed = key.metadata.get(flag) == Some(&true.into())
        || team.is_some_and(|team| team.metadata.get(flag) == Some(&true.into()));
    Ok(if allowed { SaysChangedBy::Believed } else { SaysChangedBy::Ignored })
}

fn changed_by(headers: &HeaderMap) -> Option<String> {
    let said = headers.get("litellm-changed-by")?.to_str().ok()?.trim();
    (!said.is_empty()).then(|| said.chars().take(256).collect())
}

/// `sk-...` and the last four characters; fewer where that would be most of the key.
fn last_four(presented: &str) -> String {
    proto::key::masked(presented)
}

/// The first and last four characters; nothing of a short text.
fn ends(presented: &str) -> String {
    let chars: Vec<char> = presented.chars().collect();
    match (chars.first_chunk::<4>(), chars.last_chunk::<4>()) {
        (Some(first), Some(last)) if chars.len() >= 16 => {
            format!("{}****{}", first.iter().collect::<String>(), last.iter().collect::<String>())
        }
        _ => "****".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_of_routes_allows_all_and_any_other_only_what_it_covers() {
        let allows = |entries: &[&str], route: &str| {
            permit(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>(), route).is_ok()
        };
        assert!(allows(&[], "/key/info") && allows(&["/key"], "/key/info") && allows(&["/key/*"], "/key/info"));
        assert!(allows(&["management_routes"], "/team/new") && allows(&["LiteLLMRoutes.info_routes"], "/key/info"));
        assert!(!allows(&["/key/in"], "/key/info") && !allows(&["info_routes"], "/key/generate"));
        assert!(!allows(&["llm_api_routes"], "/key/info") && !allows(&[""], "/key/info"));
    }

    #[test]
    fn of_a_key_that_is_none_only_the_ends_are_repeated() {
        assert_eq!(ends("abcdefghijklmnopqrst"), "abcd****qrst");
        assert_eq!(ends("abcdefgh"), "****");
    }
}
