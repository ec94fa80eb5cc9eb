//! A deployment row as a snapshot resource: references resolved, credentials opened, the price looked up.
//!
//! What its members mean is `litellm_config`'s to say, for a row as for an entry of the file. What cannot be called
//! as configured is not published; the reason is logged here and shown by `/model/info`.

use std::time::Duration;

use litellm_config::reference::{Value as Text, resolve_all};
use proto::v1 as pb;
use serde_json::{Map, Value};

use super::{Deployment, Origin};
use crate::prices;
use crate::publish::resource::{Upsert, strings};
use crate::publish::sections::Sections;
use crate::publish::source::Source;

/// Resolves deployments against one moment's settings and environment.
pub(crate) struct Resolver<'a> {
    pub(super) source: &'a Source,
    pub(super) sections: &'a Sections,
}

/// Why a deployment cannot be called as configured. Names variables and members, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unavailable(pub(super) String);

impl<'a> Resolver<'a> {
    pub(crate) fn new(source: &'a Source, sections: &'a Sections) -> Self {
        Self { source, sections }
    }

    /// The resource, or a line in the log.
    pub(crate) fn publish(&self, row: &Deployment) -> Option<Upsert> {
        match self.resolve(row) {
            Ok(deployment) => {
                let untouched = row.created_at == row.updated_at;
                Some(Upsert::of(pb::resource::Body::Deployment(deployment), untouched))
            }
            Err(reason) => {
                let (id, model) = (&row.id, &row.model_name);
                match row.origin {
                    // Told at the start, with its line in the file.
                    Origin::File => tracing::debug!(deployment = id, model, %reason, "a deployment is left out"),
                    Origin::Api => tracing::warn!(deployment = id, model, %reason, "a deployment is left out"),
                }
                None
            }
        }
    }

    /// The deployment as data planes use it.
    pub(crate) fn resolve(&self, row: &Deployment) -> Result<pb::Deployment, Unavailable> {
        let params = row.opened(&self.source.vault).map_err(|error| Unavailable(error.to_string()))?;
        let params = self.with_credential(params)?;
        let look_up = |name: &str| self.sections.look_up(&self.source.environment, name);
        let (read, findings) = litellm_config::read_deployment(&row.model_name, &params, &row.model_info, &look_up);
        let Some(read) = read.into_iter().next() else {
            let problem = findings.into_iter().find(|finding| finding.severity == litellm_config::Severity::Error);
            let problem = problem.map(|finding| format!("{}: {}", finding.path, finding.problem));
            return Err(Unavailable(problem.unwrap_or_else(|| "its litellm_params are not understood".to_owned())));
        };
        if let Some(until) = read.unavailable {
            return Err(Unavailable(format!("it is left out until {until}")));
        }
        let text = |value: &Option<Text>| value.as_ref().and_then(|value| value.resolve(&look_up)).unwrap_or_default();
        let mut extra_headers = std::collections::BTreeMap::new();
        for (name, value) in &read.extra_headers {
            let value = value.resolve(&look_up);
            let value = value.ok_or_else(|| Unavailable(format!("the value of its header `{name}` is not set")))?;
            extra_headers.insert(name.clone(), value);
        }
        let (api_key, token) = (text(&read.api_key), text(&read.azure_ad_token));
        if api_key.is_empty() && !token.is_empty() {
            extra_headers.entry("authorization".to_owned()).or_insert_with(|| format!("Bearer {token}"));
        }
        let mut extra_body = resolved(&read.request_defaults, &look_up);
        extra_body.extend(resolved(&read.extra_body, &look_up));
        let (price, known_prices) =
            self.prices(read.provider, &read.upstream_model, read.base_model.as_deref(), &read.prices);
        Ok(pb::Deployment {
            id: row.id.clone(),
            model_name: row.model_name.clone(),
            provider: read.provider.to_owned(),
            upstream_model: read.upstream_model,
            api_base: text(&read.api_base),
            api_key,
            api_version: text(&read.api_version),
            organization: text(&read.organization),
            extra_headers,
            extra_body_json: match extra_body.is_empty() {
                true => String::new(),
                false => Value::Object(extra_body).to_string(),
            },
            mock: read.mock_response.is_some(),
            mock_response_json: read.mock_response.map(|value| value.to_string()).unwrap_or_default(),
            timeout_ms: read.timeout.map_or(0, milliseconds),
            stream_timeout_ms: read.stream_timeout.map_or(0, milliseconds),
            max_retries: read.max_retries.and_then(|count| i32::try_from(count).ok()).unwrap_or(-1),
            weight: read.weight.unwrap_or(0.0),
            rpm: read.rpm.unwrap_or(0),
            tpm: read.tpm.unwrap_or(0),
            tags: read.tags,
            access_groups: read.access_groups,
            team_id: read.team_id.unwrap_or_default(),
            team_public_model_name: read.team_public_model_name.unwrap_or_default(),
            blocked: row.blocked || read.blocked,
            mode: read.mode.unwrap_or_default(),
            price: Some(price),
            known_prices,
            litellm_model: read.litellm_model,
            drop_params: strings(params.get("additional_drop_params")),
            base_model: read.base_model.unwrap_or_default(),
            region: region(params.get("region_name"), &look_up),
        })
    }

    /// The params with what their `litellm_credential_name` stands for; what they say themselves comes first.
    pub(super) fn with_credential(&self, mut params: Map<String, Value>) -> Result<Map<String, Value>, Unavailable> {
        let named = match params.shift_remove("litellm_credential_name") {
            None | Some(Value::Null) => return Ok(params),
            Some(Value::String(named)) => Text::read(&named),
            Some(_) => return Err(Unavailable("litellm_params.litellm_credential_name: must be text".to_owned())),
        };
        let name = named.resolve(&|name| self.sections.look_up(&self.source.environment, name)).unwrap_or_default();
        let Some(credential) = self.sections.credential(&name) else {
            return Err(Unavailable(format!(
                "litellm_params.litellm_credential_name: there is no credential `{name}`. Make it with POST /credentials"
            )));
        };
        let values = credential.opened(&self.source.vault);
        let values = values.map_err(|error| Unavailable(format!("its credential `{name}`: {error}")))?;
        for (name, value) in values {
            if params.get(&name).is_none_or(Value::is_null) {
                params.insert(name, value);
            }
        }
        Ok(params)
    }

    /// The price of the deployment, and for a wildcard those of the models that it may stand for.
    fn prices(
        &self,
        provider: &str,
        upstream_model: &str,
        base_model: Option<&str>,
        own: &Map<String, Value>,
    ) -> (pb::Price, Vec<pb::NamedPrice>) {
        let table = self.source.prices;
        let listed = table.find(provider, upstream_model, base_model);
        if let Some(price) = prices::custom(own, &Map::new(), listed.as_ref()) {
            return (price, Vec::new());
        }
        let unknown = pb::Price { state: pb::PriceState::Unknown.into(), ..pb::Price::default() };
        let Some((before, after)) = upstream_model.split_once('*').filter(|_| base_model.is_none()) else {
            return (listed.unwrap_or(unknown), Vec::new());
        };
        let fits = |model: &str| model.strip_prefix(before).is_some_and(|rest| rest.ends_with(after));
        let known = table.of_provider(provider).filter(|(model, _)| fits(model));
        let known = known.map(|(model, price)| pb::NamedPrice { model: model.to_owned(), price: Some(price) });
        (unknown, known.collect())
    }
}

/// The members with their references resolved; those that resolve to nothing are left out.
fn resolved(members: &Map<String, Value>, look_up: &dyn Fn(&str) -> Option<String>) -> Map<String, Value> {
    let resolved = members.iter().map(|(name, value)| (name.clone(), resolve_all(value, look_up)));
    resolved.filter(|(_, value)| !value.is_null()).collect()
}

/// A duration of 0 means that none is set, so the shortest is one millisecond.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(1)
}
/// `region_name` as customers' regions are compared with it.
fn region(name: Option<&Value>, look_up: &dyn Fn(&str) -> Option<String>) -> String {
    let name = name.and_then(Value::as_str).and_then(|name| Text::read(name).resolve(look_up));
    name.map(|name| name.trim().to_ascii_lowercase()).unwrap_or_default()
}
