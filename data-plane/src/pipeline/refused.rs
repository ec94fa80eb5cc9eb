//! What a caller hears whose call was not admitted: which limit or budget is in the way, and when to come again.
//!
//! The words are LiteLLM's (admin_api.md 4.3, 4.9.3), since clients look for them.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proto::NanoUsd;
use time::OffsetDateTime;
use time::macros::format_description;

use super::authenticate::Identity;
use super::authorize::Grant;
use crate::limits::{Exceeded, Owner, Reached, What};
use crate::snapshot::Snapshot;

static LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
static RESET_AT: HeaderName = HeaderName::from_static("reset_at");

/// There is no room, or no money.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    #[error(
        "Rate limit exceeded for {}: {id}. Limit type: {}. Current limit: {}, Remaining: {}. Limit resets at: {resets_at} UTC",
        .reached.owner.descriptor(), .reached.kind.name(), .reached.limit, .reached.left
    )]
    Limit { reached: Reached, id: String, resets_at: String },
    #[error("the rules of {owner} {id} cannot be read by this gateway: it is denied. Update the data planes")]
    NotUnderstood { owner: &'static str, id: String },
    #[error(
        "limits cannot be checked at the moment, and this gateway is set to refuse calls until they can (on_redis_down: deny): try again"
    )]
    Away,
    #[error("{message}")]
    Budget { status: StatusCode, message: String },
}

/// LiteLLM's word for an owner in messages about budgets.
fn noun(owner: Owner) -> Option<&'static str> {
    match owner {
        Owner::Key | Owner::KeyModel => Some("Key"),
        Owner::User => Some("User"),
        Owner::Team | Owner::TeamModel => Some("Team"),
        Owner::Member => Some("TeamMember"),
        Owner::Customer => Some("End User"),
        Owner::Organization => Some("Organization"),
        Owner::Tag => Some("Tag"),
        Owner::Proxy => None,
    }
}

impl AdmitError {
    pub(super) fn limit(reached: Reached, id: &str) -> Self {
        let shown = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let resets = OffsetDateTime::now_utc() + Duration::from_secs(reached.wait_s);
        Self::Limit { reached, id: id.to_owned(), resets_at: resets.format(shown).unwrap_or_default() }
    }

    pub(super) fn budget(snapshot: &Snapshot, grant: &Grant, id: &str, exceeded: Exceeded) -> Self {
        let Exceeded { owner, of, spent } = exceeded;
        let usd = |nanos: i64| NanoUsd::from_nanos(nanos).to_usd();
        let (cost, most) = (usd(spent.spent_nano_usd), usd(spent.most_nano_usd));
        let model = &grant.group;
        let alias = match &grant.caller.identity {
            Identity::Key { key, .. } => key.alias(),
            Identity::Master { .. } => None,
        };
        let mut message = match (owner, &of) {
            (Owner::Key | Owner::KeyModel, What::Model) => {
                let alias = alias.unwrap_or("None");
                format!("LiteLLM Virtual Key: {id}, key_alias: {alias}, exceeded budget for model={model}")
            }
            (Owner::Key | Owner::KeyModel, What::Window(window)) => {
                format!("ExceededBudget: Key over {window} budget. Spend=${cost:.4}, Limit=${most:.2}")
            }
            (Owner::Team | Owner::TeamModel, What::Window(window)) => {
                format!("ExceededBudget: Team={id} over {window} budget. Spend=${cost:.4}, Limit=${most:.2}")
            }
            (Owner::User, What::Everything | What::Window(_)) => {
                format!("ExceededBudget: User={id} over budget. Spend={cost}, Budget={most}")
            }
            (Owner::Customer, What::Everything | What::Window(_)) => {
                format!("ExceededBudget: End User={id} over budget. Spend={cost}, Budget={most}")
            }
            (_, What::Model) => {
                let who = noun(owner).unwrap_or("Gateway");
                format!("LiteLLM {who}: {id}, exceeded budget for model={model}")
            }
            (_, What::Everything | What::Window(_)) => {
                let shown = match owner {
                    Owner::Key => format!("Key={} ", alias.unwrap_or("key")),
                    _ => noun(owner).map_or_else(String::new, |noun| format!("{noun}={id} ")),
                };
                format!("Budget has been exceeded! {shown}Current cost: {cost}, Max budget: {most}")
            }
        };
        if spent.spent_nano_usd < spent.most_nano_usd {
            let reserved = usd(spent.reserved_nano_usd);
            message.push_str(&format!(
                ". What is left does not pay for this call; calls under way have reserved {reserved}"
            ));
        }
        Self::Budget { status: snapshot.settings.budget_exceeded, message }
    }

    /// When to come again, and what is short.
    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        if let Self::Away = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(1));
        }
        let Self::Limit { reached, resets_at, .. } = self else { return };
        headers.insert(RETRY_AFTER, HeaderValue::from(reached.wait_s));
        headers.insert(&LIMIT_TYPE, HeaderValue::from_static(reached.kind.name()));
        if let Ok(at) = HeaderValue::try_from(format!("{resets_at} UTC")) {
            headers.insert(&RESET_AT, at);
        }
    }
}
