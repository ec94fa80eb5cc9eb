//! An address made ready for the wire: where to dial, and the head of the request as it will be written.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use providers::{Address, ModelIn};

/// Who is dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) security: Security,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    Tls,
    Plain,
}

/// One deployment's address for one task.
pub(crate) struct Upstream {
    pub(crate) origin: Arc<Origin>,
    pub(crate) path: Uri,
    pub(crate) headers: HeaderMap,
    /// What may be shown of the base: no query, no credentials.
    shown_base: String,
    base_header: Option<HeaderValue>,
    model_in: ModelIn,
}

/// The address has no host, or a scheme that is neither http nor https.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an http(s) address")]
pub(crate) struct NotAnAddress(String);

impl Upstream {
    pub(crate) fn new(address: Address) -> Result<Self, NotAnAddress> {
        let wrong = || NotAnAddress(address.shown_base.clone());
        let security = match address.uri.scheme_str() {
            Some("https") => Security::Tls,
            Some("http") => Security::Plain,
            _ => return Err(wrong()),
        };
        let authority = address.uri.authority().ok_or_else(wrong)?;
        let default_port = match security {
            Security::Tls => 443,
            Security::Plain => 80,
        };
        let origin = Origin {
            security,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
        };
        let path = address.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = path.parse().map_err(|_invalid| wrong())?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_invalid| wrong())?;

        let mut headers = address.headers;
        headers.insert(HOST, host);
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("turnpike/", env!("CARGO_PKG_VERSION"))));
        // Answers are read along: they must come as they are.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let (shown_base, model_in) = (address.shown_base, address.model_in);
        let base_header = HeaderValue::try_from(shown_base.as_str()).ok();
        Ok(Self { origin: Arc::new(origin), path, headers, shown_base, base_header, model_in })
    }

    pub(crate) fn shown_base(&self) -> &str {
        &self.shown_base
    }

    /// [`Upstream::shown_base`] as a header's value.
    pub(crate) fn base_header(&self) -> Option<HeaderValue> {
        self.base_header.clone()
    }

    /// Whether the body names the model; elsewhere the path does.
    pub(crate) fn names_model(&self) -> bool {
        self.model_in == ModelIn::Body
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
