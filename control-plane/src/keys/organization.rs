//! The organization that a key belongs to: its team's, where that has one.

use sqlx::PgConnection;

use super::{Key, KeyError};
use crate::organizations::{OrganizationError, Part, check_part};
use crate::teams::{self, Team};

/// The organization of a key of this team, for which one was named, or none.
pub(super) fn of_key(team: Option<&Team>, said: Option<String>) -> Result<Option<String>, OrganizationError> {
    let of_team = team.and_then(|team| team.organization_id.clone());
    match (said, of_team) {
        (Some(said), Some(of_team)) if said != of_team => Err(OrganizationError::OfTeam { said, of_team }),
        (said, of_team) => Ok(of_team.or(said)),
    }
}

/// Makes the organization of a changed key its team's, and checks it where it, the team or the models are other than before.
pub(super) async fn settle(db: &mut PgConnection, before: &Key, key: &mut Key) -> Result<(), KeyError> {
    let is_moved = key.team_id != before.team_id;
    let is_said = key.organization_id != before.organization_id;
    if !is_moved && !is_said && key.models == before.models {
        return Ok(());
    }
    let team = match &key.team_id {
        Some(team_id) => teams::find(db, team_id).await?,
        None => None,
    };
    // That of the team which it leaves stays behind.
    let said = key.organization_id.take().filter(|_| is_said || !is_moved);
    key.organization_id = of_key(team.as_ref(), said)?;
    check(db, key.organization_id.as_deref(), &key.models).await?;
    Ok(())
}

/// Checks that the organization exists, and may call what the key is to call. Its budget and limits a key may exceed: they hold
/// for each call.
pub(super) async fn check(
    db: &mut PgConnection,
    organization_id: Option<&str>,
    models: &[String],
) -> Result<(), OrganizationError> {
    let Some(organization_id) = organization_id else { return Ok(()) };
    let part = Part { noun: "key", models, max_budget: None, tpm_limit: None, rpm_limit: None };
    check_part(db, organization_id, &part).await
}
