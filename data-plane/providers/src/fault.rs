//! What went wrong upstream, in LiteLLM's terms: class, status, text, and whether trying again makes sense.
//!
//! Reading a provider's refusal is `refusal`'s business, cooling and fallbacks are the engine's.

use std::time::Duration;

use wire::Secret;

use crate::redact;

/// The longest provider text that a fault carries, in bytes.
const TEXT_LIMIT_BYTES: usize = 4096;

/// Azure's name inside a text.
const AZURE: &str = "AzureException";

/// A failed upstream call, ready to be shown to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose fault it is, and of what kind.
    pub class: FaultClass,
    /// LiteLLM's text, `litellm.RateLimitError: RateLimitError: OpenAIException - …`. The provider's part is bounded,
    /// and what looks like a credential is removed from it.
    pub message: String,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault of `class` with the provider's words; `exception` is its name inside the text.
    pub(crate) fn new(class: FaultClass, exception: &str, text: &str) -> Self {
        let name = class.name();
        let text = bounded(redact::credentials(text.trim()).as_ref()).to_owned();
        let message = match class {
            // Azure's texts name the class after the provider, whatever it is.
            _ if exception == AZURE => format!("litellm.{name}: {exception} {name} - {text}"),
            // The two that LiteLLM does not repeat inside the text.
            FaultClass::BadRequest | FaultClass::UnsupportedParams => format!("litellm.{name}: {exception} - {text}"),
            FaultClass::Timeout | FaultClass::GatewayTimeout => {
                format!("litellm.{name}: Timeout Error: {exception} - {text}")
            }
            FaultClass::ContextWindowExceeded
            | FaultClass::ContentPolicyViolation
            | FaultClass::Authentication
            | FaultClass::PaymentRequired
            | FaultClass::PermissionDenied
            | FaultClass::NotFound
            | FaultClass::Conflict
            | FaultClass::UnprocessableEntity
            | FaultClass::RateLimit
            | FaultClass::ApiConnection
            | FaultClass::Api(_)
            | FaultClass::InternalServer
            | FaultClass::BadGateway
            | FaultClass::ServiceUnavailable => format!("litellm.{name}: {name}: {exception} - {text}"),
        };
        Self { class, message, retry_after: None }
    }

    /// The same fault without `secret`, for the credential that was sent and might be quoted back.
    pub fn hiding(mut self, secret: &Secret) -> Self {
        let text = secret.expose().trim();
        if !text.is_empty() && self.message.contains(text) {
            self.message = self.message.replace(text, redact::HIDDEN);
        }
        self
    }
}

/// LiteLLM's exception classes, as far as upstream calls raise them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The provider cannot make sense of the request.
    BadRequest,
    /// The provider does not know a parameter.
    UnsupportedParams,
    /// The prompt is longer than the model allows.
    ContextWindowExceeded,
    /// The provider's content policy refused prompt or answer.
    ContentPolicyViolation,
    /// The provider key is wrong.
    Authentication,
    /// The provider account has no money left.
    PaymentRequired,
    /// The provider key may not do this.
    PermissionDenied,
    /// There is no such model or deployment.
    NotFound,
    /// No answer in time.
    Timeout,
    /// The provider asks to repeat the call (409).
    Conflict,
    /// Understood, but not acceptable (422).
    UnprocessableEntity,
    /// Too many requests or tokens.
    RateLimit,
    /// The provider could not be reached, or hung up.
    ApiConnection,
    /// Any other status, kept.
    Api(u16),
    /// The provider failed.
    InternalServer,
    /// Something before the provider failed.
    BadGateway,
    /// The provider is overloaded or down.
    ServiceUnavailable,
    /// Something before the provider gave up waiting; a `Timeout` that keeps 504.
    GatewayTimeout,
}

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails everywhere.
    Never,
    /// Another deployment may do better, this one will not.
    Elsewhere,
    /// The same deployment may do better as well.
    Anywhere,
}

impl FaultClass {
    /// The status for the client.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::UnsupportedParams | Self::ContextWindowExceeded | Self::ContentPolicyViolation => {
                400
            }
            Self::Authentication => 401,
            Self::PaymentRequired => 402,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::UnprocessableEntity => 422,
            Self::RateLimit => 429,
            Self::ApiConnection | Self::InternalServer => 500,
            Self::Api(status) => status,
            Self::BadGateway => 502,
            Self::ServiceUnavailable => 503,
            Self::GatewayTimeout => 504,
        }
    }

    /// LiteLLM's name of the class, as texts and metric labels have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequestError",
            Self::UnsupportedParams => "UnsupportedParamsError",
            Self::ContextWindowExceeded => "ContextWindowExceededError",
            Self::ContentPolicyViolation => "ContentPolicyViolationError",
            Self::Authentication => "AuthenticationError",
            Self::PaymentRequired => "PaymentRequiredError",
            Self::PermissionDenied => "PermissionDeniedError",
            Self::NotFound => "NotFoundError",
            Self::Timeout | Self::GatewayTimeout => "Timeout",
            Self::Conflict => "ConflictError",
            Self::UnprocessableEntity => "UnprocessableEntityError",
            Self::RateLimit => "RateLimitError",
            Self::ApiConnection => "APIConnectionError",
            Self::Api(_) => "APIError",
            Self::InternalServer => "InternalServerError",
            Self::BadGateway => "BadGatewayError",
            Self::ServiceUnavailable => "ServiceUnavailableError",
        }
    }

    /// The `type` member of the error envelope.
    pub const fn error_type(self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "internal_server_error",
        }
    }

    /// Whether another attempt makes sense.
    pub const fn retry(self) -> Retry {
        match self {
            Self::BadRequest
            | Self::UnsupportedParams
            | Self::ContextWindowExceeded
            | Self::ContentPolicyViolation
            | Self::PaymentRequired
            | Self::NotFound
            | Self::UnprocessableEntity => Retry::Never,
            Self::Authentication | Self::PermissionDenied => Retry::Elsewhere,
            Self::Api(status) if status < 500 => Retry::Never,
            Self::Timeout
            | Self::Conflict
            | Self::RateLimit
            | Self::ApiConnection
            | Self::Api(_)
            | Self::InternalServer
            | Self::BadGateway
            | Self::ServiceUnavailable
            | Self::GatewayTimeout => Retry::Anywhere,
        }
    }
}

/// How LiteLLM names a provider inside an error's text.
pub(crate) fn exception_of(id: &str) -> String {
    if id == "openai" {
        return "OpenAIException".to_owned();
    }
    let (first, rest) = id.split_at_checked(1).unwrap_or_default();
    format!("{}{rest}Exception", first.to_ascii_uppercase())
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(TEXT_LIMIT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wire::Secret;

    use super::{Fault, FaultClass, TEXT_LIMIT_BYTES, exception_of};

    #[test]
    fn the_text_is_worded_as_litellm_words_it() {
        let text = |class| Fault::new(class, "OpenAIException", "no").message;
        assert_eq!(text(FaultClass::RateLimit), "litellm.RateLimitError: RateLimitError: OpenAIException - no");
        assert_eq!(text(FaultClass::BadRequest), "litellm.BadRequestError: OpenAIException - no");
        assert_eq!(text(FaultClass::GatewayTimeout), "litellm.Timeout: Timeout Error: OpenAIException - no");
        assert_eq!(exception_of("groq"), "GroqException");
        assert_eq!(exception_of("fireworks_ai"), "Fireworks_aiException");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fault = Fault::new(FaultClass::BadRequest, "X", &format!("a{}", "ä".repeat(TEXT_LIMIT_BYTES)));
        assert!(fault.message.len() < TEXT_LIMIT_BYTES + 64);
        assert!(fault.message.ends_with('ä'));
    }

    #[test]
    fn the_key_that_was_sent_can_be_hidden() {
        let fault = Fault::new(FaultClass::Authentication, "X", "wrong key: plainword, really plainword");
        assert!(!fault.hiding(&Secret::new("plainword")).message.contains("plainword"));
    }

    #[test]
    fn statuses_decide_the_type() {
        assert_eq!(FaultClass::Api(403).error_type(), "permission_error");
        assert_eq!(FaultClass::NotFound.error_type(), "invalid_request_error");
        assert_eq!(FaultClass::ApiConnection.error_type(), "internal_server_error");
        assert_eq!(FaultClass::RateLimit.error_type(), "rate_limit_error");
        assert_eq!(FaultClass::Authentication.error_type(), "authentication_error");
    }
}
