//! What can be wrong with a request about teams.

use crate::budgets::BudgetError;
use crate::limits::LimitError;
use crate::operator::OperatorError;

/// Why a request about teams is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TeamError {
    #[error("Team id = {0} already exists. Please use a different team id.")]
    Exists(String),
    #[error("Team id = {0} is reserved.")]
    Reserved(String),
    #[error("Team not found, passed team id: {0}.")]
    NotFound(String),
    /// LiteLLM answers this in its envelope, not as a list of fields.
    #[error("team_id is required: /team/info?team_id=...")]
    NoId,
    #[error("soft_budget ({soft}) must be lower than max_budget ({max})")]
    SoftBudget { soft: f64, max: f64 },
    #[error("a member needs a user_id or a user_email")]
    NamelessMember,
    #[error("User {0} is already a member of the team")]
    AlreadyMember(String),
    #[error("User not found in team")]
    NotMember,
    #[error("reset_to must not be above the current spend: {wanted} > {most}")]
    ResetAbove { wanted: f64, most: f64 },
    #[error("The user {0} has another e-mail address")]
    OtherAddress(String),
    #[error("Only admin users can query all teams/other teams. Your user_id={0}")]
    ListRefused(String),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(
        "Team {0} may call all models, so taking single ones out of its list would change nothing: name the models that it \
         may call with /team/update first"
    )]
    AllModels(String),
    #[error("At most {0} members can be added at once: send them in several calls")]
    TooManyMembers(usize),
    #[error("The team has a callback {name} for {kind} already: remove it first to change it")]
    CallbackExists { name: String, kind: String },
    #[error("A team has at most {0} callbacks: remove one first")]
    TooManyCallbacks(usize),
    #[error("The team has no callback {0}")]
    NoCallback(String),
    #[error("The team_id in the body is not the one in the path")]
    OtherId,
    #[error("storing teams")]
    Database(#[from] sqlx::Error),
}

impl TeamError {
    /// What a failed insert of a team means.
    pub(super) fn from_insert(error: sqlx::Error, team_id: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("teams_pkey") => Self::Exists(team_id.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
