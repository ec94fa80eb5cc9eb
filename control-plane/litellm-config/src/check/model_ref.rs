//! `litellm_params.model`: who serves it, and under which name.
//!
//! All questions to the tables of providers are asked here.

use providers::{InferError, Provider};

use super::names::{did_you_mean, nearest};

/// A model whose provider is known.
#[derive(Clone, Copy)]
pub(crate) struct ModelRef<'a> {
    pub(crate) provider: &'static dyn Provider,
    /// The model's name after the provider's prefix.
    pub(crate) upstream: &'a str,
}

/// Why there is none, in words for a finding.
pub(crate) struct Unresolved {
    pub(crate) problem: String,
    pub(crate) hint: String,
}

/// The provider that `model` names, beside the other two parameters that may name it.
pub(crate) fn resolve<'a>(
    model: &'a str,
    api_base: Option<&str>,
    custom_llm_provider: Option<&str>,
) -> Result<ModelRef<'a>, Unresolved> {
    match providers::infer(model, api_base, custom_llm_provider) {
        Ok(named) => Ok(ModelRef { provider: named.provider, upstream: named.model }),
        Err(InferError::NotYet { provider }) => Err(Unresolved {
            problem: format!("the provider `{provider}` is not built yet"),
            hint: "remove the deployment, or reach the model through an OpenAI-compatible endpoint as `openai/…` with its `api_base`".to_owned(),
        }),
        Err(InferError::Unknown { .. }) => Err(unknown(model, custom_llm_provider)),
    }
}

fn unknown(model: &str, custom_llm_provider: Option<&str>) -> Unresolved {
    let named = custom_llm_provider.or_else(|| model.split_once('/').map(|(prefix, _)| prefix));
    match named {
        Some(prefix) => Unresolved {
            problem: format!("no provider is called `{prefix}`"),
            hint: match nearest(prefix, providers::known_prefixes()) {
                Some(known) => did_you_mean(known),
                None => "write `provider/model`; any OpenAI-compatible server is `openai/<model>` with its `api_base`"
                    .to_owned(),
            },
        },
        None => Unresolved {
            problem: format!("the name `{model}` does not say which provider serves it"),
            hint: format!("write `provider/model`, for example `openai/{model}`"),
        },
    }
}
