//! Whether there is room for the call: within the limits of its key, of the key's user and of its team.
//!
//! What a call takes is counted for all of them or for none ([`crate::limits`]). It is given back with the [`Permit`], which
//! lives until the last of the call's accounts is closed.

use std::cell::RefCell;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;
use time::macros::format_description;

use super::authenticate::Identity;
use super::authorize::Grant;
use super::decode::Call;
use crate::gateway::Core;
use crate::limits::local::{Demand, Shown, Taken};
use crate::limits::{Ceilings, Kind, Owner, Reached};
use crate::snapshot::Snapshot;

/// Tokens reserved for the answer where the client sets no limit, and at most (reliability.md 3d).
const RESERVED_OUTPUT: u64 = 1_024;

static LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
static RESET_AT: HeaderName = HeaderName::from_static("reset_at");
static KEY_REQUESTS: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");
static KEY_TOKENS: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");

/// A call that may be made, and what it took of its owners' limits.
pub(crate) struct Permit {
    pub(crate) grant: Grant,
    /// None where nobody has limits.
    taken: RefCell<Option<Taken>>,
}

/// There is no room.
#[derive(Debug, thiserror::Error)]
#[error(
    "Rate limit exceeded for {}: {id}. Limit type: {}. Current limit: {}, Remaining: {}. Limit resets at: {resets_at} UTC",
    .reached.owner.descriptor(), .reached.kind.name(), .reached.limit, .reached.left
)]
pub(crate) struct AdmitError {
    reached: Reached,
    id: String,
    resets_at: String,
}

/// Takes the call's place within all limits that it is under, or says which one is reached.
pub(crate) fn admit(core: &Core, snapshot: &Snapshot, grant: Grant, call: &Call) -> Result<Permit, AdmitError> {
    let Identity::Key { hash, key } = &grant.caller.identity else { return Ok(Permit::without_limits(grant)) };
    let user = key.user_id().and_then(|id| {
        let user = grant.caller.user.as_ref().or_else(|| snapshot.users.get(id))?;
        Some((id, user.ceilings))
    });
    let team = grant.caller.team.as_ref().map(|(id, team)| (&**id, team.ceilings));
    let of_key = key.ceilings();
    let is_free = |owner: Option<(&str, Ceilings)>| owner.is_none_or(|(_, ceilings)| ceilings.is_none());
    if of_key.is_none() && is_free(user) && is_free(team) {
        return Ok(Permit::without_limits(grant));
    }
    let hash = hash.to_string();
    let demands = [(Owner::Key, Some((hash.as_str(), of_key))), (Owner::User, user), (Owner::Team, team)];
    let demands = demands.into_iter().filter(|(_, demand)| !is_free(*demand));
    let demands: Vec<Demand<'_>> =
        demands.filter_map(|(owner, demand)| demand.map(|(id, ceilings)| Demand { owner, id, ceilings })).collect();
    match core.gateway.counters.take(&demands, reservation(call), crate::clock::seconds) {
        Ok(taken) => Ok(Permit { taken: RefCell::new(Some(taken)), grant }),
        Err(reached) => {
            let id = demands.iter().find(|demand| demand.owner == reached.owner).map(|demand| demand.id.to_owned());
            Err(AdmitError::new(reached, id.unwrap_or_default()))
        }
    }
}

/// The tokens that a call is expected to use: its prompt, by size, and what it may at most get for an answer.
fn reservation(call: &Call) -> u64 {
    let answer = match call.task {
        dialects::Task::Embedding => 0,
        dialects::Task::Chat | dialects::Task::Completion => {
            let asked = call.request.max_output_tokens.unwrap_or(RESERVED_OUTPUT).min(RESERVED_OUTPUT);
            asked.saturating_mul(call.request.n.unwrap_or(1).max(1))
        }
    };
    call.prompt_by_size().saturating_add(answer)
}

impl Permit {
    fn without_limits(grant: Grant) -> Self {
        Self { grant, taken: RefCell::default() }
    }

    /// One of the call's tries used so many tokens.
    pub(super) fn use_tokens(&self, tokens: u64) {
        if let Some(taken) = self.taken.borrow_mut().as_mut() {
            taken.use_tokens(tokens);
        }
    }

    /// Says in headers what the limits are and what is left of them (admin_api.md 4.9.4).
    pub(super) fn show(&self, headers: &mut HeaderMap) {
        let taken = self.taken.borrow();
        for shown in taken.iter().flat_map(Taken::shown) {
            show(shown, headers);
        }
    }
}

#[cold]
fn show(Shown { owner, ceilings, left }: Shown, headers: &mut HeaderMap) {
    let pairs = [
        (Kind::Requests, ceilings.requests_per_minute, left.requests_per_minute),
        (Kind::Tokens, ceilings.tokens_per_minute, left.tokens_per_minute),
        (Kind::AtOnce, ceilings.at_once, left.at_once),
    ];
    for (kind, limit, left) in pairs {
        let Some((limit, left)) = limit.zip(left) else { continue };
        for (word, number) in [("limit", limit), ("remaining", left)] {
            let name = format!("x-ratelimit-{}-{word}-{}", owner.descriptor(), kind.name());
            if let Ok(name) = HeaderName::try_from(name) {
                headers.insert(name, HeaderValue::from(number));
            }
        }
        match (owner, kind) {
            (Owner::Key, Kind::Requests) => drop(headers.insert(&KEY_REQUESTS, HeaderValue::from(limit))),
            (Owner::Key, Kind::Tokens) => drop(headers.insert(&KEY_TOKENS, HeaderValue::from(limit))),
            _ => {}
        }
    }
}

impl AdmitError {
    fn new(reached: Reached, id: String) -> Self {
        let shown = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let resets = OffsetDateTime::now_utc() + Duration::from_secs(reached.wait_s);
        Self { reached, id, resets_at: resets.format(shown).unwrap_or_default() }
    }

    /// When to come again, and what is short.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        headers.insert(RETRY_AFTER, HeaderValue::from(self.reached.wait_s));
        headers.insert(&LIMIT_TYPE, HeaderValue::from_static(self.reached.kind.name()));
        if let Ok(at) = HeaderValue::try_from(format!("{} UTC", self.resets_at)) {
            headers.insert(&RESET_AT, at);
        }
    }
}
