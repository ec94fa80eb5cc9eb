//! Every refusal of the admin API as LiteLLM words it.
//!
//! Slices say what is wrong ([`AdminError`]); here alone that becomes a status and a body. LiteLLM has three envelopes,
//! and an endpoint's own habit decides which `type` an error without one gets: that habit is the error type in the
//! endpoint's signature ([`Generic`], [`AuthStyle`], [`SpendStyle`], [`TagStyle`],
//! [`Plain`]).

mod envelope;
mod refusals;

use axum::response::{IntoResponse, Response};

pub(crate) use envelope::Envelope;
pub(crate) use refusals::{ErrorBody, IssuesBody, Refusals};

use crate::access::AccessError;
use crate::access_groups::AccessGroupError;
use crate::addresses::AddressError;
use crate::budgets::BudgetError;
use crate::configured::ConfiguredError;
use crate::credentials::CredentialError;
use crate::customers::CustomerError;
use crate::http::fields::Issue;
use crate::keys::KeyError;
use crate::limits::LimitError;
use crate::models::ModelError;
use crate::organizations::OrganizationError;
use crate::spend::SpendError;
use crate::tags::TagError;
use crate::teams::TeamError;
use crate::users::UserError;

/// What can be wrong with an admin call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Team(#[from] TeamError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    AccessGroup(#[from] AccessGroupError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Customer(#[from] CustomerError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Spend(#[from] SpendError),
    #[error(transparent)]
    Configured(#[from] ConfiguredError),
    #[error("the database")]
    Database(#[from] sqlx::Error),
}

/// What can be wrong with the form of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("Invalid JSON payload: {0}")]
    NotJson(String),
    #[error("Invalid query string: {0}")]
    NotAQuery(String),
    #[error("the body is larger than {most} bytes")]
    TooLarge { most: usize },
    #[error("the body ended early")]
    Cut,
    #[error(
        "{place} is a credential in the clear, and would be stored and shown as it is: give a reference to the \
         environment instead, such as os.environ/NAME"
    )]
    Credential { place: String },
    #[error("fields are missing or wrong")]
    Fields(Vec<Issue>),
}

/// What an endpoint makes of an error that has no `type` of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// `type` is `internal_server_error`, whatever the status.
    Generic,
    /// `type` is `auth_error`.
    AuthStyle,
    /// `type` is `internal_error`.
    Spend,
    /// No envelope: `{"detail": {"error": …}}`.
    Plain,
    /// No envelope: `{"detail": "400: …"}`, the status in the text.
    Numbered,
}

/// Makes the error type of endpoints with one habit.
macro_rules! habit {
    ($(#[$about:meta])* $name:ident, $habit:expr) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(crate) struct $name(AdminError);

        impl<E: Into<AdminError>> From<E> for $name {
            fn from(error: E) -> Self {
                Self(error.into())
            }
        }

        impl IntoResponse for $name {
            fn into_response(self) -> Response {
                envelope::of(&self.0, $habit).into_response()
            }
        }
    };
}

habit! {
    /// The error of most endpoints.
    Generic, Habit::Generic
}
habit! {
    /// The error of `/key/update` and `/team/info`.
    AuthStyle, Habit::AuthStyle
}
habit! {
    /// The error of `/spend/…`.
    SpendStyle, Habit::Spend
}
habit! {
    /// The error of endpoints that LiteLLM leaves to its web framework: team lists, blocks, deletions.
    Plain, Habit::Plain
}

habit! {
    /// The error of `/tag/…`.
    TagStyle, Habit::Numbered
}

impl IntoResponse for InputError {
    fn into_response(self) -> Response {
        envelope::of(&AdminError::Input(self), Habit::Generic).into_response()
    }
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        envelope::of(&AdminError::Access(self), Habit::AuthStyle).into_response()
    }
}
