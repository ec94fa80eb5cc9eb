//! An answer in pieces, on its way from provider to client.
//!
//! Bytes leave when they come. The last event is held until the call is booked, so that whoever saw the end
//! of a stream has been booked for it. A stream that breaks says so in an event and ends without `[DONE]`; a
//! client that leaves is read on for, within bounds.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialects::openai::fault::ErrorBody;
use dialects::openai::stream::{DONE, Ending as Finish, Options, Reader, error_event};
use proto::v1::Ending;
use providers::{Fault, FaultClass};
use tokio::time::Sleep;

use super::detach::{self, Presence};
use super::settle::{Observed, Settlement};
use crate::gateway::Core;
use crate::signal::Watch;
use crate::snapshot::Deployment;
use crate::transport::UpstreamBody;

/// What a relay needs to know of its call.
pub(crate) struct Terms {
    pub(crate) options: Options,
    pub(crate) deployment: Arc<Deployment>,
    /// The longest time without a byte.
    pub(crate) pause: Duration,
}

/// A stream between a provider and a client.
pub(crate) struct StreamRelay {
    core: Rc<Core>,
    presence: Presence,
    reader: Reader,
    upstream: Option<UpstreamBody>,
    /// `None` once booked.
    settlement: Option<Settlement>,
    out: VecDeque<Bytes>,
    scratch: Vec<Bytes>,
    is_begun: bool,
    /// So many tokens are paid for; more are not yet, or by nobody.
    paid_for: u64,
    last: Instant,
    stall: Option<Pin<Box<Sleep>>>,
    cut: Watch,
    deployment: Arc<Deployment>,
    pause: Duration,
}

impl StreamRelay {
    /// Begins to read `upstream` along.
    pub(crate) fn begin(
        core: &Rc<Core>,
        terms: Terms,
        upstream: UpstreamBody,
        settlement: Settlement,
        presence: &Presence,
    ) -> Box<Self> {
        Self::new(core, terms, Some(upstream), settlement, presence)
    }

    /// A stream whose events are known already.
    pub(crate) fn of_events(
        core: &Rc<Core>,
        terms: Terms,
        events: Vec<Bytes>,
        settlement: Settlement,
        presence: &Presence,
    ) -> Box<Self> {
        let mut relay = Self::new(core, terms, None, settlement, presence);
        for event in events {
            relay.take_in(event);
        }
        relay.take_in(Bytes::from_static(DONE));
        relay
    }

    fn new(
        core: &Rc<Core>,
        terms: Terms,
        upstream: Option<UpstreamBody>,
        settlement: Settlement,
        presence: &Presence,
    ) -> Box<Self> {
        Box::new(Self {
            core: Rc::clone(core),
            presence: presence.clone(),
            reader: Reader::new(terms.options),
            upstream,
            paid_for: if settlement.has_money() { 0 } else { u64::MAX },
            settlement: Some(settlement),
            out: VecDeque::new(),
            scratch: Vec::new(),
            is_begun: false,
            last: Instant::now(),
            stall: None,
            cut: Watch::new(&core.cut),
            deployment: terms.deployment,
            pause: terms.pause,
        })
    }

    /// Waits until there is something to show, at most `timeout`. What fails before is no stream but an error.
    pub(crate) async fn first(mut self: Box<Self>, timeout: Duration) -> Result<Box<Self>, Fault> {
        let arrived = tokio::time::timeout(timeout, std::future::poll_fn(|cx| self.poll_first(cx))).await;
        match arrived {
            Ok(Ok(())) => Ok(self),
            Ok(Err(fault)) => Err(fault),
            Err(_elapsed) => {
                let text = format!("no event came within {} s", timeout.as_secs_f64());
                let fault = self.fault(FaultClass::Timeout, &text);
                self.break_off(Ending::UpstreamStalled, &fault);
                Err(fault)
            }
        }
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            if (self.reader.saw_chunk() && !self.out.is_empty()) || self.settlement.is_none() {
                return Poll::Ready(Ok(()));
            }
            let Some(upstream) = self.upstream.as_mut() else { return Poll::Ready(Ok(())) };
            let broke = match upstream.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => match self.read(chunk) {
                    Ok(()) => continue,
                    Err(fault) => fault,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.fault(FaultClass::ApiConnection, &format!("the stream broke: {error}"))
                }
                Poll::Ready(None) => {
                    let finish = self.reader.finish(&mut self.scratch);
                    self.out.extend(self.scratch.drain(..));
                    if finish == Finish::Done {
                        self.end_well();
                        return Poll::Ready(Ok(()));
                    }
                    self.fault(FaultClass::ApiConnection, "the stream ended before its first event")
                }
            };
            // An error in the provider's own words, before anything was said, is a refusal: nothing was used.
            if !self.reader.saw_content()
                && let Some(fault) = self.told_fault()
            {
                self.refuse(&fault);
                return Poll::Ready(Err(fault));
            }
            self.break_off(Ending::UpstreamCut, &broke);
            return Poll::Ready(Err(broke));
        }
    }

    /// The next bytes for the client; `None` after the last.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            if self.settlement.is_none() {
                return Poll::Ready(None);
            }
            if self.poll_upstream(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.out.is_empty() && self.settlement.is_none()
    }

    /// Takes in what the provider sends, or notes that it does not.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = self.upstream.as_mut() else {
            let fault = self.fault(FaultClass::ApiConnection, "the stream ended early");
            self.end_badly(Ending::UpstreamCut, &fault);
            return Poll::Ready(());
        };
        match upstream.poll_chunk(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.last = Instant::now();
                self.take_in(chunk);
                Poll::Ready(())
            }
            Poll::Ready(Some(Err(error))) => {
                let fault = self.fault(FaultClass::ApiConnection, &format!("the stream broke: {error}"));
                self.end_badly(Ending::UpstreamCut, &fault);
                Poll::Ready(())
            }
            Poll::Ready(None) => {
                self.end_of_body();
                Poll::Ready(())
            }
            Poll::Pending => self.poll_clocks(cx),
        }
    }

    /// Whether the provider has stalled, or the process may wait no longer.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.poll(cx).is_ready() {
            let fault = self.fault(FaultClass::ServiceUnavailable, "the gateway is shutting down");
            self.end_badly(Ending::Drained, &fault);
            return Poll::Ready(());
        }
        // One timer per pause, not per chunk: when it fires early, it is set again for what is left.
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.pause)));
        while stall.as_mut().poll(cx).is_ready() {
            let left = self.pause.saturating_sub(self.last.elapsed());
            if left.is_zero() {
                let text = format!("nothing came for {} s", self.pause.as_secs_f64());
                let fault = self.fault(FaultClass::Timeout, &text);
                self.end_badly(Ending::UpstreamStalled, &fault);
                return Poll::Ready(());
            }
            stall.as_mut().reset(tokio::time::Instant::now() + left);
        }
        Poll::Pending
    }

    fn take_in(&mut self, chunk: Bytes) {
        if let Err(fault) = self.read(chunk) {
            return self.end_badly(Ending::UpstreamCut, &fault);
        }
        let came = self.reader.estimate_completion_tokens();
        if came > self.paid_for
            && let Some(settlement) = &self.settlement
        {
            match settlement.go_on(came) {
                Some(paid_for) => self.paid_for = paid_for,
                None => self.end_unpaid(),
            }
        }
    }

    /// A budget is spent while the answer is on its way: it ends here, is booked as far as it came, and says why.
    fn end_unpaid(&mut self) {
        let message = "Budget has been exceeded! It was spent while this answer was on its way, which ends here.";
        let code = self.core.snapshot().map_or(422, |snapshot| snapshot.settings.budget_exceeded.as_u16());
        let body = ErrorBody { message, kind: "budget_exceeded", param: None, code }.to_bytes();
        self.book(Ending::LimitReached);
        self.upstream = None;
        self.out.push_back(error_event(&body));
    }

    fn read(&mut self, chunk: Bytes) -> Result<(), Fault> {
        let read = self.reader.read(chunk, &mut self.scratch);
        if !self.scratch.is_empty() && !self.is_begun {
            self.is_begun = true;
            self.mark_first_byte();
        }
        self.out.extend(self.scratch.drain(..));
        if let Err(error) = read {
            return Err(self.fault(FaultClass::BadGateway, &format!("the stream cannot be read: {error}")));
        }
        if let Some(fault) = self.told_fault() {
            return Err(fault);
        }
        if self.reader.is_done() {
            self.end_well();
        }
        Ok(())
    }

    fn end_of_body(&mut self) {
        let finish = self.reader.finish(&mut self.scratch);
        self.out.extend(self.scratch.drain(..));
        match finish {
            Finish::Done => self.end_well(),
            Finish::Cut => {
                let ended_early = || self.fault(FaultClass::ApiConnection, "the stream ended early");
                let fault = self.told_fault().unwrap_or_else(ended_early);
                self.end_badly(Ending::UpstreamCut, &fault);
            }
        }
    }

    /// The error that the provider told within its stream.
    fn told_fault(&self) -> Option<Fault> {
        let error = self.reader.first_error()?;
        Some(self.fault(class_of(error.code.as_deref()), &error.message))
    }

    fn fault(&self, class: FaultClass, text: &str) -> Fault {
        self.deployment.fault(class, text)
    }

    /// Books the call, then lets the held last event go.
    fn end_well(&mut self) {
        self.book(Ending::Complete);
        self.out.push_back(self.reader.held().unwrap_or(Bytes::from_static(DONE)));
        if let Some(upstream) = self.upstream.take() {
            read_to_end(&self.core, upstream);
        }
    }

    /// Books what was seen, and tells the client in an event; `[DONE]` would be a lie.
    fn end_badly(&mut self, ending: Ending, fault: &Fault) {
        self.book(ending);
        self.upstream = None;
        let (kind, code) = (fault.class.error_type(), fault.class.status());
        let body = ErrorBody { message: &fault.message, kind, param: None, code }.to_bytes();
        self.out.push_back(error_event(&body));
    }

    fn book(&mut self, ending: Ending) {
        if let Some(settlement) = self.settlement.take() {
            settlement.close(ending, self.observed());
        }
    }

    /// Books what was seen of a stream of which the client got nothing.
    fn break_off(&mut self, ending: Ending, fault: &Fault) {
        if let Some(settlement) = self.settlement.take() {
            settlement.break_off(ending, self.observed(), fault);
        }
    }

    fn observed(&self) -> Observed {
        Observed {
            usage: self.reader.usage().cloned(),
            estimated_completion: self.reader.estimate_completion_tokens(),
            answer_id: self.reader.answer_id().map(str::to_owned),
            service_tier: self.reader.service_tier().map(str::to_owned),
        }
    }

    fn refuse(&mut self, fault: &Fault) {
        self.upstream = None;
        if let Some(settlement) = self.settlement.take() {
            settlement.refuse(fault.class.status(), fault);
        }
    }

    fn mark_first_byte(&mut self) {
        if let Some(settlement) = self.settlement.as_mut() {
            settlement.first_byte();
        }
    }

    /// Reads on without a client, until the provider's end.
    fn poll_to_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.settlement.is_some() {
            self.out.clear();
            if self.poll_upstream(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

/// A client that leaves before the end: its stream is read on for, or booked as far as it came.
impl Drop for StreamRelay {
    fn drop(&mut self) {
        let Some(settlement) = self.settlement.take() else { return };
        self.presence.leave();
        let rest = Self {
            core: Rc::clone(&self.core),
            presence: self.presence.clone(),
            reader: std::mem::replace(&mut self.reader, Reader::new(Options::default())),
            upstream: self.upstream.take(),
            settlement: Some(settlement),
            out: VecDeque::new(),
            scratch: Vec::new(),
            is_begun: self.is_begun,
            paid_for: self.paid_for,
            last: self.last,
            stall: None,
            cut: Watch::new(&self.core.cut),
            deployment: Arc::clone(&self.deployment),
            pause: self.pause,
        };
        Orphan(Some(rest)).take_care();
    }
}

/// A stream without a client. Dropped, it is booked as far as it came.
struct Orphan(Option<StreamRelay>);

impl Orphan {
    fn take_care(mut self) {
        let core = self.0.as_ref().map(|rest| Rc::clone(&rest.core));
        if let Some(core) = core {
            detach::read_on(&core, async move {
                if let Some(rest) = self.0.as_mut() {
                    std::future::poll_fn(|cx| rest.poll_to_end(cx)).await;
                }
            });
        }
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(mut rest) = self.0.take() {
            let ending = if rest.core.cut.is_raised() { Ending::Drained } else { Ending::ClientLeft };
            rest.book(ending);
        }
    }
}

fn class_of(code: Option<&str>) -> FaultClass {
    match code.and_then(|code| code.parse::<u16>().ok()) {
        Some(429) => FaultClass::RateLimit,
        Some(401) => FaultClass::Authentication,
        Some(400) => FaultClass::BadRequest,
        Some(503) => FaultClass::ServiceUnavailable,
        _ if code == Some("rate_limit_exceeded") => FaultClass::RateLimit,
        _ => FaultClass::InternalServer,
    }
}

/// Reads what follows `[DONE]`, which is the end of the body, so that the connection can be used again.
fn read_to_end(core: &Rc<Core>, mut upstream: UpstreamBody) {
    const MOMENT: Duration = Duration::from_secs(1);
    if core.cut.is_raised() {
        return;
    }
    tokio::task::spawn_local(async move {
        let rest = async { while let Some(Ok(_)) = upstream.chunk().await {} };
        drop(tokio::time::timeout(MOMENT, rest).await);
    });
}
