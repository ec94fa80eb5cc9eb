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

use super::authenticate::{Caller, Identity};
use super::authorize::Grant;
use super::decode::{Call, noted};
use super::detach::Presence;
use crate::api::event_id;
use crate::gateway::Core;
use crate::ledger::{OpenError, Opened};
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
    deployment: Arc<Deployment>,
    presence: Presence,
    opened: Opened,
    /// `None` once closed.
    event: Option<UsageEvent>,
}

impl Settlement {
    /// Opens the accounts: from here on the attempt is booked, whatever happens.
    pub(crate) fn open(
        core: &Rc<Core>,
        grant: &Grant,
        call: &Rc<Call>,
        target: Target<'_>,
        presence: &Presence,
    ) -> Result<Self, OpenError> {
        let mut event = opening(core, grant, call, &target);
        // What the record is worth if nobody lives to close it: the prompt, by its size.
        event.tokens = Some(tokens(&Usage { prompt: by_size(call), total: by_size(call), ..Usage::default() }));
        event.set_usage_source(UsageSource::Estimated);
        ESTIMATE_METHOD.clone_into(&mut event.estimate_method);
        book(&mut event, target.deployment, None);
        let opened = core.ledger.open(&event)?;
        presence.at_work();
        core.calls.set(core.calls.get() + 1);
        core.gateway.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            core: Rc::clone(core),
            call: Rc::clone(call),
            deployment: Arc::clone(target.deployment),
            presence: presence.clone(),
            opened,
            event: Some(event),
        })
    }

    /// The first byte of a stream came.
    pub(crate) fn first_byte(&mut self) {
        let now = self.core.gateway.clock.now_ms();
        if let Some(event) = self.event.as_mut() {
            event.first_byte_at_ms = now;
        }
    }

    /// Closes the accounts of an answer, whole or not, and says what it cost.
    pub(crate) fn close(mut self, ending: Ending, observed: Observed) -> Cost {
        let ending = match ending {
            Ending::Complete if self.presence.is_gone() => Ending::ClientLeft,
            other => other,
        };
        self.book(ending, observed)
    }

    /// Closes the accounts of an attempt that the provider refused: nothing was used.
    pub(crate) fn refuse(mut self, status: u16, class: &str, message: &str) {
        let Some(mut event) = self.event.take() else { return };
        event.tokens = Some(pb::Tokens::default());
        event.set_usage_source(UsageSource::None);
        event.estimate_method.clear();
        event.set_price_state(pb::PriceState::Known);
        event.cost_nano_usd = 0;
        event.status = status.into();
        class.clone_into(&mut event.error_class);
        event.error_message = message.chars().take(1_000).collect();
        self.write(event, Ending::Refused);
    }

    fn book(&mut self, ending: Ending, observed: Observed) -> Cost {
        let Some(mut event) = self.event.take() else { return Cost::Unknown };
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
            event.request_id = noted(&id);
        }
        event.ended_at_ms = self.core.gateway.clock.now_ms();
        let tier = observed.service_tier.as_deref().or(self.call.request.service_tier.as_deref());
        let cost = book(&mut event, &self.deployment, tier);
        event.success = ending == Ending::Complete || ending == Ending::ClientLeft;
        event.status = 200;
        if cost == Cost::Unknown {
            metrics::unknown_price();
        }
        self.write(event, ending);
        cost
    }

    fn write(&mut self, mut event: UsageEvent, ending: Ending) {
        event.set_ending(ending);
        event.ended_at_ms = self.core.gateway.clock.now_ms();
        metrics::ending(ending);
        self.core.calls.set(self.core.calls.get().saturating_sub(1));
        self.core.gateway.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.core.ledger.close(event, self.opened);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if self.event.is_some() {
            let ending = if self.core.cut.is_raised() { Ending::Drained } else { Ending::ClientLeft };
            self.book(ending, Observed::default());
        }
    }
}

/// Which deployment is tried, as which attempt.
pub(crate) struct Target<'a> {
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) upstream_model: &'a str,
    pub(crate) shown_base: &'a str,
    pub(crate) attempt: u32,
}

fn opening(core: &Rc<Core>, grant: &Grant, call: &Call, target: &Target<'_>) -> UsageEvent {
    let now = core.gateway.clock.now_ms();
    let mut event = UsageEvent {
        event_id: event_id(core, now).as_bytes().to_vec().into(),
        request_id: call.call_id.clone(),
        call_id: call.call_id.clone(),
        call_type: call.task.call_type().to_owned(),
        end_user: call.end_user.clone().unwrap_or_default(),
        model: noted(target.upstream_model),
        model_group: noted(&grant.group),
        deployment_id: target.deployment.id.to_string(),
        provider: target.deployment.provider.id().to_owned(),
        api_base: target.shown_base.to_owned(),
        started_at_ms: now,
        ended_at_ms: now,
        tags: call.tags.clone(),
        attempt: target.attempt,
        client_ip: call.client_ip.to_string(),
        user_agent: call.user_agent.clone().unwrap_or_default(),
        session_id: call.session_id.clone().unwrap_or_default(),
        streamed: call.request.stream,
        ..UsageEvent::default()
    };
    owners(&mut event, &grant.caller);
    event
}

fn owners(event: &mut UsageEvent, caller: &Caller) {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match &caller.identity {
        Identity::Master { user_id } => {
            event.master_key = true;
            event.user_id = user_id.to_string();
        }
        Identity::Key { hash, key } => {
            event.key_hash = hash.as_bytes().to_vec().into();
            event.key_alias = text(key.alias());
            event.user_id = text(key.user_id());
            event.organization_id = text(key.organization_id());
        }
    }
    if let Some((team_id, team)) = &caller.team {
        event.team_id = team_id.to_string();
        event.team_alias = text(team.alias.as_deref());
        if event.organization_id.is_empty() {
            event.organization_id = text(team.organization_id.as_deref());
        }
    }
}

/// Prices what `event` says was used.
fn book(event: &mut UsageEvent, deployment: &Deployment, tier: Option<&str>) -> Cost {
    let price = deployment.price_for(&event.model);
    let took = u64::try_from(event.ended_at_ms - event.started_at_ms).unwrap_or(0);
    let tokens = event.tokens.unwrap_or_default();
    let cost = cost(&tokens, Measure::of_one_call(took), price, tier_of(tier));
    event.set_price_state(cost.state());
    event.price_source.clone_from(&price.source);
    event.cost_nano_usd = cost.amount().nanos();
    cost
}

fn by_size(call: &Call) -> u64 {
    (call.body.len() as u64 * 2).div_ceil(7)
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
