//! What can be wrong with a request about keys.

use proto::KeyHash;

use super::Key;
use crate::limits::LimitError;
use crate::operator::OperatorError;
use crate::organizations::OrganizationError;

/// Why a request about keys is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("Key with alias '{0}' already exists. Key aliases are unique across all keys")]
    AliasTaken(String),
    #[error("Invalid key_alias: it may hold no control characters, `..` or backslashes, and at most 255 characters")]
    BadAlias,
    /// What follows says which form is asked for.
    #[error("Invalid key_alias: {0}")]
    AliasForm(String),
    #[error("Values of keys are random here: leave `key`, or `new_key`, out")]
    ChosenValue,
    #[error("{name} is over max limit set in config - user_value={wanted}; max_value={most}")]
    AboveBound { name: &'static str, wanted: String, most: String },
    #[error("Required param {0} not in data")]
    RequiredParam(String),
    #[error("Team member role {role} not in allowed_team_member_roles={allowed:?}")]
    TeamRole { allowed: Vec<String>, role: &'static str },
    #[error("Personal key creation has been restricted by admin. Allowed roles={allowed:?}. Your role={role}")]
    PersonalKey { allowed: Vec<String>, role: &'static str },
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error("This key already exists. Leave `key` out to get a random one")]
    ValueTaken,
    #[error("This key was used before. Leave `new_key`, or `key` of a new one, out to get a random one")]
    ValueUsed,
    #[error(
        "The master key is not regenerated here: start the control planes with another one (LITELLM_MASTER_KEY, or \
         general_settings.master_key). What is stored is sealed with the vault key, and stays readable"
    )]
    Master,
    #[error(
        "Invalid key: it must start with `sk-`, hold only letters, digits, `-` and `_`, and have 16 to 100 characters"
    )]
    BadValue,
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("There is no budget {0}. Make it with /budget/new first")]
    UnknownBudget(String),
    #[error("Unable to find team object in database. Team ID: {0}")]
    UnknownTeam(String),
    #[error("team_id is required: a service account belongs to a team. Make one with `/team/new` first")]
    NoTeam,
    #[error("metadata.service_account_id cannot be changed")]
    ServiceAccount,
    #[error("max_budget {wanted} is more than the max_budget {own} of the key that makes it")]
    AboveOwnBudget { wanted: f64, own: f64 },
    #[error("This key is named more than once")]
    Twice,
    #[error("At most {0} keys can be changed at once: send them in several calls")]
    TooMany(usize),
    #[error("{0}")]
    NotAllowed(String),
    /// Asked for by `/key/update` and the blocks.
    #[error("Key not found.")]
    NotFound,
    #[error("Key not found in database")]
    NotInDatabase,
    /// Asked for by a path.
    #[error("Key {0} not found.")]
    Unknown(String),
    #[error(
        "reset_to {wanted} is more than {name}, which is {most}: spend is reset to less, and raised with /key/update"
    )]
    ResetAbove { wanted: f64, name: &'static str, most: f64 },
    #[error("No keys found")]
    NoneFound,
    #[error("No key has the alias '{0}'")]
    NoSuchAlias(String),
    #[error("Several keys have the alias '{0}'")]
    AliasAmbiguous(String),
    #[error("Invalid key format.")]
    Format,
    #[error("storing keys")]
    Database(#[from] sqlx::Error),
}

impl KeyError {
    /// No key is meant by this text, which may be the value of one.
    pub(super) fn unknown(said: &str) -> Self {
        Self::Unknown(if said.parse::<KeyHash>().is_ok() { said.to_owned() } else { proto::key::masked(said) })
    }

    /// What a failed insert or update of this row means.
    pub(super) fn from_insert(error: sqlx::Error, key: &Key) -> Self {
        if matches!(error, sqlx::Error::RowNotFound) {
            return Self::ValueUsed;
        }
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("keys_alias_unique") => Self::AliasTaken(key.alias.clone().unwrap_or_default()),
            Some("keys_pkey") => Self::ValueTaken,
            Some(_) | None => Self::Database(error),
        }
    }
}
