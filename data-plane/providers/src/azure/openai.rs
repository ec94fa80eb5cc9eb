//! Azure OpenAI: `azure/<deployment>`.

use std::borrow::Cow;

use dialects::{Dialect, Task};
use wire::Reply;

use super::{API_VERSION, AZURE_AD_TOKEN, CREDENTIALS, EXTRA_HEADERS};
use crate::address::{Address, AddressError, Base, Headers, ModelIn, base, headers, is_segment, task_path};
use crate::description::{Defaults, Field, Kind, Quirks};
use crate::fault::Fault;
use crate::provider::{Provider, Target};
use crate::refusal::Rules;

const ID: &str = "azure";

/// LiteLLM's default.
const VERSION: &str = "2025-02-01-preview";

/// Versions that stand for the API without deployment URLs.
const PLAIN_VERSIONS: &[&str] = &["v1", "latest", "preview"];

const DEPLOYMENTS: &str = "/openai/deployments";

const PLAIN: &str = "/openai/v1";

const BASE_ENV: &[&str] = &["AZURE_API_BASE"];

const KEY_ENV: &[&str] = &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"];

/// Hints to LiteLLM about a deployment's model family; no part of its name.
const FAMILY_HINTS: &[&str] = &["o_series/", "gpt5_series/"];

const FIELDS: &[Field] = &[
    // Not required: a token does as well.
    Field { name: "api_key", kind: Kind::Secret, required: false, help: "The resource's key.", env: KEY_ENV },
    Field {
        name: "api_base",
        kind: Kind::Url,
        required: true,
        help: "The resource's endpoint, such as https://name.openai.azure.com.",
        env: BASE_ENV,
    },
    API_VERSION,
    AZURE_AD_TOKEN,
    EXTRA_HEADERS,
];

/// Azure OpenAI.
pub(crate) struct AzureOpenAi {
    defaults: Defaults,
    quirks: Quirks,
}

pub(crate) static AZURE: AzureOpenAi = AzureOpenAi {
    defaults: Defaults {
        base: None,
        base_env: BASE_ENV,
        key_env: KEY_ENV,
        key_required: true,
        api_version: Some(VERSION),
    },
    quirks: Quirks { renames: &[], drops: &[], additions: &[], headers: &[], accepts_stream_usage: true },
};

impl Provider for AzureOpenAi {
    fn id(&self) -> &'static str {
        ID
    }

    fn title(&self) -> &'static str {
        "Azure OpenAI"
    }

    fn dialect(&self, task: Task) -> Option<Dialect> {
        match task {
            Task::Chat | Task::Completion | Task::Embedding => Some(Dialect::OpenAi),
        }
    }

    fn fields(&self) -> &[Field] {
        FIELDS
    }

    fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    fn address(&self, target: &Target<'_>, task: Task) -> Result<Address, AddressError> {
        let Some(configured) = target.api_base.filter(|base| !base.trim().is_empty()) else {
            return Err(AddressError::BaseMissing { provider: ID, env: BASE_ENV });
        };
        let base = Base::read(ID, configured)?;
        let version = super::version(ID, target)?;
        let headers = credentials(target)?;
        let shown_base = base.shown();
        if speaks_plainly(&base, version) {
            let path = base.path().strip_suffix("/openai").unwrap_or(base.path());
            let path = if path.contains(PLAIN) { path.to_owned() } else { format!("{path}{PLAIN}") };
            let uri = base.with_path(&base::ending(&path, task_path(task)), None)?;
            return Ok(Address { uri, headers, shown_base, model_in: ModelIn::Body });
        }
        let path = deployment_path(base.path(), &self.upstream_model(target.model))?;
        let version = format!("api-version={}", version.unwrap_or(VERSION));
        let version = (!base.asks("api-version")).then_some(version.as_str());
        let uri = base.with_path(&base::ending(&path, task_path(task)), version)?;
        Ok(Address { uri, headers, shown_base, model_in: ModelIn::Path })
    }

    fn upstream_model<'a>(&self, model: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(FAMILY_HINTS.iter().find_map(|hint| model.strip_prefix(hint)).unwrap_or(model))
    }

    fn explain(&self, refusal: &Reply) -> Fault {
        Rules::Azure.explain(&self.exception(), refusal)
    }
}

/// Whether this is the API without deployment URLs, by its version or because the base says so itself.
fn speaks_plainly(base: &Base<'_>, version: Option<&str>) -> bool {
    if base.path().contains(DEPLOYMENTS) {
        return false;
    }
    match version {
        Some(version) => PLAIN_VERSIONS.contains(&version),
        None => base.path().ends_with(PLAIN),
    }
}

/// The path up to the task's. A base that names a deployment stays as it is.
fn deployment_path(path: &str, model: &str) -> Result<String, AddressError> {
    let named = path.split_once(DEPLOYMENTS).is_some_and(|(_, rest)| !rest.trim_matches('/').is_empty());
    if named {
        return Ok(path.to_owned());
    }
    if !is_segment(model) {
        let problem = "must be a deployment's name: letters, digits, `-`, `_`, `.` and `~`";
        return Err(AddressError::Value { provider: ID, field: "model", problem });
    }
    let resource = path.strip_suffix(DEPLOYMENTS).or_else(|| path.strip_suffix("/openai")).unwrap_or(path);
    Ok(format!("{resource}{DEPLOYMENTS}/{model}"))
}

/// A key wins over a token, a credential among the deployment's own headers does for both.
fn credentials(target: &Target<'_>) -> Result<http::HeaderMap, AddressError> {
    let mut collected = Headers::new(ID, &[]);
    match headers::given(target.api_key) {
        Some(key) => collected.key("api-key", key)?,
        None if super::token(&mut collected, target)? => {}
        None if headers::brings(target.extra_headers, CREDENTIALS) => {}
        None => return Err(AddressError::KeyMissing { provider: ID, env: KEY_ENV }),
    }
    collected.with_extra(target.extra_headers)
}
