//! A deployment's message to a deployment: its addresses are made here, once, not on the way of a call.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use dialects::Task;
use dialects::openai::mock::MockResponse;
use http::HeaderValue;
use proto::v1 as pb;
use providers::Target;

use super::Deployment;
use super::decode::{boxed, some};
use super::models::{Endpoint, Place, Share, Shown};
use crate::transport::Upstream;

/// Reads one, or says what of it this data plane cannot use.
pub(super) fn deployment_of(deployment: pb::Deployment) -> Result<Deployment, String> {
    let provider = providers::find(&deployment.provider)
        .ok_or_else(|| format!("this data plane does not know the provider `{}`", deployment.provider))?;
    let place = place_of(&deployment, provider)?;
    let mut defaults = match deployment.extra_body_json.as_str() {
        "" => Vec::new(),
        text => members(text)?,
    };
    let quirks = provider.quirks();
    defaults.extend(
        quirks
            .additions
            .iter()
            .map(|addition| (addition.name.to_owned(), Bytes::from_static(addition.json.as_bytes()))),
    );
    let all_drops = quirks.drops.iter().copied().map(Cow::Borrowed);
    let all_drops = all_drops.chain(deployment.drop_params.into_iter().map(Cow::Owned)).collect();
    let shown = |text: &str| HeaderValue::try_from(text).ok();
    Ok(Deployment {
        shown: Shown {
            id: shown(&deployment.id),
            model_name: shown(&deployment.model_name),
            litellm_model: shown(&deployment.litellm_model),
        },
        place,
        defaults,
        id: deployment.id.into(),
        model_name: deployment.model_name.into(),
        provider,
        upstream_model: deployment.upstream_model.into(),
        litellm_model: deployment.litellm_model.into(),
        all_drops,
        api_key: Some(deployment.api_key).filter(|key| !key.is_empty()).map(wire::Secret::new),
        timeout: millis(deployment.timeout_ms),
        stream_timeout: millis(deployment.stream_timeout_ms),
        max_retries: u32::try_from(deployment.max_retries).ok(),
        share: Share { weight: deployment.weight, rpm: deployment.rpm, tpm: deployment.tpm },
        access_groups: boxed(deployment.access_groups),
        team_id: some(deployment.team_id),
        team_public_model_name: some(deployment.team_public_model_name),
        blocked: deployment.blocked,
        region: some(deployment.region),
        price: deployment.price.unwrap_or_default(),
        known_prices: deployment
            .known_prices
            .into_iter()
            .filter_map(|named| Some((named.model, named.price?)))
            .collect(),
    })
}

fn place_of(deployment: &pb::Deployment, provider: &'static dyn providers::Provider) -> Result<Place, String> {
    if deployment.mock {
        let mock = MockResponse::read(deployment.mock_response_json.as_bytes());
        return mock.map(Place::Mock).ok_or_else(|| "mock_response is neither a text, an object nor a list".to_owned());
    }
    let endpoint = Endpoint {
        api_base: Some(deployment.api_base.clone()).filter(|base| !base.is_empty()),
        api_key: Some(deployment.api_key.clone()).filter(|key| !key.is_empty()).map(wire::Secret::new),
        api_version: Some(deployment.api_version.clone()).filter(|version| !version.is_empty()),
        organization: Some(deployment.organization.clone()).filter(|name| !name.is_empty()),
        extra_headers: deployment.extra_headers.clone(),
    };
    if deployment.upstream_model.contains('*') {
        return Ok(Place::Wildcard(Box::new(endpoint)));
    }
    let target = endpoint.target(&deployment.upstream_model);
    let mut addresses = [None, None, None];
    for task in [Task::Chat, Task::Completion, Task::Embedding] {
        if provider.dialect(task).is_some() {
            let address = provider.address(&target, task).map_err(|error| error.to_string())?;
            let upstream = Upstream::new(address).map_err(|error| error.to_string())?;
            if let Some(slot) = addresses.get_mut(Place::slot(task)) {
                *slot = Some(upstream);
            }
        }
    }
    Ok(Place::Fixed(Box::new(addresses)))
}

impl Endpoint {
    pub(crate) fn target<'a>(&'a self, model: &'a str) -> Target<'a> {
        Target {
            model,
            api_base: self.api_base.as_deref(),
            api_key: self.api_key.as_ref(),
            azure_ad_token: None,
            api_version: self.api_version.as_deref(),
            organization: self.organization.as_deref(),
            extra_headers: &self.extra_headers,
        }
    }
}

/// The members of a JSON object with their values as text.
fn members(text: &str) -> Result<Vec<(String, Bytes)>, String> {
    let members: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(text).map_err(|error| format!("extra_body: {error}"))?;
    Ok(members.into_iter().map(|(name, value)| (name, Bytes::from(value.get().to_owned()))).collect())
}

fn millis(ms: u32) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(u64::from(ms)))
}
