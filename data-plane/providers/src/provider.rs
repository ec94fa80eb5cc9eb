//! The trait that every provider answers to, and the deployment it is asked about.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use dialects::{Dialect, Task};
use wire::{Reply, Secret};

use crate::address::{Address, AddressError};
use crate::description::{Defaults, Field, Quirks};
use crate::fault::{self, Fault, FaultClass};

/// Somebody who answers model calls.
pub trait Provider: Sync {
    /// The name before the slash in `provider/model`.
    fn id(&self) -> &'static str;

    /// The name that people know it by.
    fn title(&self) -> &'static str;

    /// How LiteLLM names this provider inside an error's text: `OpenAIException`, `GroqException`, …
    fn exception(&self) -> Cow<'static, str> {
        Cow::Owned(fault::exception_of(self.id()))
    }

    /// The dialect spoken for `task`, or `None` if the task is not offered.
    fn dialect(&self, task: Task) -> Option<Dialect>;

    /// The settings and credentials that a deployment may carry.
    fn fields(&self) -> &[Field];

    /// What holds where a deployment says nothing.
    fn defaults(&self) -> &Defaults;

    /// How a body for this provider differs from plain OpenAI.
    fn quirks(&self) -> &Quirks;

    /// Where calls for `task` go and which headers they carry. Pure and cheap enough per call, meant to be computed
    /// once per deployment. Environment variables must have been resolved into `target` before.
    ///
    /// # Errors
    /// When the deployment lacks what the provider needs, or holds what cannot be sent. Texts hold no secrets.
    fn address(&self, target: &Target<'_>, task: Task) -> Result<Address, AddressError>;

    /// The name under which the provider knows `model`.
    fn upstream_model<'a>(&self, model: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(model)
    }

    /// Says what a refusal (any status but success) means: whose fault, whether to retry, how long to stay away.
    fn explain(&self, refusal: &Reply) -> Fault;

    /// A fault that no reply explains, such as a refused connection or a timeout, worded like the others.
    fn fault(&self, class: FaultClass, text: &str) -> Fault {
        Fault::new(class, &self.exception(), text)
    }
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.id())
    }
}

impl PartialEq for dyn Provider {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

/// One deployment, as far as its address depends on it. References to the environment are resolved already.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The model's name after the provider's prefix.
    pub model: &'a str,
    /// Where to call instead of the provider's own address.
    pub api_base: Option<&'a str>,
    /// The provider key.
    pub api_key: Option<&'a Secret>,
    /// A ready Azure AD token, used where there is no key.
    pub azure_ad_token: Option<&'a Secret>,
    /// The version of an API that has versions.
    pub api_version: Option<&'a str>,
    /// The OpenAI organization to bill.
    pub organization: Option<&'a str>,
    /// Headers added to each call; they win over the provider's own. Their values count as secrets.
    pub extra_headers: &'a BTreeMap<String, String>,
}

impl<'a> Target<'a> {
    /// A deployment of `model` that leaves everything else to the provider.
    pub fn of(model: &'a str) -> Self {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Self {
            model,
            api_base: None,
            api_key: None,
            azure_ad_token: None,
            api_version: None,
            organization: None,
            extra_headers: &NONE,
        }
    }
}
