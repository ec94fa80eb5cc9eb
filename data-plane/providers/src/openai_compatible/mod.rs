//! The provider that is data: everybody whose API is OpenAI's under another address.
//!
//! `vendors`, `servers` and `described` hold one constant per provider; `models` the few who spell model names their
//! own way. What cannot be said as data (Azure's addresses) is a provider of its own elsewhere.

pub(crate) mod described;
mod models;
pub(crate) mod servers;
pub(crate) mod vendors;

use std::borrow::Cow;

use dialects::{Dialect, Task};
use wire::Reply;

use crate::address::{Address, AddressError, Base, Headers, ModelIn, base, headers, task_path};
use crate::description::{Addition, Defaults, Field, HeaderDefault, Kind, Quirks};
use crate::fault::Fault;
use crate::provider::{Provider, Target};
use crate::refusal::Rules;

/// What keyless servers are sent as a key, since some clients and proxies insist on one.
const PLACEHOLDER_KEY: &str = "no-key-needed";

/// A provider that speaks OpenAI.
pub(crate) struct OpenAiCompatible {
    id: &'static str,
    title: &'static str,
    tasks: &'static [Task],
    base_ends: BaseEnds,
    model_names: ModelNames,
    /// A header that carries the key beside `Authorization`.
    second_key_header: Option<&'static str>,
    rules: Rules,
    defaults: Defaults,
    quirks: Quirks,
    fields: [Field; 4],
}

/// What a base address must end in before a task's path is added.
#[derive(Clone, Copy)]
enum BaseEnds {
    /// As configured.
    AsGiven,
    /// In `/v1`, which is added where it is missing.
    InV1,
}

/// How model names are spelled.
#[derive(Clone, Copy)]
enum ModelNames {
    AsGiven,
    Fireworks,
    HuggingFace,
}

/// A vendor with an address of its own, who wants a key there.
const fn vendor(
    id: &'static str,
    title: &'static str,
    base: &'static str,
    key_env: &'static [&'static str],
    base_env: &'static [&'static str],
) -> OpenAiCompatible {
    OpenAiCompatible::new(
        id,
        title,
        Defaults { base: Some(base), base_env, key_env, key_required: true, api_version: None },
    )
}

/// A server that people run themselves, at a well-known local address, usually without a key.
const fn local(
    id: &'static str,
    title: &'static str,
    base: &'static str,
    key_env: &'static [&'static str],
    base_env: &'static [&'static str],
) -> OpenAiCompatible {
    OpenAiCompatible::new(
        id,
        title,
        Defaults { base: Some(base), base_env, key_env, key_required: false, api_version: None },
    )
}

/// Somebody whose address every deployment must name.
const fn anywhere(
    id: &'static str,
    title: &'static str,
    key_env: &'static [&'static str],
    base_env: &'static [&'static str],
) -> OpenAiCompatible {
    OpenAiCompatible::new(id, title, Defaults { base: None, base_env, key_env, key_required: false, api_version: None })
}

impl OpenAiCompatible {
    const fn new(id: &'static str, title: &'static str, defaults: Defaults) -> Self {
        Self {
            id,
            title,
            tasks: &[Task::Chat, Task::Completion, Task::Embedding],
            base_ends: BaseEnds::AsGiven,
            model_names: ModelNames::AsGiven,
            second_key_header: None,
            rules: Rules::Compatible,
            defaults,
            quirks: Quirks { renames: &[], drops: &[], additions: &[], headers: &[], accepts_stream_usage: true },
            fields: fields(&defaults),
        }
    }

    /// Offers these tasks only.
    const fn only(mut self, tasks: &'static [Task]) -> Self {
        self.tasks = tasks;
        self
    }

    const fn base_ends(mut self, ends: BaseEnds) -> Self {
        self.base_ends = ends;
        self
    }

    const fn models(mut self, names: ModelNames) -> Self {
        self.model_names = names;
        self
    }

    const fn second_key_header(mut self, name: &'static str) -> Self {
        self.second_key_header = Some(name);
        self
    }

    const fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    const fn renames(mut self, renames: &'static [(&'static str, &'static str)]) -> Self {
        self.quirks.renames = renames;
        self
    }

    const fn drops(mut self, drops: &'static [&'static str]) -> Self {
        self.quirks.drops = drops;
        self
    }

    const fn adds(mut self, additions: &'static [Addition]) -> Self {
        self.quirks.additions = additions;
        self
    }

    /// Takes the organization from these variables where none is configured.
    const fn organization_env(mut self, env: &'static [&'static str]) -> Self {
        self.fields[ORGANIZATION].env = env;
        self
    }

    const fn headers(mut self, headers: &'static [HeaderDefault]) -> Self {
        self.quirks.headers = headers;
        self
    }

    /// Refuses `stream_options.include_usage`.
    const fn without_stream_usage(mut self) -> Self {
        self.quirks.accepts_stream_usage = false;
        self
    }

    /// Whether `base` is the vendor's own place, where calls without a key are pointless.
    fn wants_key_at(&self, base: &Base<'_>) -> bool {
        let own = self.defaults.base.and_then(|own| Base::read(self.id, own).ok());
        self.defaults.key_required && own.is_some_and(|own| own.host().eq_ignore_ascii_case(base.host()))
    }

    fn credentials(&self, target: &Target<'_>, base: &Base<'_>) -> Result<Headers, AddressError> {
        let mut collected = Headers::new(self.id, self.quirks.headers);
        match headers::given(target.api_key) {
            Some(key) => {
                collected.bearer("api_key", key)?;
                if let Some(name) = self.second_key_header {
                    collected.key(name, key)?;
                }
            }
            None if headers::brings(target.extra_headers, &["authorization"]) => {}
            None if self.wants_key_at(base) => {
                return Err(AddressError::KeyMissing { provider: self.id, env: self.defaults.key_env });
            }
            None => collected.bearer("api_key", PLACEHOLDER_KEY)?,
        }
        collected.organization(target.organization)?;
        Ok(collected)
    }
}

impl Provider for OpenAiCompatible {
    fn id(&self) -> &'static str {
        self.id
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn dialect(&self, task: Task) -> Option<Dialect> {
        self.tasks.contains(&task).then_some(Dialect::OpenAi)
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    fn address(&self, target: &Target<'_>, task: Task) -> Result<Address, AddressError> {
        if self.dialect(task).is_none() {
            return Err(AddressError::TaskNotOffered { provider: self.id, task });
        }
        let configured = target.api_base.filter(|base| !base.trim().is_empty()).or(self.defaults.base);
        let Some(configured) = configured else {
            return Err(AddressError::BaseMissing { provider: self.id, env: self.defaults.base_env });
        };
        let base = Base::read(self.id, configured)?;
        let path = match self.base_ends {
            BaseEnds::AsGiven => base.path().to_owned(),
            BaseEnds::InV1 if base.path().ends_with(task_path(task)) => base.path().to_owned(),
            BaseEnds::InV1 => base::ending(base.path(), "/v1"),
        };
        Ok(Address {
            uri: base.with_path(&base::ending(&path, task_path(task)), None)?,
            headers: self.credentials(target, &base)?.with_extra(target.extra_headers)?,
            shown_base: base.shown(),
            model_in: ModelIn::Body,
        })
    }

    fn upstream_model<'a>(&self, model: &'a str) -> Cow<'a, str> {
        match self.model_names {
            ModelNames::AsGiven => Cow::Borrowed(model),
            ModelNames::Fireworks => models::fireworks(model),
            ModelNames::HuggingFace => models::hugging_face(model),
        }
    }

    fn explain(&self, refusal: &Reply) -> Fault {
        self.rules.explain(&self.exception(), refusal)
    }
}

/// The place of `organization` among [`fields`].
const ORGANIZATION: usize = 2;

/// The settings that all of the family share.
const fn fields(defaults: &Defaults) -> [Field; 4] {
    [
        Field {
            name: "api_key",
            kind: Kind::Secret,
            required: defaults.key_required,
            help: "The provider key, sent as a bearer token.",
            env: defaults.key_env,
        },
        Field {
            name: "api_base",
            kind: Kind::Url,
            required: defaults.base.is_none(),
            help: "Where to call; the task's path is added to it.",
            env: defaults.base_env,
        },
        Field {
            name: "organization",
            kind: Kind::Text,
            required: false,
            help: "The organization to bill, sent as OpenAI-Organization.",
            env: &[],
        },
        Field {
            name: "extra_headers",
            kind: Kind::Map,
            required: false,
            help: "Headers added to every call; they win over the gateway's own.",
            env: &[],
        },
    ]
}
