//! Who is asking, by the key they show. Asks the snapshot and nothing else.
//!
//! Where the key is read from, and in which order, is LiteLLM's (admin_api.md 4.1.1); so are the messages.
//! The stored hash of a key never authenticates: only what starts with `sk-` is hashed and looked up.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use proto::KeyHash;
use proto::key::masked;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::snapshot::{Authentication, Key, Snapshot, Standing, Team, User};

static X_LITELLM_API_KEY: HeaderName = HeaderName::from_static("x-litellm-api-key");
static BARE_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// Who is asking, as the snapshot knows them.
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) team: Option<(Box<str>, Arc<Team>)>,
    pub(crate) user: Option<Arc<User>>,
}

impl Caller {
    /// Somebody of whom nothing is known, who is shown what is nobody's in particular. Makes no calls.
    pub(crate) fn anybody() -> Self {
        Self { identity: Identity::Master { user_id: Box::default() }, team: None, user: None }
    }
}

/// What authenticated.
pub(crate) enum Identity {
    /// The master key, or anybody where authentication is off.
    Master { user_id: Box<str> },
    Key {
        /// The one that calls are counted and booked under.
        hash: KeyHash,
        key: Arc<Key>,
    },
}

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthenticateError {
    #[error("Authentication Error, No api key passed in.")]
    NoKey,
    #[error("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")]
    Malformed,
    #[error("Authentication Error, LiteLLM Virtual Key expected. Received={shown}, expected to start with 'sk-'.")]
    NotVirtual { shown: String },
    #[error(
        "Authentication Error, Invalid proxy server token passed. Received API Key = {masked}, Key Hash (Token) ={hash}. \
         Unable to find token in cache or `LiteLLM_VerificationTokenTable`"
    )]
    Unknown { masked: String, hash: KeyHash },
    #[error("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")]
    Blocked,
    #[error("Authentication Error - Expired Key. Key Expiry time {expired} and current time {now}")]
    Expired { masked: String, expired: String, now: String },
    #[error("Authentication Error, Team={team} is blocked. Update via `/team/unblock` if you're an admin.")]
    TeamBlocked { team: String },
    #[error("Team doesn't exist in db. Team={team}. Create team via `/team/new` call.")]
    NoTeam { team: String },
    #[error(
        "Authentication Error, {what} carries a restriction that this gateway cannot enforce yet: it is denied. Update the data planes."
    )]
    NotUnderstood { what: &'static str },
}

/// Finds the caller by the key in `headers`.
pub(crate) fn authenticate(snapshot: &Snapshot, headers: &HeaderMap, now_ms: i64) -> Result<Caller, AuthenticateError> {
    let settings = &snapshot.settings;
    let master =
        || Caller { identity: Identity::Master { user_id: settings.master_user_id.clone() }, team: None, user: None };
    if settings.authentication == Authentication::Off {
        return Ok(master());
    }
    let presented = match presented(headers, settings.key_header.as_ref()) {
        None => return Err(AuthenticateError::NoKey),
        Some("") => return Err(AuthenticateError::Malformed),
        Some(presented) => presented,
    };
    let hash = KeyHash::of(presented);
    if settings.master_key.as_ref().is_some_and(|master| master.same(&hash)) {
        return Ok(master());
    }
    if !presented.starts_with("sk-") {
        return Err(AuthenticateError::NotVirtual { shown: ends(presented) });
    }
    // A value that was replaced works for as long as it was let, and is then as unknown as any other.
    let is_over = |key: &Key| key.acts_as().is_some() && key.expires_at_ms().is_some_and(|end| end < now_ms);
    let Some(key) = snapshot.keys.get(&hash).filter(|key| !is_over(key)) else {
        return Err(AuthenticateError::Unknown { masked: masked(presented), hash });
    };
    admit_key(key, presented, now_ms)?;
    let team = team_of(snapshot, key)?;
    let user = match (&team, key.user_id()) {
        (None, Some(user_id)) => snapshot.users.get(user_id).cloned(),
        _ => None,
    };
    if user.as_ref().is_some_and(|user| user.standing == Standing::NotUnderstood) {
        return Err(AuthenticateError::NotUnderstood { what: "The key's user" });
    }
    let hash = key.acts_as().unwrap_or(hash);
    Ok(Caller { identity: Identity::Key { hash, key: Arc::clone(key) }, team, user })
}

fn admit_key(key: &Key, presented: &str, now_ms: i64) -> Result<(), AuthenticateError> {
    match key.standing {
        Standing::Good => {}
        Standing::Blocked => return Err(AuthenticateError::Blocked),
        Standing::NotUnderstood => return Err(AuthenticateError::NotUnderstood { what: "The key" }),
    }
    match key.expires_at_ms() {
        Some(expires) if expires < now_ms => {
            Err(AuthenticateError::Expired { masked: masked(presented), expired: moment(expires), now: moment(now_ms) })
        }
        _ => Ok(()),
    }
}

type NamedTeam = (Box<str>, Arc<Team>);

fn team_of(snapshot: &Snapshot, key: &Key) -> Result<Option<NamedTeam>, AuthenticateError> {
    let Some(team_id) = key.team_id() else { return Ok(None) };
    let Some(team) = snapshot.teams.get(team_id) else {
        return Err(AuthenticateError::NoTeam { team: team_id.to_string() });
    };
    match team.standing {
        Standing::Good => Ok(Some((team_id.into(), Arc::clone(team)))),
        Standing::Blocked => Err(AuthenticateError::TeamBlocked { team: team_id.to_string() }),
        Standing::NotUnderstood => Err(AuthenticateError::NotUnderstood { what: "The key's team" }),
    }
}

/// The key that was shown; the empty text where one was shown in a form that is not accepted.
fn presented<'h>(headers: &'h HeaderMap, only: Option<&HeaderName>) -> Option<&'h str> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    if let Some(only) = only {
        return Some(text(only).and_then(after_scheme).unwrap_or_default());
    }
    if let Some(own) = text(&X_LITELLM_API_KEY).filter(|own| !own.is_empty()) {
        return Some(after_scheme(own).unwrap_or(own));
    }
    if let Some(authorization) = text(&AUTHORIZATION).filter(|authorization| !authorization.is_empty()) {
        return Some(after_scheme(authorization).unwrap_or_default());
    }
    BARE_HEADERS.iter().find_map(|name| text(name).filter(|key| !key.is_empty()))
}

fn after_scheme(text: &str) -> Option<&str> {
    ["Bearer ", "bearer ", "Basic "].iter().find_map(|scheme| text.strip_prefix(scheme)).map(str::trim)
}

/// The first and last four characters, where the text is long enough not to be given away by them.
fn ends(text: &str) -> String {
    match text.chars().count() < 16 {
        true => "****".to_owned(),
        false => format!("{}****{}", text.chars().take(4).collect::<String>(), last(text, 4)),
    }
}

fn last(text: &str, count: usize) -> String {
    let skip = text.chars().count().saturating_sub(count);
    text.chars().skip(skip).collect()
}

/// A moment as LiteLLM's messages show it.
fn moment(ms: i64) -> String {
    const SHOWN: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]+00:00");
    let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    moment.and_then(|moment| moment.format(SHOWN).ok()).unwrap_or_else(|| format!("{ms} ms after 1970"))
}

#[cfg(test)]
mod tests {
    use proto::v1 as pb;

    use super::*;
    use crate::snapshot::decode::Changes;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_key_is_read_from_the_documented_places_in_order() {
        let all = headers(&[("x-litellm-api-key", "sk-a"), ("authorization", "Bearer sk-b"), ("api-key", "sk-c")]);
        assert_eq!(presented(&all, None), Some("sk-a"));
        let both = headers(&[("authorization", "Bearer sk-b"), ("api-key", "sk-c")]);
        assert_eq!(presented(&both, None), Some("sk-b"));
        assert_eq!(presented(&headers(&[("authorization", ""), ("x-api-key", "sk-d")]), None), Some("sk-d"));
        assert_eq!(presented(&headers(&[("authorization", "sk-bare")]), None), Some(""));
        assert_eq!(presented(&headers(&[]), None), None);
    }

    #[test]
    fn a_configured_header_replaces_every_other() {
        let own = HeaderName::from_static("x-my-key");
        let both = headers(&[("authorization", "Bearer sk-b"), ("x-my-key", "Bearer sk-m")]);
        assert_eq!(presented(&both, Some(&own)), Some("sk-m"));
        assert_eq!(presented(&headers(&[("authorization", "Bearer sk-b")]), Some(&own)), Some(""));
    }

    fn snapshot_of(keys: Vec<pb::Key>) -> Snapshot {
        let version = crate::snapshot::Version { epoch: [1; 16], revision: 1 };
        let mut changes = Changes::new();
        for key in keys {
            changes.put(pb::Resource { required_features: Vec::new(), body: Some(pb::resource::Body::Key(key)) });
        }
        changes.apply(&Snapshot::empty(version), version)
    }

    #[test]
    fn a_replaced_value_acts_as_the_new_one_until_it_ends_and_is_unknown_then() {
        let (old, new) = (KeyHash::of("sk-old"), KeyHash::of("sk-new"));
        let replaced = |bytes: &[u8]| pb::Key {
            hash: old.as_bytes().to_vec().into(),
            acts_as: bytes.to_vec().into(),
            expires_at_ms: 1_000,
            ..pb::Key::default()
        };
        let ask = |key: pb::Key, now_ms| {
            let bearer = headers(&[("authorization", "Bearer sk-old")]);
            authenticate(&snapshot_of(vec![key]), &bearer, now_ms).map(|caller| caller.identity)
        };
        let acts_as = ask(replaced(new.as_bytes()), 1_000);
        assert!(matches!(acts_as, Ok(Identity::Key { hash, .. }) if hash == new));
        assert!(matches!(ask(replaced(new.as_bytes()), 1_001), Err(AuthenticateError::Unknown { .. })));
        let own = pb::Key { acts_as: Vec::new().into(), ..replaced(&[]) };
        assert!(matches!(ask(own.clone(), 1_000), Ok(Identity::Key { hash, .. }) if hash == old));
        assert!(matches!(ask(own, 1_001), Err(AuthenticateError::Expired { .. })));
        assert!(matches!(ask(replaced(&[1, 2]), 0), Err(AuthenticateError::NotUnderstood { .. })));
    }

    #[test]
    fn moments_are_shown_as_dates() {
        assert_eq!(moment(0), "1970-01-01 00:00:00+00:00");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00+00:00");
        assert_eq!(moment(1_735_689_599_000), "2024-12-31 23:59:59+00:00");
    }
}
