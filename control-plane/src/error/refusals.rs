//! Refusals in the OpenAPI document: one set for all endpoints.

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

/// How calls are refused.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "documentation: the answers are made by `envelope`")]
pub(crate) enum Refusals {
    /// Something in the call is wrong.
    #[response(status = 400)]
    Bad(ErrorBody),
    /// No key, or one that is unknown, blocked, expired, or not an admin's.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// Not with this object.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// There is no such object.
    #[response(status = 404)]
    Absent(ErrorBody),
    /// Fields are missing or of the wrong type.
    #[response(status = 422)]
    Fields(IssuesBody),
    /// The control plane is at fault.
    #[response(status = 500)]
    Broken(ErrorBody),
    /// The database is not reachable.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// A refusal. Some endpoints answer `{"detail": {"error": message}}` instead.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    #[schema(inline)]
    error: Refusal,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refusal {
    /// For people.
    message: String,
    /// For programs.
    r#type: String,
    /// Which part of the call, where one can say.
    param: Option<String>,
    /// The status, as text.
    code: String,
}

/// Everything that is wrong with the fields of a call.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuesBody {
    #[schema(inline)]
    detail: Vec<IssueBody>,
}

/// One field that is wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssueBody {
    r#type: String,
    /// `body` or `query`, the field, the place in it.
    loc: Vec<String>,
    msg: String,
    #[schema(value_type = Object)]
    input: Value,
}
