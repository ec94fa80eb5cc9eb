//! From headers to an actor: the steps of LiteLLM's authentication that concern admin calls, in its order.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use proto::KeyHash;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Actor, Credential, DEFAULT_USER_ID, MasterKey, Role, SaysChangedBy, presented, routes, store};
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
    #[error("reading who is asking")]
    Database(#[from] sqlx::Error),
}

impl FromRequestParts<App> for Actor {
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AccessError> {
        let route = path::shown(parts.uri.path()).into_owned();
        let says_changed_by = changed_by(&parts.headers);
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
        let mut db = app.db.acquire().await?;
        let only = store::key_header(&mut db).await?;
        let presented = presented::key(&parts.headers, only.as_deref())?;
        let hash = KeyHash::of(presented);
        if app.master.is(&hash) {
            return Ok(admin(Credential::Master));
        }
        if !presented.starts_with("sk-") {
            return Err(AccessError::NotVirtual { shown: ends(presented) });
        }
        let shown = last_four(presented);
        let Some(key) = keys::shown(&mut db, &hash, moment::now()).await? else {
            return Err(AccessError::Unknown { shown, hash });
        };
        let may_say_changed_by = valid(&mut db, &key, moment::now(), shown).await?;
        routes::permit(&key.allowed_routes, &route)?;
        let role = match &key.user_id {
            Some(user_id) => users::role(&mut db, user_id).await?,
            None => None,
        };
        let role = Role::named(role.as_deref());
        let organizations = match &key.user_id {
            Some(user_id) if role != Role::ProxyAdmin => organizations::roles_of(&mut db, user_id).await?,
            _ => Vec::new(),
        };
        Ok(Actor {
            user_id: key.user_id.clone(),
            role,
            organizations,
            credential: Credential::Key(Box::new(key)),
            route: route.clone(),
            says_changed_by: says_changed_by.clone(),
            may_say_changed_by,
        })
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
    fn of_a_key_that_is_none_only_the_ends_are_repeated() {
        assert_eq!(ends("abcdefghijklmnopqrst"), "abcd****qrst");
        assert_eq!(ends("abcdefgh"), "****");
    }
}
