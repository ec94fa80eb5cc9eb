//! What a provider says of itself: settings, defaults and quirks, all of it constant.
//!
//! Config checks, documentation and forms read these values; nothing here acts on them.

/// A setting or credential that a deployment of the provider may carry in `litellm_params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key in `litellm_params`.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether a deployment without it (and without its environment variables) cannot be called.
    pub required: bool,
    /// One sentence for forms and documentation.
    pub help: &'static str,
    /// Environment variables that stand in for it, first one set wins.
    pub env: &'static [&'static str],
}

/// The kind of a [`Field`]'s value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A credential: sealed at rest, shown nowhere.
    Secret,
    /// Free text.
    Text,
    /// An absolute `http` or `https` address.
    Url,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Names to text.
    Map,
}

/// What holds where a deployment says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The provider's own address, `None` where each deployment must name one.
    pub base: Option<&'static str>,
    /// Environment variables that replace `base`, first one set wins.
    pub base_env: &'static [&'static str],
    /// Environment variables that hold the key, first one set wins.
    pub key_env: &'static [&'static str],
    /// Whether the provider's own address refuses calls without a key. Other addresses may be keyless.
    pub key_required: bool,
    /// The API version in force where none is configured.
    pub api_version: Option<&'static str>,
}

/// How a body for this provider differs from plain OpenAI, at the top level of its JSON, and which headers it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// Members to rename, `(from, to)`. Where a call has both, the value of `from` wins.
    pub renames: &'static [(&'static str, &'static str)],
    /// Members that the provider refuses, or that break it: not sent.
    pub drops: &'static [&'static str],
    /// Members that every call carries unless the client set them.
    pub additions: &'static [Addition],
    /// Headers that every call carries unless the deployment sets them; already part of an `Address`.
    pub headers: &'static [HeaderDefault],
    /// Whether `stream_options.include_usage` may be asked of it.
    pub accepts_stream_usage: bool,
}

/// A member added to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The member's name.
    pub name: &'static str,
    /// Its value, as JSON text.
    pub json: &'static str,
}

/// A header that a provider likes to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderDefault {
    /// The header's name, in lower case.
    pub name: &'static str,
    /// Its value, `None` where it is sent only when configured.
    pub value: Option<&'static str>,
    /// Environment variables whose value belongs into `extra_headers` under this name.
    pub env: &'static [&'static str],
}
