//! What can be wrong with a request about organizations.

use crate::budgets::BudgetError;

/// Why a request about organizations is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrganizationError {
    #[error("Organization id = {0} already exists. Please use a different organization_id.")]
    Exists(String),
    #[error("organization_id must be a text of 1 to 256 printable characters.")]
    BadId,
    #[error("Organization not found, passed organization_id: {0}")]
    NotFound(String),
    /// Of a team or a key that is to belong to it.
    #[error("Organization not found for organization_id={0}. Create it with /organization/new first.")]
    Unknown(String),
    #[error("organization_id is required: /organization/info?organization_id=...")]
    NoId,
    #[error("The organization_id in the body is not the one in the path")]
    OtherId,
    #[error("{what} of the {noun} is above that of its organization {organization_id}: {wanted} > {most}")]
    Above { what: &'static str, noun: &'static str, organization_id: String, wanted: String, most: String },
    #[error(
        "The {noun} cannot have the model '{model}', which its organization {organization_id} may not call. Its models: {models}"
    )]
    Model { noun: &'static str, model: String, organization_id: String, models: String },
    #[error("organization_id={said} is not that of the key's team, which belongs to {of_team}")]
    OfTeam { said: String, of_team: String },
    #[error("Your key may not call the model '{0}', so it cannot give it to an organization.")]
    OwnModels(String),
    #[error("User {0} is already a member of the organization")]
    AlreadyMember(String),
    #[error("User not found in organization")]
    NotMember,
    #[error("The user {0} has another e-mail address")]
    OtherAddress(String),
    #[error("At most {0} at once: send them in several calls")]
    TooMany(usize),
    /// Who administers an organization may not do this with it.
    #[error("{0}")]
    NotAllowed(String),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error("storing organizations")]
    Database(#[from] sqlx::Error),
}

impl OrganizationError {
    /// What a failed insert of an organization means.
    pub(super) fn from_insert(error: sqlx::Error, organization_id: &str) -> Self {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("organizations_pkey") => Self::Exists(organization_id.to_owned()),
            Some(_) | None => Self::Database(error),
        }
    }
}
