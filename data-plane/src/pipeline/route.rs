//! The order in which candidates are tried. Trying them is `attempt`'s business.

use std::sync::Arc;
use std::time::Duration;

use super::authorize::Grant;
use super::decode::Call;
use crate::snapshot::{Deployment, Snapshot, StreamUsage, UnknownPrice};

/// LiteLLM's time limit for chat where nothing sets one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// What may be tried, how often, and how long each try may take.
pub(crate) struct Plan {
    pub(crate) candidates: Vec<Arc<Deployment>>,
    retries: Option<u32>,
    default_retries: u32,
    asked_timeout: Option<Duration>,
    asked_stream_timeout: Option<Duration>,
    router_timeout: Option<Duration>,
    router_stream_timeout: Option<Duration>,
    streams: bool,
    pub(crate) stream_usage: StreamUsage,
}

/// Why nobody can be tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("the price of model {model} is not known, and the admin set `on_unknown_price: deny`")]
    UnknownPrice { model: String },
}

/// Plans the call over the granted deployments, which move from the grant to the plan.
pub(crate) fn route(snapshot: &Snapshot, grant: &mut Grant, call: &Call) -> Result<Plan, RouteError> {
    let settings = &snapshot.settings;
    let mut candidates = std::mem::take(&mut grant.candidates);
    if settings.unknown_price == UnknownPrice::Deny {
        candidates.retain(|deployment| {
            let upstream = deployment.upstream_model_for(&grant.group);
            deployment.price_for(&upstream).state() != proto::v1::PriceState::Unknown
        });
        if candidates.is_empty() {
            return Err(RouteError::UnknownPrice { model: call.asked.clone() });
        }
    }
    let ms = |ms: Option<u64>| ms.map(Duration::from_millis);
    let setting = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(ms.into()));
    Ok(Plan {
        candidates,
        retries: call.request.num_retries,
        default_retries: settings.num_retries,
        asked_timeout: ms(call.request.timeout_ms),
        asked_stream_timeout: ms(call.request.stream_timeout_ms),
        router_timeout: setting(settings.timeout_ms),
        router_stream_timeout: setting(settings.stream_timeout_ms),
        streams: call.request.stream,
        stream_usage: settings.stream_usage,
    })
}

impl Plan {
    /// How often a failed call may be tried again: request, then deployment, then router.
    pub(crate) fn retries(&self, deployment: &Deployment) -> u32 {
        const MOST: u32 = 10;
        self.retries.or(deployment.max_retries).unwrap_or(self.default_retries).min(MOST)
    }

    /// How long to wait for an answer to begin (llm_path.md 4.10).
    pub(crate) fn timeout(&self, deployment: &Deployment) -> Duration {
        let for_streams = || {
            self.asked_stream_timeout
                .or(self.asked_timeout)
                .or(deployment.stream_timeout)
                .or(self.router_stream_timeout)
        };
        let usual = || self.asked_timeout.or(deployment.timeout).or(self.router_timeout);
        let chosen = if self.streams { for_streams().or_else(usual) } else { usual() };
        chosen.filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT)
    }
}
