//! Whether a deployment that came through the API may be stored: by the rules of the file, and more strictly.
//!
//! What the file warns of and would still start with, such as a variable that is not set yet, is stored here too, and
//! served once it is set. A misspelt name is refused: nobody reads a log after a call to the API.

use litellm_config::Severity;
use proto::v1 as pb;
use providers::Target;
use serde_json::Value;

use super::Deployment;
use super::publish::{Resolver, Unavailable};

/// What answers show in a secret's place.
const MASK: &str = "***";

impl Resolver<'_> {
    /// Says what keeps a deployment, whose params are not sealed, from being stored. Names members, never values.
    pub(crate) fn check(&self, row: &Deployment) -> Result<(), Unavailable> {
        for (place, members) in [("litellm_params", &row.params), ("model_info", &row.model_info)] {
            if let Some((name, _)) = members.iter().find(|(_, value)| holds_mask(value)) {
                return Err(Unavailable(format!(
                    "{place}.{name}: `{MASK}` is shown in place of a secret and is none. Leave the member out to keep \
                     what is stored, or give its value"
                )));
            }
        }
        let params = self.with_credential(row.params.clone())?;
        let look_up = |name: &str| self.sections.look_up(&self.source.environment, name);
        let (read, findings) = litellm_config::read_deployment(&row.model_name, &params, &row.model_info, &look_up);
        let is_refused =
            |finding: &&litellm_config::Finding| finding.severity == Severity::Error || finding.is_misspelling();
        if let Some(finding) = findings.iter().find(is_refused) {
            let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            let place = if finding.path.is_empty() { "the model" } else { &finding.path };
            return Err(Unavailable(format!("{place}: {}{hint}", finding.problem)));
        }
        match read.as_slice() {
            [_] => {}
            [] => return Err(Unavailable("its litellm_params are not understood".to_owned())),
            [_, _, ..] => {
                return Err(Unavailable(
                    "litellm_params.organization: several organizations are several models here. Add one for each"
                        .to_owned(),
                ));
            }
        }
        match self.resolve(row) {
            Ok(published) => check_place(&published),
            // It waits for something, as an entry of the file may.
            Err(_) => Ok(()),
        }
    }
}

/// What a data plane would not be able to call.
fn check_place(published: &pb::Deployment) -> Result<(), Unavailable> {
    if published.mock {
        return match serde_json::from_str(&published.mock_response_json) {
            Ok(Value::String(_) | Value::Array(_) | Value::Object(_)) => Ok(()),
            _ => Err(Unavailable(
                "litellm_params.mock_response: must be a text, an object or a list, and is none".to_owned(),
            )),
        };
    }
    let Some(provider) = providers::find(&published.provider) else { return Ok(()) };
    let said = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    let (api_base, api_version, organization) =
        (said(&published.api_base), said(&published.api_version), said(&published.organization));
    let target = Target {
        model: &published.upstream_model,
        api_base: api_base.as_deref(),
        api_key: None,
        azure_ad_token: None,
        api_version: api_version.as_deref(),
        organization: organization.as_deref(),
        extra_headers: &published.extra_headers,
    };
    let tried = providers::try_addresses(provider, target, &published.api_key);
    tried.map_err(|error| Unavailable(format!("litellm_params: it cannot be called: {error}")))
}

/// Whether somebody sends back what an answer showed.
fn holds_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Array(items) => items.iter().any(holds_mask),
        Value::Object(members) => members.values().any(holds_mask),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
