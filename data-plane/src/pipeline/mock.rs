//! Answers that no provider gives: `mock_response` of a deployment, or of a caller who may.
//!
//! They are opened, closed and priced like any other, so that what works with a mock works with a provider.

use std::sync::Arc;

use dialects::openai::mock::{self, MockFault, MockResponse};
use proto::v1::Ending;
use providers::FaultClass;

use super::attempt::{Answer, Attempts, Came, Content, Failure};
use super::settle::{Observed, Settlement, Target};
use super::stream::StreamRelay;
use crate::error::ProxyError;
use crate::snapshot::Deployment;

impl Attempts<'_> {
    /// The answer that a caller with the right to asked for.
    pub(super) fn client_mock(&self) -> Option<MockResponse> {
        let range = self.call.request.mock_response.clone()?;
        MockResponse::read(self.call.body.get(range)?)
    }

    /// Gives the configured answer; it is opened, closed and priced like any other.
    pub(super) fn mock(
        &self,
        deployment: &Arc<Deployment>,
        asked: &str,
        attempt: u32,
        mock: &MockResponse,
    ) -> Result<Result<Answer, Failure>, ProxyError> {
        if let MockResponse::Fault(fault) = mock {
            let class = match fault {
                MockFault::RateLimit => FaultClass::RateLimit,
                MockFault::ContextWindowExceeded => FaultClass::ContextWindowExceeded,
                MockFault::ContentPolicy(_) => FaultClass::ContentPolicyViolation,
                MockFault::InternalServer | MockFault::Stream(_) => FaultClass::InternalServer,
            };
            return Ok(Err(self.fault(deployment, class, fault.message())));
        }
        let target = Target { deployment, upstream_model: asked, shown_base: "", attempt };
        let settlement = Settlement::open(self.core, self.permit, self.call, target, self.presence)?;
        let (task, model) = (self.call.task, self.call.asked.as_str());
        let id = format!("chatcmpl-{}", self.call.call_id);
        let created = u64::try_from(self.core.gateway.clock.now_ms() / 1_000).unwrap_or(0);
        let content = match self.call.request.stream {
            true => {
                let events = mock::stream(task, model, &id, created, mock, Some(mock::PROMPT_TOKENS));
                let terms = self.terms(deployment);
                Content::Stream(StreamRelay::of_events(self.core, terms, events, settlement, self.presence))
            }
            false => {
                let body = mock::answer(task, model, &id, created, mock, mock::PROMPT_TOKENS);
                let answer = dialects::openai::answer::read(&body).unwrap_or_default();
                let observed = Observed { usage: answer.usage, answer_id: answer.id, ..Observed::default() };
                Content::Whole { body, cost: settlement.close(Ending::Complete, observed) }
            }
        };
        Ok(Ok(self.answer(deployment, attempt, Came::default(), content)))
    }
}
