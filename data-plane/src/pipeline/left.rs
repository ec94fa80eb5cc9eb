//! What a caller is told of limits and budgets beside the answer: what they are, what is left, what was spent.
//!
//! The names are LiteLLM's (admin_api.md 4.9.4). Spend is known of keys that have a budget of everything: of others, this data
//! plane counts none.

use http::{HeaderMap, HeaderName, HeaderValue};
use proto::NanoUsd;

use super::authenticate::Identity;
use super::authorize::Grant;
use super::figures;
use crate::limits::budget::Of;
use crate::limits::taken::{Shown, Taken};
use crate::limits::{Kind, Owner};

static KEY_REQUESTS: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");
static KEY_TOKENS: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");
static KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
static KEY_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");

/// Says what the call was held against. Comes after the call was counted, so that its own part is in what is said.
pub(super) fn show(grant: &Grant, taken: &Taken, headers: &mut HeaderMap, now_ms: i64) {
    for shown in taken.shown() {
        limits(shown, &grant.group, headers);
    }
    if let Identity::Key { key, .. } = &grant.caller.identity
        && let Some(spent) = taken.spent_by(Owner::Key)
    {
        let budget = key.budgets().of_call(&grant.group, now_ms).find(|budget| budget.of == Of::Everything);
        let most = budget.map(|budget| budget.most_nano_usd);
        for (name, nanos) in [(&KEY_SPEND, Some(spent)), (&KEY_BUDGET, most)] {
            if let Some(nanos) = nanos {
                headers.insert(name, figures::dollars(NanoUsd::from_nanos(nanos)));
            }
        }
    }
}

fn limits(Shown { owner, ceilings, left }: Shown, model: &str, headers: &mut HeaderMap) {
    let pairs = [
        (Kind::Requests, ceilings.requests_per_minute, left.requests_per_minute),
        (Kind::Tokens, ceilings.tokens_per_minute, left.tokens_per_minute),
        (Kind::AtOnce, ceilings.at_once, left.at_once),
    ];
    for (kind, limit, left) in pairs {
        let Some((limit, left)) = limit.zip(left) else { continue };
        for (word, number) in [("limit", limit), ("remaining", left)] {
            let name = format!("x-ratelimit-{}-{word}-{}", owner.descriptor(), kind.name());
            insert(&name, number, headers);
        }
        match (owner, kind) {
            (Owner::Key, Kind::Requests) => drop(headers.insert(&KEY_REQUESTS, HeaderValue::from(limit))),
            (Owner::Key, Kind::Tokens) => drop(headers.insert(&KEY_TOKENS, HeaderValue::from(limit))),
            // LiteLLM leaves a zero out.
            (Owner::KeyModel, Kind::Requests | Kind::Tokens) if left > 0 => {
                let model = model.replace(['/', ':'], "-");
                insert(&format!("x-litellm-key-remaining-{}-{model}", kind.name()), left, headers);
            }
            _ => {}
        }
    }
}

/// A name that HTTP cannot carry is not said.
fn insert(name: &str, number: u64, headers: &mut HeaderMap) {
    if let Ok(name) = HeaderName::try_from(name) {
        headers.insert(name, HeaderValue::from(number));
    }
}
