//! Azure: OpenAI models behind deployment URLs, and the models of Azure AI Foundry.
//!
//! Both put a version into the query and the key into a header of Azure's. Fetching Azure AD tokens takes calls and is
//! left to others; a ready token is used as given.

mod foundry;
mod openai;

use crate::address::{AddressError, Headers, headers};
use crate::description::{Field, Kind};
use crate::provider::Target;

pub(crate) use foundry::AZURE_AI;
pub(crate) use openai::AZURE;

/// Headers that hold a credential at Azure.
const CREDENTIALS: &[&str] = &["api-key", "authorization"];

/// The setting that both have beside key and base.
const API_VERSION: Field = Field {
    name: "api_version",
    kind: Kind::Text,
    required: false,
    help: "The version of Azure's API, such as 2025-02-01-preview.",
    env: &["AZURE_API_VERSION"],
};

const AZURE_AD_TOKEN: Field = Field {
    name: "azure_ad_token",
    kind: Kind::Secret,
    required: false,
    help: "A ready Azure AD token, used where there is no key.",
    env: &["AZURE_AD_TOKEN"],
};

const EXTRA_HEADERS: Field = Field {
    name: "extra_headers",
    kind: Kind::Map,
    required: false,
    help: "Headers added to every call; they win over the gateway's own.",
    env: &[],
};

/// The configured version, where there is one that can stand in a query.
fn version<'a>(provider: &'static str, target: &Target<'a>) -> Result<Option<&'a str>, AddressError> {
    let Some(version) = target.api_version.map(str::trim).filter(|version| !version.is_empty()) else {
        return Ok(None);
    };
    if version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Ok(Some(version));
    }
    let problem = "may hold letters, digits, `-`, `_` and `.` only";
    Err(AddressError::Value { provider, field: "api_version", problem })
}

/// Azure AD's token as a bearer token; whether there was one.
fn token(collected: &mut Headers, target: &Target<'_>) -> Result<bool, AddressError> {
    let Some(token) = headers::given(target.azure_ad_token) else {
        return Ok(false);
    };
    if token.starts_with("oidc/") {
        return Err(AddressError::TokenExchange);
    }
    collected.bearer("azure_ad_token", token)?;
    Ok(true)
}
