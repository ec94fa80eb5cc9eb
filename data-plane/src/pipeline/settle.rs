//! The accounts of one upstream attempt: opened before it is sent, closed exactly once.
//!
//! [`Settlement`] closes itself when dropped, so no path can forget it: a call that is dropped before anybody
//! knew its end is booked with an estimate, flagged as such. Closing writes to the ledger before it returns,
//! which is before the last byte goes to the client.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dialects::Usage;
use dialects::openai::{ESTIMATE_METHOD, request};
use proto::price::{Cost, Measure, cost, tier_of};
use proto::v1::{self as pb, Ending, UsageEvent, UsageSource};
use providers::Fault;

use super::admit::Permit;
use super::authenticate::{Caller, Identity};
use super::authorize::Grant;
use super::decode::{Call, noted, short};
use super::detach::Presence;
use crate::api::event_id;
use crate::gateway::Core;
use crate::ledger::{Entry, Field, OpenError, Opened, Opening};
use crate::snapshot::Deployment;
use crate::telemetry::metrics;

/// What was seen of an answer.
#[derive(Default)]
pub(crate) struct Observed {
    /// The provider's own figures.
    pub(crate) usage: Option<Usage>,
    /// Our estimate of the answer's tokens, for where there are none.
    pub(crate) estimated_completion: u64,
    pub(crate) answer_id: Option<String>,
    pub(crate) service_tier: Option<String>,
}

/// Open accounts of one upstream attempt.
pub(crate) struct Settlement {
    core: Rc<Core>,
    call: Rc<Call>,
    permit: Rc<Permit>,
    deployment: Arc<Deployment>,
    presence: Presence,
    opened: Opened,
    opening: Opening,
    /// The upstream model, which has the price.
    model: String,
    started_at_ms: i64,
    /// 0 where none of a stream came.
    first_byte_at_ms: i64,
    is_closed: bool,
}

impl Settlement {
    /// Opens the accounts: from here on the attempt is booked, whatever happens.
    pub(crate) fn open(
        core: &Rc<Core>,
        permit: &Rc<Permit>,
        call: &Rc<Call>,
        target: Target<'_>,
        presence: &Presence,
    ) -> Result<Self, OpenError> {
        let started_at_ms = core.gateway.clock.now_ms();
        let model = noted(target.upstream_model.to_owned());
        let opening = opening(core, &permit.grant, call, &target, Begins { at_ms: started_at_ms, model: &model });
        let mut event = blank(call, started_at_ms);
        // What the record is worth if nobody lives to close it: the prompt, by its size.
        event.tokens =
            Some(tokens(&Usage { prompt: call.prompt_by_size(), total: call.prompt_by_size(), ..Usage::default() }));
        book(&mut event, target.deployment, &model, 0, None);
        let opened = core.ledger.open(Entry::new(&opening, &event))?;
        presence.at_work();
        core.gateway.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            core: Rc::clone(core),
            call: Rc::clone(call),
            permit: Rc::clone(permit),
            deployment: Arc::clone(target.deployment),
            presence: presence.clone(),
            opened,
            opening,
            model,
            started_at_ms,
            first_byte_at_ms: 0,
            is_closed: false,
        })
    }

    /// Whether the call counts against any budget.
    pub(crate) fn has_money(&self) -> bool {
        self.permit.has_money()
    }

    /// So many tokens of an answer came: up to how many it may go on, before this is asked again. None: all money is spent.
    pub(crate) fn go_on(&self, came: u64) -> Option<u64> {
        /// What is reserved ahead, so that not every event asks.
        const AHEAD: u64 = 256;
        let prompt = request::estimate_prompt_tokens(&self.call.body, &self.call.request);
        let now_ms = self.core.gateway.clock.now_ms();
        [came.saturating_add(AHEAD), came].into_iter().find(|completion| {
            let total = prompt.saturating_add(*completion);
            let tokens = pb::Tokens { prompt, completion: *completion, total, ..pb::Tokens::default() };
            let tier = tier_of(self.call.request.service_tier.as_deref());
            let price = self.deployment.price_for(&self.model);
            let cost = cost(&tokens, Measure::of_one_call(0), price, tier);
            self.permit.pays(cost.amount().nanos(), now_ms)
        })
    }

    /// The first byte of a stream came.
    pub(crate) fn first_byte(&mut self) {
        self.first_byte_at_ms = self.core.gateway.clock.now_ms();
    }

    /// Closes the accounts of an answer, whole or not, and says what it cost.
    pub(crate) fn close(mut self, ending: Ending, observed: Observed) -> Cost {
        let ending = match ending {
            Ending::Complete if self.presence.is_gone() => Ending::ClientLeft,
            other => other,
        };
        self.book(ending, observed, None)
    }

    /// Closes the accounts of an attempt that broke off before its client got anything of it. The provider may have
    /// worked on it, so what can be counted is booked.
    pub(crate) fn break_off(mut self, ending: Ending, observed: Observed, fault: &Fault) {
        self.book(ending, observed, Some(fault));
    }

    /// Closes the accounts of an attempt that the provider refused: nothing was used.
    pub(crate) fn refuse(mut self, status: u16, fault: &Fault) {
        let mut event = blank(&self.call, self.started_at_ms);
        event.tokens = Some(pb::Tokens::default());
        event.set_usage_source(UsageSource::None);
        event.estimate_method.clear();
        event.set_price_state(pb::PriceState::Known);
        tell(&mut event, fault);
        event.status = status.into();
        self.write(event, Ending::Refused);
    }

    fn book(&mut self, ending: Ending, observed: Observed, fault: Option<&Fault>) -> Cost {
        let mut event = blank(&self.call, self.core.gateway.clock.now_ms());
        let usage = match observed.usage {
            Some(usage) => {
                event.set_usage_source(UsageSource::Reported);
                event.estimate_method.clear();
                usage
            }
            None => {
                let prompt = request::estimate_prompt_tokens(&self.call.body, &self.call.request);
                let completion = observed.estimated_completion;
                Usage { prompt, completion, total: prompt + completion, ..Usage::default() }
            }
        };
        event.tokens = Some(tokens(&usage));
        if let Some(id) = observed.answer_id {
            event.request_id = noted(id);
        }
        let tier = observed.service_tier.as_deref().or(self.call.request.service_tier.as_deref());
        let took_ms = event.ended_at_ms - self.started_at_ms;
        let cost = book(&mut event, &self.deployment, &self.model, took_ms, tier);
        event.success = ending == Ending::Complete || ending == Ending::ClientLeft;
        event.status = 200;
        if let Some(fault) = fault {
            tell(&mut event, fault);
        }
        if cost == Cost::Unknown {
            metrics::unknown_price();
        }
        self.write(event, ending);
        cost
    }

    fn write(&mut self, mut event: UsageEvent, ending: Ending) {
        self.is_closed = true;
        // Before it is written: the receipt must not come before we know that it is ours.
        self.permit.spend(event.tokens.map_or(0, |tokens| tokens.total), event.cost_nano_usd);
        event.set_ending(ending);
        event.first_byte_at_ms = self.first_byte_at_ms;
        event.ended_at_ms = self.core.gateway.clock.now_ms();
        metrics::ending(ending);
        self.core.gateway.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.core.ledger.close(Entry::new(&self.opening, &event), self.opened);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if !self.is_closed {
            let ending = if self.core.cut.is_raised() { Ending::Drained } else { Ending::ClientLeft };
            self.book(ending, Observed::default(), None);
        }
    }
}

/// What every record of a call has beside its [`Opening`], before anything is known of its end.
fn blank(call: &Call, ended_at_ms: i64) -> UsageEvent {
    let mut event = UsageEvent { request_id: call.call_id.clone(), ended_at_ms, ..UsageEvent::default() };
    event.set_usage_source(UsageSource::Estimated);
    ESTIMATE_METHOD.clone_into(&mut event.estimate_method);
    event
}

/// Notes what went wrong, as the client is told.
fn tell(event: &mut UsageEvent, fault: &Fault) {
    event.status = fault.class.status().into();
    fault.class.name().clone_into(&mut event.error_class);
    event.error_message = fault.message.chars().take(1_000).collect();
}

/// Which deployment is tried, as which attempt.
pub(crate) struct Target<'a> {
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) upstream_model: &'a str,
    pub(crate) shown_base: &'a str,
    pub(crate) attempt: u32,
}

fn opening(core: &Core, grant: &Grant, call: &Call, target: &Target<'_>, begins: Begins<'_>) -> Opening {
    let deployment = target.deployment;
    let mut opening = Opening::of(event_id(core, begins.at_ms).as_bytes());
    opening.text(Field::CallId, &call.call_id);
    opening.text(Field::CallType, call.task.call_type());
    owners(&mut opening, &grant.caller);
    opening.text(Field::EndUser, call.end_user.as_deref().unwrap_or_default());
    opening.text(Field::Model, begins.model);
    opening.text(Field::ModelGroup, short(&grant.group));
    opening.text(Field::DeploymentId, &*deployment.id);
    opening.text(Field::Provider, deployment.provider.id());
    opening.text(Field::ApiBase, target.shown_base);
    opening.number(Field::StartedAtMs, u64::try_from(begins.at_ms).unwrap_or(0));
    for tag in &call.tags {
        opening.put(Field::Tags, tag.as_bytes());
    }
    opening.number(Field::Attempt, target.attempt.into());
    opening.text(Field::ClientIp, &*call.client_ip);
    opening.text(Field::UserAgent, call.user_agent.as_deref().unwrap_or_default());
    opening.text(Field::SessionId, call.session_id.as_deref().unwrap_or_default());
    opening.number(Field::Streamed, call.request.stream.into());
    opening.text(Field::PriceSource, &deployment.price_for(begins.model).source);
    opening
}

/// When an attempt begins, and with which upstream model.
#[derive(Clone, Copy)]
struct Begins<'a> {
    at_ms: i64,
    model: &'a str,
}

fn owners(opening: &mut Opening, caller: &Caller) {
    let mut organization = "";
    match &caller.identity {
        Identity::Master { user_id } => {
            opening.number(Field::MasterKey, 1);
            opening.text(Field::UserId, &**user_id);
        }
        Identity::Key { hash, key } => {
            opening.text(Field::KeyHash, hash.as_bytes());
            opening.text(Field::KeyAlias, key.alias().unwrap_or_default());
            opening.text(Field::UserId, key.user_id().unwrap_or_default());
            organization = key.organization_id().unwrap_or_default();
        }
    }
    if let Some((team_id, team)) = &caller.team {
        opening.text(Field::TeamId, &**team_id);
        opening.text(Field::TeamAlias, team.alias.as_deref().unwrap_or_default());
        if organization.is_empty() {
            organization = team.organization_id.as_deref().unwrap_or_default();
        }
    }
    opening.text(Field::OrganizationId, organization);
}

/// Prices what `event` says was used.
fn book(event: &mut UsageEvent, deployment: &Deployment, model: &str, took_ms: i64, tier: Option<&str>) -> Cost {
    let price = deployment.price_for(model);
    let tokens = event.tokens.unwrap_or_default();
    let measure = Measure::of_one_call(u64::try_from(took_ms).unwrap_or(0));
    let cost = cost(&tokens, measure, price, tier_of(tier));
    event.set_price_state(cost.state());
    event.cost_nano_usd = cost.amount().nanos();
    cost
}

fn tokens(usage: &Usage) -> pb::Tokens {
    pb::Tokens {
        prompt: usage.prompt,
        completion: usage.completion,
        total: usage.total,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        cache_write_1h: usage.cache_write_1h,
        input_audio: usage.input_audio,
        output_audio: usage.output_audio,
        reasoning: usage.reasoning,
        input_image: usage.input_image,
        output_image: usage.output_image,
    }
}
