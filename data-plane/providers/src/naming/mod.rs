//! Whose model a name means: `provider/model`, a known host, or a bare name such as `gpt-4o`.
//!
//! The order is LiteLLM's, so that a `model` line means the same provider in both. What a deployment's model is called
//! upstream is the provider's business.

mod bare;
mod catalogue;
mod not_yet;

use crate::provider::Provider;
use crate::table::{PROVIDERS, find};

/// A model with its provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named<'a> {
    /// Who serves it.
    pub provider: &'static dyn Provider,
    /// Its name without the provider's prefix; may hold slashes.
    pub model: &'a str,
}

/// Why no provider can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// Nobody is known by this name. The text begins as LiteLLM's, for those who search logs for it.
    #[error(
        "LLM Provider NOT provided. You passed model={model}, which begins with no provider's name and is no name of OpenAI's: write `provider/model`, for example `openai/{model}`."
    )]
    Unknown { model: String },
    /// LiteLLM knows this provider, Turnpike does not speak to it yet.
    #[error("provider `{provider}` is not built yet")]
    NotYet { provider: &'static str },
}

/// The provider and the upstream name that `model` of `litellm_params` means, beside the `api_base` and
/// `custom_llm_provider` of the same deployment.
///
/// # Errors
/// When nobody is known by that name, or when the one who is cannot be called yet.
pub fn infer<'a>(
    model: &'a str,
    api_base: Option<&str>,
    custom_llm_provider: Option<&str>,
) -> Result<Named<'a>, InferError> {
    if let Some(id) = custom_llm_provider.filter(|id| !id.is_empty()) {
        let bare = model.strip_prefix(id).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        let unknown = || Err(InferError::Unknown { model: format!("{id}/{bare}") });
        return by_id(id, bare).unwrap_or_else(unknown);
    }
    if let Some(rest) = serverless_at_azure(model, api_base) {
        return Ok(Named { provider: &crate::openai_compatible::vendors::OPENAI, model: rest });
    }
    if let Some((id, rest)) = model.split_once('/')
        && let Some(named) = by_id(id, rest)
    {
        return named;
    }
    if let Some(provider) = api_base.and_then(by_host) {
        return Ok(Named { provider, model });
    }
    let id = catalogue::provider(model).or_else(|| bare::provider(model));
    id.and_then(|id| by_id(id, model)).unwrap_or_else(|| Err(InferError::Unknown { model: model.to_owned() }))
}

/// Every provider name that may stand before the slash, served yet or not, for finding the nearest to a typo.
pub fn known_prefixes() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|provider| provider.id()).chain(not_yet::PREFIXES.iter().copied())
}

/// `None` where `id` is nobody's.
fn by_id<'a>(id: &str, model: &'a str) -> Option<Result<Named<'a>, InferError>> {
    if let Some(provider) = find(id) {
        let named = Named { provider, model };
        return Some(if model.is_empty() { Err(InferError::Unknown { model: format!("{id}/") }) } else { Ok(named) });
    }
    not_yet::find(id).map(|provider| Err(InferError::NotYet { provider }))
}

/// `azure/command-r…` and `azure/mistral…` at an address of their own are serverless endpoints, which speak plain OpenAI.
fn serverless_at_azure<'a>(model: &'a str, api_base: Option<&str>) -> Option<&'a str> {
    let rest = model.strip_prefix("azure/")?;
    let serverless = rest.starts_with("command-r") || rest.starts_with("mistral-");
    (serverless && api_base.is_some_and(|base| !base.contains(".openai.azure.com"))).then_some(rest)
}

/// The vendor whose own host `api_base` names.
fn by_host(api_base: &str) -> Option<&'static dyn Provider> {
    let host = host_of(api_base)?;
    let own_host = |provider: &&&'static dyn Provider| {
        provider.defaults().key_required && provider.defaults().base.and_then(host_of).is_some_and(|own| own == host)
    };
    PROVIDERS.iter().find(own_host).copied()
}

fn host_of(base: &str) -> Option<String> {
    base.trim().parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests;
