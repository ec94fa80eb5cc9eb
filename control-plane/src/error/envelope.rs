//! From what is wrong to status and body, by exhaustive match.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use time::macros::format_description;

use super::{AdminError, Habit, InputError};
use crate::access::AccessError;
use crate::access_groups::AccessGroupError;
use crate::addresses::AddressError;
use crate::budgets::BudgetError;
use crate::configured::ConfiguredError;
use crate::credentials::CredentialError;
use crate::customers::CustomerError;
use crate::keys::KeyError;
use crate::limits::LimitError;
use crate::models::{ModelError, TagModelError};
use crate::operator::OperatorError;
use crate::organizations::OrganizationError;
use crate::spend::SpendError;
use crate::tags::TagError;
use crate::teams::TeamError;
use crate::users::UserError;

/// A refusal, ready to be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope {
    status: StatusCode,
    body: Value,
}

/// What `param` says where LiteLLM's authentication has nothing to say: these four letters, not `null`.
const NONE: &str = "None";

impl Envelope {
    /// `{"error": …}` as most of LiteLLM's errors are.
    pub(crate) fn error(status: StatusCode, kind: &str, param: Option<&str>, message: impl Into<String>) -> Self {
        let code = status.as_u16().to_string();
        Self { status, body: json!({"error": {"message": message.into(), "type": kind, "param": param, "code": code}}) }
    }

    /// `{"detail": …}` as LiteLLM's web framework answers.
    pub(crate) fn detail(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self { status, body: json!({"detail": detail.into()}) }
    }

    /// Something is broken here. What it is stands in the log only.
    pub(crate) fn broken() -> Self {
        let body = json!({"error": {"message": "Internal server error", "type": "internal_server_error"}});
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, body }
    }
}

impl IntoResponse for Envelope {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// The envelope of an error at an endpoint with this habit.
pub(super) fn of(error: &AdminError, habit: Habit) -> Envelope {
    match error {
        AdminError::Input(error) => input(error),
        AdminError::Access(error) => access(error, habit),
        AdminError::Key(error) => key(error, habit),
        AdminError::Team(error) => team(error, habit),
        AdminError::User(error) => user(error, habit),
        AdminError::Model(error) => model(error, habit),
        AdminError::Credential(error) => credential(error, habit),
        AdminError::AccessGroup(error) => access_group(error, habit),
        AdminError::Budget(error) => budget(error, habit),
        AdminError::Customer(error) => customer(error, habit),
        AdminError::Tag(error) => tag(error, habit),
        AdminError::Address(error) => address(error),
        AdminError::Organization(error) => organization(error, habit),
        AdminError::Limit(error) => limit(error, habit),
        AdminError::Spend(error) => match error {
            SpendError::Day { .. } | SpendError::TooManyDays { .. } => {
                habit.refuse(StatusCode::BAD_REQUEST, format!("/spend/logs Error({error})"))
            }
            SpendError::Database(error) => database(error),
        },
        AdminError::Configured(error) => match error {
            ConfiguredError::Unset(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
            ConfiguredError::Sealed(_) => habit.refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            ConfiguredError::Database(error) => database(error),
        },
        AdminError::Database(error) => database(error),
    }
}

impl Habit {
    fn refuse(self, status: StatusCode, message: impl Into<String>) -> Envelope {
        match self {
            Self::Generic => Envelope::error(status, "internal_server_error", None, message),
            Self::AuthStyle => Envelope::error(status, "auth_error", None, message),
            Self::Spend => Envelope::error(status, "internal_error", None, message),
            Self::Plain => Envelope::detail(status, json!({"error": message.into()})),
            Self::Numbered => Envelope::detail(status, format!("{}: {}", status.as_u16(), message.into())),
        }
    }
}

fn input(error: &InputError) -> Envelope {
    let bad = |kind, param| Envelope::error(StatusCode::BAD_REQUEST, kind, Some(param), error.to_string());
    match error {
        InputError::NotJson(_) | InputError::Cut => bad("invalid_request_error", "request_body"),
        InputError::NotAQuery(_) => bad("invalid_request_error", "query"),
        InputError::TooLarge { .. } => {
            let param = Some("content-length");
            Envelope::error(StatusCode::PAYLOAD_TOO_LARGE, "bad_request_error", param, error.to_string())
        }
        InputError::Credential { place } => {
            Envelope::error(StatusCode::BAD_REQUEST, "invalid_request_error", Some(place), error.to_string())
        }
        InputError::Fields(issues) => {
            Envelope::detail(StatusCode::UNPROCESSABLE_ENTITY, serde_json::to_value(issues).unwrap_or_default())
        }
    }
}

fn access(error: &AccessError, habit: Habit) -> Envelope {
    let unauthenticated = |kind: &str, param: &str, message: String| {
        Envelope::error(StatusCode::UNAUTHORIZED, kind, Some(param), message)
    };
    let auth = |message: String| unauthenticated("auth_error", NONE, format!("Authentication Error, {message}"));
    let forbidden = |message: String| Envelope::error(StatusCode::FORBIDDEN, "auth_error", Some(NONE), message);
    match error {
        AccessError::NoKey => auth("No api key passed in.".to_owned()),
        AccessError::Malformed => auth(
            "Malformed API Key passed in. Ensure Key has `Bearer ` prefix. Write `Authorization: Bearer sk-...`."
                .to_owned(),
        ),
        AccessError::NotVirtual { shown } => {
            auth(format!("LiteLLM Virtual Key expected. Received={shown}, expected to start with 'sk-'."))
        }
        AccessError::Unknown { shown, hash } => unauthenticated(
            "token_not_found_in_db",
            "key",
            format!(
                "Authentication Error, Invalid proxy server token passed. Received API Key = {shown}, Key Hash (Token) \
                 ={hash}. Unable to find token in cache or `LiteLLM_VerificationTokenTable`"
            ),
        ),
        AccessError::Blocked => auth("Key is blocked. Update via `/key/unblock` if you're an admin.".to_owned()),
        AccessError::Expired { at, now, shown } => unauthenticated(
            "expired_key",
            shown,
            format!(
                "Authentication Error - Expired Key. Key Expiry time {} and current time {}",
                python_time(*at),
                python_time(*now)
            ),
        ),
        AccessError::TeamBlocked(team_id) => {
            auth(format!("Team={team_id} is blocked. Update via `/team/unblock` if you're an admin."))
        }
        AccessError::AdminsOnly { route, role, user_id } => auth(format!(
            "Only proxy admin can be used to generate, delete, update info for new keys/users/teams. Route={route}. \
             Your role={}. Your user_id={}",
            role.name(),
            masked(user_id.as_deref().unwrap_or(NONE)),
        )),
        AccessError::RouteNotAllowed { route, allowed } => Envelope::detail(
            StatusCode::FORBIDDEN,
            format!(
                "Virtual key is not allowed to call this route. Only allowed to call routes: {}. Tried to call route: \
                 {route}",
                Value::from(allowed.clone()),
            ),
        ),
        AccessError::TeamPermission { route, team_id } => Envelope::error(
            StatusCode::UNAUTHORIZED,
            "team_member_permission_error",
            Some(route),
            format!(
                "Team member does not have permissions for endpoint: {route}. An admin of team={team_id} grants them."
            ),
        ),
        AccessError::Address { address } => forbidden(format!("Access forbidden: IP address {address} not allowed.")),
        AccessError::Closed { route } => forbidden(format!("Access forbidden: Route {route} not allowed")),
        AccessError::AdminOnlyRoute { route } => {
            forbidden(format!("user not allowed to access this route. Route={route} is an admin only route"))
        }
        AccessError::Organization(message) => auth(message.clone()),
        AccessError::Forbidden(message) => habit.refuse(StatusCode::FORBIDDEN, message),
        AccessError::ListRefused(message) => Envelope::error(StatusCode::FORBIDDEN, "bad_request_error", None, message),
        AccessError::Database(error) => database(error),
    }
}

fn key(error: &KeyError, habit: Habit) -> Envelope {
    let bad = |param| Envelope::error(StatusCode::BAD_REQUEST, "bad_request_error", Some(param), error.to_string());
    let absent = || Envelope::error(StatusCode::NOT_FOUND, "not_found_error", Some("key"), error.to_string());
    match error {
        KeyError::AliasTaken(_) | KeyError::BadAlias | KeyError::AliasForm(_) => bad("key_alias"),
        KeyError::Format => bad("key"),
        KeyError::Unknown(_) if habit == Habit::Plain => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        KeyError::NotFound | KeyError::NotInDatabase | KeyError::Unknown(_) => absent(),
        KeyError::NoneFound | KeyError::NoSuchAlias(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        KeyError::ValueTaken
        | KeyError::ValueUsed
        | KeyError::Master
        | KeyError::BadValue
        | KeyError::UnknownTeam(_)
        | KeyError::UnknownBudget(_)
        | KeyError::NoTeam
        | KeyError::ServiceAccount
        | KeyError::Twice
        | KeyError::TooMany(_)
        | KeyError::ResetAbove { .. }
        | KeyError::AboveOwnBudget { .. }
        | KeyError::AboveBound { .. }
        | KeyError::RequiredParam(_)
        | KeyError::TeamRole { .. }
        | KeyError::PersonalKey { .. }
        | KeyError::AliasAmbiguous(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        KeyError::ChosenValue => habit.refuse(StatusCode::FORBIDDEN, error.to_string()),
        KeyError::Operator(error) => operator(error, habit),
        KeyError::NotAllowed(message) => habit.refuse(StatusCode::FORBIDDEN, message),
        KeyError::Organization(error) => organization(error, habit),
        KeyError::Limit(error) => limit(error, habit),
        KeyError::Database(error) => database(error),
    }
}

/// The caller can do nothing about it, and whoever can must learn of it.
fn operator(error: &OperatorError, habit: Habit) -> Envelope {
    match error {
        OperatorError::Wrong { .. } => {
            tracing::error!(%error, "a setting cannot be used");
            habit.refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
        OperatorError::Database(error) => database(error),
    }
}

fn team(error: &TeamError, habit: Habit) -> Envelope {
    match error {
        TeamError::Exists(_) | TeamError::Reserved(_) | TeamError::SoftBudget { .. } | TeamError::NamelessMember => {
            habit.refuse(StatusCode::BAD_REQUEST, error.to_string())
        }
        TeamError::AlreadyMember(_) => {
            let kind = "team_member_already_in_team";
            Envelope::error(StatusCode::BAD_REQUEST, kind, Some("user_id"), error.to_string())
        }
        TeamError::AllModels(_)
        | TeamError::TooManyMembers(_)
        | TeamError::OtherId
        | TeamError::CallbackExists { .. }
        | TeamError::TooManyCallbacks(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        TeamError::NoCallback(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        TeamError::NotMember | TeamError::OtherAddress(_) | TeamError::ResetAbove { .. } => {
            habit.refuse(StatusCode::BAD_REQUEST, error.to_string())
        }
        TeamError::NoId => habit.refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        TeamError::NotFound(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        TeamError::ListRefused(_) => habit.refuse(StatusCode::UNAUTHORIZED, error.to_string()),
        TeamError::Operator(error) => operator(error, habit),
        TeamError::Limit(error) => limit(error, habit),
        TeamError::Budget(error) => budget(error, habit),
        TeamError::Database(error) => database(error),
    }
}

fn user(error: &UserError, habit: Habit) -> Envelope {
    match error {
        UserError::Exists(_) | UserError::EmailTaken(_) => habit.refuse(StatusCode::CONFLICT, error.to_string()),
        UserError::Joining(_) => habit.refuse(StatusCode::CONFLICT, error.to_string()),
        UserError::Twice(_) | UserError::TooMany(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        UserError::NotFound(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        UserError::NotAllowed(message) => habit.refuse(StatusCode::FORBIDDEN, message),
        UserError::Limit(error) => limit(error, habit),
        UserError::Operator(error) => operator(error, habit),
        UserError::Key(error) => key(error, habit),
        UserError::Database(error) => database(error),
    }
}

fn model(error: &ModelError, habit: Habit) -> Envelope {
    match error {
        ModelError::NoSuchId(_)
        | ModelError::NotFound(_)
        | ModelError::NotInDatabase(_)
        | ModelError::FileNotDatabase(_)
        | ModelError::OfFile(_)
        | ModelError::Exists(_)
        | ModelError::NoId
        | ModelError::BadId
        | ModelError::UnknownTeam(_)
        | ModelError::Unfit(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        ModelError::Absent(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        ModelError::Sealed { .. } | ModelError::NoModels => {
            habit.refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
        ModelError::Resolve(source) => {
            tracing::error!(error = source as &dyn std::error::Error, "models cannot be resolved");
            Envelope::broken()
        }
        ModelError::Database(error) => database(error),
    }
}

fn credential(error: &CredentialError, habit: Habit) -> Envelope {
    match error {
        CredentialError::Exists(_) => habit.refuse(StatusCode::CONFLICT, error.to_string()),
        CredentialError::NotFound(_) | CredentialError::NoModel(_) => {
            habit.refuse(StatusCode::NOT_FOUND, error.to_string())
        }
        CredentialError::BadName
        | CredentialError::Renamed
        | CredentialError::Nothing
        | CredentialError::Unfit { .. } => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        CredentialError::Sealed { .. } => habit.refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        CredentialError::Model(error) => model(error, habit),
        CredentialError::Database(error) => database(error),
    }
}

fn access_group(error: &AccessGroupError, habit: Habit) -> Envelope {
    match error {
        AccessGroupError::Exists(_) => habit.refuse(StatusCode::CONFLICT, error.to_string()),
        AccessGroupError::NotFound(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        AccessGroupError::BadName
        | AccessGroupError::NoModels
        | AccessGroupError::UnknownModel(_)
        | AccessGroupError::OfFile(_)
        | AccessGroupError::InFile(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        AccessGroupError::Database(error) => database(error),
    }
}

fn budget(error: &BudgetError, habit: Habit) -> Envelope {
    match error {
        BudgetError::Exists(_)
        | BudgetError::BadId
        | BudgetError::NoId
        | BudgetError::NoIds
        | BudgetError::TooMany(_)
        | BudgetError::Unknown(_)
        | BudgetError::Expiry(_)
        | BudgetError::AdminsOnly(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        BudgetError::NotFound(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        BudgetError::Limit(error) => limit(error, habit),
        BudgetError::Database(error) => database(error),
    }
}

/// Customers have two types of their own, in every endpoint.
fn customer(error: &CustomerError, habit: Habit) -> Envelope {
    let bad = |param| Envelope::error(StatusCode::BAD_REQUEST, "bad_request", Some(param), error.to_string());
    match error {
        CustomerError::Exists(_) => bad("user_id"),
        CustomerError::NoId { field } => bad(field),
        CustomerError::TooMany(_) => bad("user_ids"),
        CustomerError::NotFound { field, .. } => {
            Envelope::error(StatusCode::NOT_FOUND, "not_found", Some(field), error.to_string())
        }
        CustomerError::UnknownModel(_) => Habit::Plain.refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        CustomerError::Budget(error) => budget(error, habit),
        CustomerError::Database(error) => database(error),
    }
}

/// LiteLLM's framework words these, at every endpoint.
fn address(error: &AddressError) -> Envelope {
    match error {
        AddressError::NotOne(_) | AddressError::Exists | AddressError::OfFile | AddressError::LocksOut { .. } => {
            Envelope::detail(StatusCode::BAD_REQUEST, error.to_string())
        }
        AddressError::Absent => Envelope::detail(StatusCode::NOT_FOUND, error.to_string()),
        AddressError::Database(error) => database(error),
    }
}

fn tag(error: &TagError, habit: Habit) -> Envelope {
    match error {
        TagError::Exists(_) | TagError::BadName | TagError::TooMany(_) | TagError::Day { .. } => {
            habit.refuse(StatusCode::BAD_REQUEST, error.to_string())
        }
        TagError::NotFound(_) | TagError::NoneSuch(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        TagError::Model(TagModelError::Unknown(_) | TagModelError::OfFile(_)) => {
            habit.refuse(StatusCode::BAD_REQUEST, error.to_string())
        }
        TagError::Budget(error) => budget(error, habit),
        TagError::Model(TagModelError::Database(error)) | TagError::Database(error) => database(error),
    }
}

fn organization(error: &OrganizationError, habit: Habit) -> Envelope {
    match error {
        OrganizationError::Exists(_)
        | OrganizationError::BadId
        | OrganizationError::Unknown(_)
        | OrganizationError::OtherId
        | OrganizationError::Above { .. }
        | OrganizationError::OfTeam { .. }
        | OrganizationError::AlreadyMember(_)
        | OrganizationError::NotMember
        | OrganizationError::OtherAddress(_)
        | OrganizationError::TooMany(_) => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
        OrganizationError::Model { .. } => {
            Envelope::error(StatusCode::BAD_REQUEST, "org_model_access_denied", Some("models"), error.to_string())
        }
        OrganizationError::NoId => habit.refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        OrganizationError::NotFound(_) => habit.refuse(StatusCode::NOT_FOUND, error.to_string()),
        OrganizationError::OwnModels(_) | OrganizationError::NotAllowed(_) => {
            habit.refuse(StatusCode::FORBIDDEN, error.to_string())
        }
        OrganizationError::Budget(error) => budget(error, habit),
        OrganizationError::Database(error) => database(error),
    }
}

fn limit(error: &LimitError, habit: Habit) -> Envelope {
    match error {
        LimitError::Amount { .. }
        | LimitError::Negative { .. }
        | LimitError::Duration { .. }
        | LimitError::Malformed { .. } => habit.refuse(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// Where database errors stop: they are logged here, and the caller hears only whether to try again.
fn database(error: &sqlx::Error) -> Envelope {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        // Deadlock, serialization, lock not available: two changes met.
        (_, Some("40P01" | "40001" | "55P03")) => {
            tracing::warn!(%error, "two changes met; one was undone");
            let message = "Another change of the same objects was in the way. Nothing was changed; try again.";
            Envelope::error(StatusCode::CONFLICT, "conflict_error", None, message)
        }
        // Ids, aliases and addresses are indexed, and an index takes up to 2.7 kB of one.
        (_, Some("54000")) => {
            let message = "An id, an alias or an e-mail address is too long: give it at most 2,000 characters.";
            Envelope::error(StatusCode::BAD_REQUEST, "bad_request_error", None, message)
        }
        (
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
            _,
        )
        | (_, Some("57P01" | "57P02" | "57P03" | "53300")) => unreachable_database(error),
        (_, Some(code)) if code.starts_with("08") => unreachable_database(error),
        _ => {
            tracing::error!(error = error as &dyn std::error::Error, "a query failed");
            Envelope::broken()
        }
    }
}

fn unreachable_database(error: &sqlx::Error) -> Envelope {
    tracing::error!(%error, "the database is not reachable");
    let message = "The database is not available. Model calls go on; try this again in a moment.";
    Envelope::error(StatusCode::SERVICE_UNAVAILABLE, "no_db_connection", Some(NONE), message)
}

/// An id in a message to somebody who may not be its owner: the first six and last two characters.
fn masked(id: &str) -> String {
    let count = id.chars().count();
    if count <= 8 {
        return "***".to_owned();
    }
    let seen = |(at, char): (usize, char)| if at < 6 || at >= count - 2 { char } else { '*' };
    id.chars().enumerate().map(seen).collect()
}

/// A moment as Python prints it, which is what the message is known for.
fn python_time(at: time::OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]+00:00");
    at.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use time::macros::datetime;

    use super::*;
    use crate::access::Role;

    fn refused(error: AccessError) -> (u16, Value) {
        let envelope = access(&error, Habit::Generic);
        (envelope.status.as_u16(), envelope.body)
    }

    #[test]
    fn four_kinds_of_bad_keys_have_one_status_and_four_types() {
        let hash = KeyHash::of("sk-0123456789abcdef");
        let shown = "sk-...cdef".to_owned();
        let expired = AccessError::Expired {
            at: datetime!(2025-01-01 0:00 UTC),
            now: datetime!(2025-01-02 0:00 UTC),
            shown: shown.clone(),
        };
        let errors =
            [AccessError::Blocked, AccessError::Unknown { shown, hash }, expired, AccessError::TeamBlocked("t".into())];
        let answers: Vec<_> = errors.into_iter().map(refused).collect();
        insta::assert_json_snapshot!(answers);
    }

    #[test]
    fn a_refused_route_names_route_role_and_a_masked_user() {
        let error = |user_id: &str| AccessError::AdminsOnly {
            route: "/team/new".to_owned(),
            role: Role::InternalUser,
            user_id: Some(user_id.to_owned()),
        };
        let message = |user_id| refused(error(user_id)).1["error"]["message"].to_string();
        assert!(message("u1").contains("Route=/team/new. Your role=internal_user. Your user_id=***"));
        assert!(message("default_user_id").contains("user_id=defaul*******id"));
    }

    #[test]
    fn one_error_has_the_type_that_the_endpoint_gives_it() {
        let error = AdminError::Access(AccessError::Forbidden("no".into()));
        let kind = |habit| of(&error, habit).body["error"]["type"].clone();
        assert_eq!(kind(Habit::Generic), "internal_server_error");
        assert_eq!(kind(Habit::AuthStyle), "auth_error");
        assert_eq!(of(&error, Habit::Plain).body, json!({"detail": {"error": "no"}}));
    }
}
