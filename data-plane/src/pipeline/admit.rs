//! Whether there is room for the call, and money: within the limits and budgets of all who pay for it ([`super::payers`]).
//!
//! What a call takes is counted for all of them or for none ([`crate::limits`]). It is given back with the [`Permit`], which
//! lives until the last of the call's accounts is closed. What a refused caller hears is [`super::refused`]'s business.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderMap;
use proto::NanoUsd;
use proto::price::{Cost, Measure, cost, tier_of};
use proto::v1::Tokens;

use super::authorize::Grant;
use super::decode::Call;
use super::refused::AdmitError;
use super::{left, payers};
use crate::gateway::Core;
use crate::limits::Obstacle;
use crate::limits::budget::Quote;
use crate::limits::local::{Ask, Demand};
use crate::limits::redis::Redis;
use crate::limits::taken::Taken;
use crate::snapshot::{Deployment, Snapshot};

/// A call that may be made, and what it took of its owners' limits.
pub(crate) struct Permit {
    pub(crate) grant: Grant,
    /// None where nobody has limits.
    taken: RefCell<Option<Taken>>,
}

/// Takes the call's place within all limits and budgets that it is under, or says which one is in its way.
pub(crate) async fn admit(core: &Core, snapshot: &Snapshot, grant: Grant, call: &Call) -> Result<Permit, AdmitError> {
    let taken = match &core.gateway.redis {
        None => take_here(core, snapshot, &grant, call)?,
        // Kept apart, so that calls are no larger for it where there is no Redis.
        Some(redis) => Box::pin(take_through(redis, core, snapshot, &grant, call)).await?,
    };
    Ok(Permit { grant, taken: RefCell::new(taken) })
}

fn take_here(core: &Core, snapshot: &Snapshot, grant: &Grant, call: &Call) -> Result<Option<Taken>, AdmitError> {
    let demands = payers::demands(snapshot, grant, call)?;
    if demands.is_empty() {
        return Ok(None);
    }
    let taken = core.gateway.counters.take(&demands, &ask(core, snapshot, grant, call, &demands));
    taken.map(Some).map_err(|obstacle| refused(snapshot, grant, &demands, obstacle))
}

async fn take_through(
    redis: &Arc<Redis>,
    core: &Core,
    snapshot: &Snapshot,
    grant: &Grant,
    call: &Call,
) -> Result<Option<Taken>, AdmitError> {
    let demands = payers::demands(snapshot, grant, call)?;
    if demands.is_empty() {
        return Ok(None);
    }
    let taken = redis.take(&demands, &ask(core, snapshot, grant, call, &demands)).await;
    taken.map(Some).map_err(|obstacle| refused(snapshot, grant, &demands, obstacle))
}

fn refused(snapshot: &Snapshot, grant: &Grant, demands: &[Demand<'_>], obstacle: Obstacle) -> AdmitError {
    let id = |owner| demands.iter().find(|demand| demand.owner == owner).map_or("", |demand| &*demand.id);
    match obstacle {
        Obstacle::Limit(reached) => AdmitError::limit(reached, id(reached.owner)),
        Obstacle::Budget(exceeded) => AdmitError::budget(snapshot, grant, id(exceeded.owner), *exceeded),
        Obstacle::Away => AdmitError::Away,
    }
}

fn ask<'a>(core: &Core, snapshot: &Snapshot, grant: &'a Grant, call: &Call, demands: &[Demand<'_>]) -> Ask<'a> {
    let reserved = reservation(call, snapshot.settings.reserved_output_tokens);
    let has_budget = demands.iter().any(|demand| !demand.budgets.is_none());
    Ask {
        tokens: reserved.prompt.saturating_add(reserved.completion),
        quote: if has_budget { quote(grant, call, &reserved) } else { Quote::Free },
        model: &grant.group,
        large: snapshot.settings.large_calls,
        now_ms: core.gateway.clock.now_ms(),
        clock: crate::clock::seconds,
    }
}

/// The tokens that a call is expected to use: its prompt, by size, and what it may at most get for an answer.
fn reservation(call: &Call, most_output: u64) -> Tokens {
    let answer = match call.task {
        dialects::Task::Embedding => 0,
        dialects::Task::Chat | dialects::Task::Completion => {
            let asked = call.request.max_output_tokens.unwrap_or(most_output).min(most_output);
            asked.saturating_mul(call.request.n.unwrap_or(1).max(1))
        }
    };
    let prompt = call.prompt_by_size();
    Tokens { prompt, completion: answer, total: prompt.saturating_add(answer), ..Tokens::default() }
}

/// What these tokens cost where the call may go, at the dearest place. It is free only where it is free everywhere.
fn quote(grant: &Grant, call: &Call, tokens: &Tokens) -> Quote {
    let tier = tier_of(call.request.service_tier.as_deref());
    let at = |deployment: &Arc<Deployment>| {
        let price = deployment.price_for(&deployment.upstream_model_for(&grant.group));
        match cost(tokens, Measure::of_one_call(0), price, tier) {
            Cost::Free => None,
            Cost::Known(amount) if amount == NanoUsd::ZERO => None,
            other => Some(other.amount().nanos()),
        }
    };
    grant.candidates.iter().filter_map(at).max().map_or(Quote::Free, Quote::Nanos)
}

impl Permit {
    /// One of the call's tries used so many tokens and cost so much. To be said before it is written to the ledger.
    pub(super) fn spend(&self, tokens: u64, nano_usd: i64) {
        if let Some(taken) = self.taken.borrow_mut().as_mut() {
            taken.spend(tokens, nano_usd);
        }
    }

    /// Whether the call counts against any budget.
    pub(super) fn has_money(&self) -> bool {
        self.taken.borrow().as_ref().is_some_and(Taken::has_money)
    }

    /// The call costs so much by now. Whether all who pay for it can.
    pub(super) fn pays(&self, nano_usd: i64, now_ms: i64) -> bool {
        self.taken.borrow_mut().as_mut().is_none_or(|taken| taken.reserve_up_to(nano_usd, now_ms))
    }

    /// Says in headers what the limits are and what is left of them (admin_api.md 4.9.4).
    pub(super) fn show(&self, headers: &mut HeaderMap, now_ms: i64) {
        if let Some(taken) = self.taken.borrow().as_ref() {
            left::show(&self.grant, taken, headers, now_ms);
        }
    }
}
