//! How an error is told: whose fault it is becomes a status, LiteLLM's `type` and `param`, and a sentence.
//!
//! Stages return small errors of their own; this is the one place that knows what a client is told.

use dialects::openai::fault::ErrorBody;
use http::StatusCode;
use providers::FaultClass;

use crate::ledger::OpenError;
use crate::pipeline::attempt::AttemptError;
use crate::pipeline::authenticate::AuthenticateError;
use crate::pipeline::authorize::{AuthorizeError, Owner};
use crate::pipeline::decode::DecodeError;
use crate::pipeline::gate::GateError;
use crate::pipeline::refused::AdmitError;
use crate::pipeline::route::RouteError;

/// Why a call got no answer from a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("this data plane has no snapshot yet: it waits for its control plane")]
    NoSnapshot,
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Authenticate(#[from] AuthenticateError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    #[error(transparent)]
    Admit(Box<AdmitError>),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Attempt(Box<AttemptError>),
    #[error("{0}")]
    NotFound(String),
    #[error("{method} is not a method of {path}")]
    Method { method: String, path: String },
    #[error("the control plane cannot be reached: {0}. Calls of models go on; changes have to wait.")]
    ControlPlaneAway(String),
    #[error("this gateway serves as many calls as it may: try again in a moment")]
    Busy,
    #[error("the path {0} is not read: it has dot segments, empty ones, or escapes that could hide some")]
    Path(String),
    #[error("Internal server error")]
    Panicked,
}

/// What a client is told.
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    kind: &'static str,
    param: Option<String>,
    message: String,
}

impl Told {
    /// The body in the envelope of OpenAI and LiteLLM.
    pub(crate) fn body(&self) -> bytes::Bytes {
        ErrorBody { message: &self.message, kind: self.kind, param: self.param.as_deref(), code: self.status.as_u16() }
            .to_bytes()
    }
}

impl ProxyError {
    pub(crate) fn tell(&self) -> Told {
        let (status, kind, param) = match self {
            Self::NoSnapshot => (StatusCode::SERVICE_UNAVAILABLE, "internal_server_error", None),
            Self::Gate(error) => gate(error),
            Self::Authenticate(error) => authenticate(error),
            Self::Decode(error) => decode(error),
            Self::Authorize(error) => authorize(error),
            Self::Admit(error) => match &**error {
                AdmitError::Limit { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", None),
                AdmitError::NotUnderstood { .. } => auth_error(StatusCode::UNAUTHORIZED),
                AdmitError::Away => (StatusCode::SERVICE_UNAVAILABLE, "internal_server_error", None),
                AdmitError::Budget { status, .. } => (*status, "budget_exceeded", None),
            },
            Self::Route(RouteError::UnknownPrice { .. }) => {
                (StatusCode::FORBIDDEN, "model_cost_map_missing", Some("model".to_owned()))
            }
            Self::Open(OpenError::Full { .. } | OpenError::Disk(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "internal_server_error", None)
            }
            Self::Attempt(error) => (status_of(error.class), error.class.error_type(), None),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found_error", None),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", None),
            Self::ControlPlaneAway(_) => (StatusCode::SERVICE_UNAVAILABLE, "internal_server_error", None),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "internal_server_error", None),
            Self::Path(_) => (StatusCode::BAD_REQUEST, "invalid_request_error", None),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", None),
        };
        Told { status, kind, param, message: self.to_string() }
    }
}

impl From<AdmitError> for ProxyError {
    fn from(error: AdmitError) -> Self {
        Self::Admit(Box::new(error))
    }
}

type Words = (StatusCode, &'static str, Option<String>);

/// Most refusals carry the text `None` as their param: clients' fixtures have it (admin_api.md 4.1.3).
fn auth_error(status: StatusCode) -> Words {
    (status, "auth_error", Some("None".to_owned()))
}

fn gate(error: &GateError) -> Words {
    match error {
        GateError::Address { .. } | GateError::Route { .. } | GateError::AdminOnly { .. } => {
            auth_error(StatusCode::FORBIDDEN)
        }
        GateError::User | GateError::Param { .. } => auth_error(StatusCode::UNAUTHORIZED),
        GateError::Customer { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error", None),
    }
}

fn authenticate(error: &AuthenticateError) -> Words {
    match error {
        AuthenticateError::NoKey
        | AuthenticateError::Malformed
        | AuthenticateError::NotVirtual { .. }
        | AuthenticateError::Blocked
        | AuthenticateError::TeamBlocked { .. }
        | AuthenticateError::NotUnderstood { .. } => auth_error(StatusCode::UNAUTHORIZED),
        AuthenticateError::Unknown { .. } => {
            (StatusCode::UNAUTHORIZED, "token_not_found_in_db", Some("key".to_owned()))
        }
        AuthenticateError::Expired { masked, .. } => (StatusCode::UNAUTHORIZED, "expired_key", Some(masked.clone())),
        AuthenticateError::NoTeam { .. } => auth_error(StatusCode::NOT_FOUND),
    }
}

fn decode(error: &DecodeError) -> Words {
    let invalid = |status| (status, "invalid_request_error", None);
    match error {
        DecodeError::TooLarge { .. } => invalid(StatusCode::PAYLOAD_TOO_LARGE),
        DecodeError::Broken(_) => invalid(StatusCode::BAD_REQUEST),
        DecodeError::TooSlow { .. } => invalid(StatusCode::REQUEST_TIMEOUT),
        DecodeError::Encoded(_) => invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        DecodeError::Request(error) => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", error.param().map(str::to_owned))
        }
        DecodeError::MockTesting(name) => (StatusCode::BAD_REQUEST, "invalid_request_error", Some(name.clone())),
        DecodeError::Forbidden(_) => auth_error(StatusCode::UNAUTHORIZED),
        DecodeError::Missing { param, .. } => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", Some((*param).to_owned()))
        }
        DecodeError::Header { name, .. } => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", Some((*name).to_owned()))
        }
    }
}

fn authorize(error: &AuthorizeError) -> Words {
    match error {
        AuthorizeError::Model { owner, .. } => (StatusCode::FORBIDDEN, owner.error_type(), Some("model".to_owned())),
        AuthorizeError::Role { .. } | AuthorizeError::Route { .. } => auth_error(StatusCode::FORBIDDEN),
        AuthorizeError::Unknown { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error", None),
        AuthorizeError::Region { .. } => {
            (StatusCode::FORBIDDEN, Owner::Customer.error_type(), Some("model".to_owned()))
        }
        AuthorizeError::CustomerBlocked { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error", None),
        AuthorizeError::Blocked { .. } => (StatusCode::FORBIDDEN, "permission_error", None),
    }
}

fn status_of(class: FaultClass) -> StatusCode {
    StatusCode::from_u16(class.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
