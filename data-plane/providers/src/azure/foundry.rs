//! Models of Azure AI Foundry and Azure's serverless endpoints: `azure_ai/<model>`.

use dialects::{Dialect, Task};
use wire::Reply;

use super::{API_VERSION, AZURE_AD_TOKEN, CREDENTIALS, EXTRA_HEADERS};
use crate::address::{Address, AddressError, Base, Headers, ModelIn, base, headers, task_path};
use crate::description::{Defaults, Field, Kind, Quirks};
use crate::fault::Fault;
use crate::provider::{Provider, Target};
use crate::refusal::Rules;

const ID: &str = "azure_ai";

/// The version that Azure's model inference API is called with where none is configured.
const VERSION: &str = "2024-05-01-preview";

/// Foundry resources, which keep their models under `/models` and want a version.
const FOUNDRY_HOSTS: &str = ".services.ai.azure.com";

/// Hosts that read the key from a header of Azure's.
const KEY_HEADER_HOSTS: &[&str] = &[FOUNDRY_HOSTS, ".openai.azure.com", ".cognitiveservices.azure.com"];

const BASE_ENV: &[&str] = &["AZURE_AI_API_BASE"];

const KEY_ENV: &[&str] = &["AZURE_AI_API_KEY"];

const FIELDS: &[Field] = &[
    // Not required: a token does as well.
    Field { name: "api_key", kind: Kind::Secret, required: false, help: "The endpoint's key.", env: KEY_ENV },
    Field {
        name: "api_base",
        kind: Kind::Url,
        required: true,
        help: "The endpoint, such as https://name.services.ai.azure.com.",
        env: BASE_ENV,
    },
    // Azure OpenAI's variable is not for these endpoints.
    Field { env: &[], ..API_VERSION },
    AZURE_AD_TOKEN,
    EXTRA_HEADERS,
];

/// Azure AI Foundry.
pub(crate) struct AzureAi {
    defaults: Defaults,
    quirks: Quirks,
}

pub(crate) static AZURE_AI: AzureAi = AzureAi {
    defaults: Defaults {
        base: None,
        base_env: BASE_ENV,
        key_env: KEY_ENV,
        key_required: true,
        api_version: Some(VERSION),
    },
    quirks: Quirks { renames: &[], drops: &[], additions: &[], headers: &[], accepts_stream_usage: true },
};

impl Provider for AzureAi {
    fn id(&self) -> &'static str {
        ID
    }

    fn title(&self) -> &'static str {
        "Azure AI Foundry"
    }

    fn dialect(&self, task: Task) -> Option<Dialect> {
        match task {
            Task::Chat | Task::Embedding => Some(Dialect::OpenAi),
            Task::Completion => None,
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
        if self.dialect(task).is_none() {
            return Err(AddressError::TaskNotOffered { provider: ID, task });
        }
        let Some(configured) = target.api_base.filter(|base| !base.trim().is_empty()) else {
            return Err(AddressError::BaseMissing { provider: ID, env: BASE_ENV });
        };
        let base = Base::read(ID, configured)?;
        let configured_version = super::version(ID, target)?;
        let (path, version) = match base.path() {
            "" if under(base.host(), FOUNDRY_HOSTS) => ("/models", configured_version.or(Some(VERSION))),
            path @ "/models" if under(base.host(), FOUNDRY_HOSTS) => (path, configured_version.or(Some(VERSION))),
            path => (path, configured_version),
        };
        let version = version.filter(|_| !base.asks("api-version")).map(|version| format!("api-version={version}"));
        Ok(Address {
            uri: base.with_path(&base::ending(path, task_path(task)), version.as_deref())?,
            headers: credentials(target, base.host())?,
            shown_base: base.shown(),
            model_in: ModelIn::Body,
        })
    }

    fn explain(&self, refusal: &Reply) -> Fault {
        Rules::Compatible.explain(&self.exception(), refusal)
    }
}

/// Azure's own hosts read `api-key`, all others a bearer token.
fn credentials(target: &Target<'_>, host: &str) -> Result<http::HeaderMap, AddressError> {
    let mut collected = Headers::new(ID, &[]);
    match headers::given(target.api_key) {
        Some(key) if KEY_HEADER_HOSTS.iter().any(|domain| under(host, domain)) => collected.key("api-key", key)?,
        Some(key) => collected.bearer("api_key", key)?,
        None if super::token(&mut collected, target)? => {}
        None if headers::brings(target.extra_headers, CREDENTIALS) => {}
        None => return Err(AddressError::KeyMissing { provider: ID, env: KEY_ENV }),
    }
    collected.with_extra(target.extra_headers)
}

/// Whether `host` is a name under `domain`, which begins with a dot.
fn under(host: &str, domain: &str) -> bool {
    host.to_ascii_lowercase().ends_with(domain)
}
