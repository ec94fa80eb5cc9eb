//! Trying the plan: one deployment after another until one answers or none may be tried any more.
//!
//! Every try is opened and closed in the ledger by itself. Nothing is tried again after the first byte.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialects::openai::request::{self, Upstream as Rewrite};
use dialects::splice::Pieces;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use proto::price::Cost;
use proto::v1::Ending;
use providers::{Fault, FaultClass, Retry};

use super::admit::Permit;
use super::decode::Call;
use super::detach::Presence;
use super::route::Plan;
use super::settle::{Observed, Settlement, Target};
use super::stream::{StreamRelay, Terms};
use crate::error::ProxyError;
use crate::gateway::Core;
use crate::routing::shuffle;
use crate::snapshot::models::Place;
use crate::snapshot::{Deployment, StreamUsage};
use crate::telemetry::metrics;
use crate::transport::{TransportError, Upstream, UpstreamBody, collect};

/// An answer in one piece may be no larger.
const MAX_ANSWER_BYTES: usize = 100 << 20;
/// A refusal is read no further.
const MAX_REFUSAL_BYTES: usize = 1 << 20;

/// What a deployment answered, ready to be relayed.
pub(crate) struct Answer {
    pub(crate) group: String,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) shown_base: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    pub(crate) retries: u32,
    pub(crate) max_retries: u32,
    pub(crate) began: Instant,
    pub(crate) upstream: Duration,
    pub(crate) content: Content,
}

/// An answer in one piece, already booked, or in pieces.
pub(crate) enum Content {
    Whole { body: Bytes, cost: Cost },
    Stream(Box<StreamRelay>),
}

/// Why no deployment answered: what the last one said.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct AttemptError {
    pub(crate) class: FaultClass,
    message: String,
    pub(crate) group: String,
    pub(crate) deployment: Option<Arc<Deployment>>,
    pub(crate) headers: HeaderMap,
    pub(crate) retries: u32,
    pub(crate) max_retries: u32,
    pub(crate) retry_after: Option<Duration>,
}

/// One failed try.
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) headers: HeaderMap,
}

/// The head of an answer, as the provider sent it.
#[derive(Default)]
pub(super) struct Came {
    shown_base: Option<HeaderValue>,
    headers: HeaderMap,
    after: Duration,
}

/// What all tries of a call share.
pub(super) struct Attempts<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) permit: &'a Rc<Permit>,
    pub(super) call: &'a Rc<Call>,
    plan: &'a Plan,
    pub(super) presence: &'a Presence,
    began: Instant,
    stream_usage: StreamUsage,
}

/// Tries the plan.
pub(crate) async fn attempt(
    core: &Rc<Core>,
    plan: &Plan,
    permit: &Rc<Permit>,
    call: &Rc<Call>,
    presence: &Presence,
) -> Result<Answer, ProxyError> {
    let began = Instant::now();
    let attempts = Attempts { core, permit, call, plan, presence, began, stream_usage: plan.stream_usage };
    let mut failed: Vec<Arc<Deployment>> = Vec::new();
    for attempt in 0_u32.. {
        let Some(deployment) = choose(core, plan, &failed) else { break };
        let failure = match attempts.once(&deployment, attempt).await? {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let retries = plan.retries(&deployment);
        let others = plan.candidates.iter().any(|other| !Arc::ptr_eq(other, &deployment) && !was_tried(&failed, other));
        if attempt >= retries || presence.is_gone() || !may_retry(failure.fault.class, plan.candidates.len()) {
            return Err(given_up(failure, permit, deployment, attempt, retries));
        }
        metrics::retry();
        if !others {
            tokio::time::sleep(pause(core, attempt, failure.fault.retry_after)).await;
        }
        if presence.is_gone() || core.cut.is_raised() {
            return Err(given_up(failure, permit, deployment, attempt, retries));
        }
        failed.push(deployment);
    }
    Err(ProxyError::NotFound(format!("no deployment of `{}` could be tried", call.asked)))
}

/// One that was not tried yet; where all were, any.
fn choose(core: &Rc<Core>, plan: &Plan, failed: &[Arc<Deployment>]) -> Option<Arc<Deployment>> {
    if let [only] = plan.candidates.as_slice() {
        return Some(Arc::clone(only));
    }
    let fresh: Vec<&Arc<Deployment>> = plan.candidates.iter().filter(|other| !was_tried(failed, other)).collect();
    let all: Vec<&Arc<Deployment>> = plan.candidates.iter().collect();
    let among = if fresh.is_empty() { all } else { fresh };
    core.random(|random| shuffle::pick(&among, random).cloned())
}

fn was_tried(failed: &[Arc<Deployment>], deployment: &Arc<Deployment>) -> bool {
    failed.iter().any(|tried| Arc::ptr_eq(tried, deployment))
}

/// LiteLLM's rules (llm_path.md 3.7): what may do better elsewhere needs an elsewhere.
fn may_retry(class: FaultClass, candidates: usize) -> bool {
    match class.retry() {
        Retry::Never => false,
        Retry::Elsewhere => candidates > 1,
        Retry::Anywhere => true,
    }
}

/// How long to wait before the only deployment is asked again.
fn pause(core: &Rc<Core>, attempt: u32, retry_after: Option<Duration>) -> Duration {
    const LONGEST: Duration = Duration::from_secs(8);
    let jitter = core.random(rand::RngExt::random::<f64>);
    let asked = retry_after.filter(|after| !after.is_zero() && *after <= Duration::from_secs(60));
    let base = asked.unwrap_or_else(|| Duration::from_millis(500).saturating_mul(1 << attempt.min(5)).min(LONGEST));
    base + Duration::from_millis(750).mul_f64(jitter)
}

fn given_up(failure: Failure, permit: &Permit, deployment: Arc<Deployment>, attempt: u32, retries: u32) -> ProxyError {
    let Failure { fault, headers } = failure;
    let message = match attempt {
        0 => fault.message,
        _ => format!("{} LiteLLM Retried: {attempt} times, LiteLLM Max Retries: {retries}", fault.message),
    };
    ProxyError::Attempt(Box::new(AttemptError {
        class: fault.class,
        message,
        group: permit.grant.group.clone(),
        deployment: Some(deployment),
        headers,
        retries: attempt,
        max_retries: retries,
        retry_after: fault.retry_after,
    }))
}

impl Attempts<'_> {
    /// One try. The outer error ends the call, the inner one may be retried.
    async fn once(&self, deployment: &Arc<Deployment>, attempt: u32) -> Result<Result<Answer, Failure>, ProxyError> {
        let asked = deployment.upstream_model_for(&self.permit.grant.group);
        let model = deployment.provider.upstream_model(&asked);
        let made;
        let upstream = match &deployment.place {
            Place::Mock(mock) => return self.mock(deployment, &asked, attempt, mock),
            Place::Fixed(upstreams) => upstreams.get(Place::slot(self.call.task)).and_then(Option::as_ref),
            Place::Wildcard(endpoint) => {
                let address = deployment.provider.address(&endpoint.target(&asked), self.call.task);
                made = address
                    .map_err(|error| error.to_string())
                    .and_then(|address| Upstream::new(address).map_err(|error| error.to_string()));
                match &made {
                    Ok(upstream) => Some(upstream),
                    Err(error) => return Ok(Err(self.fault(deployment, FaultClass::BadRequest, error))),
                }
            }
        };
        let Some(upstream) = upstream else {
            let (title, route) = (deployment.provider.title(), self.call.task.route());
            let text = format!("{title} does not offer {route}");
            return Ok(Err(self.fault(deployment, FaultClass::BadRequest, &text)));
        };
        if let Some(mock) = self.client_mock() {
            return self.mock(deployment, &asked, attempt, &mock);
        }
        let target = Target { deployment, upstream_model: &asked, shown_base: upstream.shown_base(), attempt };
        let settlement = Settlement::open(self.core, self.permit, self.call, target, self.presence)?;
        let body = self.encode(deployment, upstream, &model);
        Ok(self.send(deployment, upstream, body, attempt, settlement).await)
    }

    fn encode(&self, deployment: &Deployment, upstream: &Upstream, model: &str) -> Pieces {
        let quirks = deployment.provider.quirks();
        let rewrite = Rewrite {
            model: upstream.names_model().then_some(model),
            ask_usage: quirks.accepts_stream_usage && self.stream_usage != StreamUsage::LeaveAlone,
            drops: &deployment.all_drops,
            renames: quirks.renames,
            defaults: &deployment.defaults,
        };
        request::encode_pieces(&self.call.body, &self.call.request, &rewrite)
    }

    async fn send(
        &self,
        deployment: &Arc<Deployment>,
        upstream: &Upstream,
        body: Pieces,
        attempt: u32,
        settlement: Settlement,
    ) -> Result<Answer, Failure> {
        let sent = Instant::now();
        let timeout = self.plan.timeout(deployment);
        let reply = match self.core.transport.send(upstream, body, timeout).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.transport_failure(deployment, &error, settlement)),
        };
        let (head, mut body) = reply.into_parts();
        if !head.status.is_success() {
            let text = collect(&mut body, MAX_REFUSAL_BYTES, timeout).await.unwrap_or_default();
            return Err(self.refused(deployment, head.status, head.headers, text, settlement));
        }
        // Some send events under no type, or a wrong one; a whole answer calls itself JSON.
        let is_stream = self.call.request.stream && !is_json(&head.headers);
        let taken = match is_stream {
            true => self.stream(deployment, body, settlement).await,
            false => self.whole(deployment, &mut body, settlement, timeout).await,
        };
        let content = taken.map_err(|mut failure| {
            failure.headers = head.headers.clone();
            failure
        })?;
        let came = Came { shown_base: upstream.base_header(), headers: head.headers, after: sent.elapsed() };
        Ok(self.answer(deployment, attempt, came, content))
    }

    /// Reads an answer in one piece, books it, and puts the client's name of the model into it.
    async fn whole(
        &self,
        deployment: &Deployment,
        body: &mut UpstreamBody,
        settlement: Settlement,
        timeout: Duration,
    ) -> Result<Content, Failure> {
        let bytes = match collect(body, MAX_ANSWER_BYTES, timeout).await {
            Ok(bytes) => bytes,
            Err(error) => {
                // The provider answered, so it may charge: what we can count is booked, not forgotten.
                let ending = match error {
                    TransportError::Timeout { .. } => Ending::UpstreamStalled,
                    _ => Ending::UpstreamCut,
                };
                let failure = self.fault(deployment, class_of(&error), &error.to_string());
                settlement.break_off(ending, Observed::default(), &failure.fault);
                return Err(failure);
            }
        };
        let answer = match dialects::openai::answer::read(&bytes) {
            Ok(answer) => answer,
            Err(_not_json) => {
                let said = dialects::openai::fault::read_upstream(&bytes).message;
                let failure =
                    self.fault(deployment, FaultClass::BadGateway, &format!("the answer is not JSON: {said}"));
                settlement.refuse(502, &failure.fault);
                return Err(failure);
            }
        };
        if let Some(error) = &answer.error
            && answer.usage.is_none()
        {
            let failure = self.fault(deployment, FaultClass::InternalServer, &error.message);
            settlement.refuse(failure.fault.class.status(), &failure.fault);
            return Err(failure);
        }
        let observed = Observed {
            estimated_completion: match answer.usage {
                Some(_) => 0,
                None => dialects::openai::answer::estimate_completion_tokens(&bytes),
            },
            usage: answer.usage.clone(),
            answer_id: answer.id.clone(),
            service_tier: answer.service_tier.clone(),
        };
        let cost = settlement.close(Ending::Complete, observed);
        Ok(Content::Whole { body: dialects::openai::answer::with_model(&bytes, &answer, &self.call.asked), cost })
    }

    /// Waits for the first event that a client may see: an error before it is an error with a status.
    async fn stream(
        &self,
        deployment: &Arc<Deployment>,
        body: UpstreamBody,
        settlement: Settlement,
    ) -> Result<Content, Failure> {
        let relay = StreamRelay::begin(self.core, self.terms(deployment), body, settlement, self.presence);
        match relay.first(self.plan.timeout(deployment)).await {
            Ok(relay) => Ok(Content::Stream(relay)),
            Err(fault) => Err(Failure { fault, headers: HeaderMap::new() }),
        }
    }

    pub(super) fn terms(&self, deployment: &Arc<Deployment>) -> Terms {
        let is_asked = self.call.request.include_usage == Some(true);
        let is_shown = is_asked || self.stream_usage == StreamUsage::AskShow;
        let options = dialects::openai::stream::Options {
            model: Some(self.call.asked.clone()),
            hide_usage: !is_shown && self.stream_usage == StreamUsage::AskHide,
        };
        Terms { options, deployment: Arc::clone(deployment), pause: self.plan.timeout(deployment) }
    }

    fn refused(
        &self,
        deployment: &Deployment,
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        settlement: Settlement,
    ) -> Failure {
        let fault = deployment.provider.explain(&wire::Reply { status, headers: headers.clone(), body });
        let fault = deployment.hidden(fault);
        settlement.refuse(fault.class.status(), &fault);
        Failure { fault, headers }
    }

    fn transport_failure(&self, deployment: &Deployment, error: &TransportError, settlement: Settlement) -> Failure {
        let failure = self.fault(deployment, class_of(error), &error.to_string());
        match error {
            TransportError::Connect { .. } => {
                settlement.refuse(failure.fault.class.status(), &failure.fault);
            }
            // The call was sent: nobody can say that the provider did not work on it.
            TransportError::Timeout { .. } => {
                settlement.break_off(Ending::UpstreamStalled, Observed::default(), &failure.fault);
            }
            TransportError::Broken(_) | TransportError::TooLarge { .. } => {
                settlement.break_off(Ending::UpstreamCut, Observed::default(), &failure.fault);
            }
        }
        failure
    }

    pub(super) fn fault(&self, deployment: &Deployment, class: FaultClass, text: &str) -> Failure {
        Failure { fault: deployment.fault(class, text), headers: HeaderMap::new() }
    }

    pub(super) fn answer(&self, deployment: &Arc<Deployment>, retries: u32, came: Came, content: Content) -> Answer {
        Answer {
            group: self.permit.grant.group.clone(),
            deployment: Arc::clone(deployment),
            shown_base: came.shown_base,
            headers: came.headers,
            retries,
            max_retries: self.plan.retries(deployment),
            began: self.began,
            upstream: came.after,
            content,
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/json")
}

fn class_of(error: &TransportError) -> FaultClass {
    match error {
        TransportError::Timeout { .. } => FaultClass::Timeout,
        TransportError::Connect { source, .. } if source.kind() == std::io::ErrorKind::TimedOut => FaultClass::Timeout,
        TransportError::Connect { .. } | TransportError::Broken(_) | TransportError::TooLarge { .. } => {
            FaultClass::ApiConnection
        }
    }
}
