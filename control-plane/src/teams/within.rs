//! Teams and their organizations: what a team may have of one, and what the organization's own admins may not say of a team.

use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{Team, TeamError, store};
use crate::access::{AccessError, Actor, Permission, Subject};
use crate::change::Change;
use crate::error::AdminError;
use crate::keys::{self, CHANGED_BY_FLAG};
use crate::organizations::{OrganizationError, Part, check_part};

/// Fields of metadata that reach beyond an organization.
const RESERVED_METADATA: &[&str] = &[
    CHANGED_BY_FLAG,
    "allow_client_mock_response",
    "allowed_passthrough_routes",
    "callback_settings",
    "denied_passthrough_routes",
    "disable_global_guardrails",
    "logging",
    "secret_manager_settings",
];

/// Other fields that do.
const RESERVED: &[&str] = &["access_group_ids", "object_permission", "policies", "router_settings"];

impl Team {
    /// Checks that the organization exists and has what the team is to have, where either is new.
    pub(super) async fn check_organization(
        &self,
        db: &mut PgConnection,
        before: Option<&Self>,
    ) -> Result<(), OrganizationError> {
        let part = |team: &Self| {
            let models: Vec<String> = team.models.iter().chain(&team.models_of_aliases()).cloned().collect();
            (team.organization_id.clone(), models, team.max_budget, team.tpm_limit, team.rpm_limit)
        };
        let (organization_id, models, max_budget, tpm_limit, rpm_limit) = part(self);
        let Some(organization_id) = organization_id else { return Ok(()) };
        if before.is_some_and(|before| part(before) == part(self)) {
            return Ok(());
        }
        check_part(db, &organization_id, &Part { noun: "team", models: &models, max_budget, tpm_limit, rpm_limit })
            .await
    }

    /// Where the team's own aliases lead.
    fn models_of_aliases(&self) -> Vec<String> {
        self.model_aliases.values().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Checks what somebody who administers the team's organization makes of it: it stays in one that is theirs, and gets
    /// nothing that is not the organization's to give.
    pub(super) fn check_rights(&self, actor: &Actor, before: Option<&Self>) -> Result<(), AdminError> {
        if actor.is_admin() {
            return Ok(());
        }
        if before.is_none_or(|before| before.organization_id != self.organization_id) {
            let organization_id = self.organization_id.as_deref();
            actor.may(Permission::CreateTeam, &Subject::NewTeam { organization_id })?;
        }
        let none = Map::new();
        let differs = |now: &Map<String, Value>, was: Option<&Map<String, Value>>, names: &[&'static str]| {
            names.iter().copied().find(|name| now.get(*name) != was.unwrap_or(&none).get(*name))
        };
        let of_metadata = differs(&self.metadata, before.map(|before| &before.metadata), RESERVED_METADATA);
        let of_others = differs(&self.more, before.map(|before| &before.more), RESERVED);
        match of_metadata.or(of_others) {
            Some(name) => {
                let text = format!("Only proxy admins can set {name} of a team.");
                Err(AccessError::Forbidden(text).into())
            }
            None => Ok(()),
        }
    }

    /// Lets the team's keys follow it where it has moved to another organization, or out of one.
    pub(super) async fn move_keys(&self, change: &mut Change, before: &Self) -> Result<(), TeamError> {
        if before.organization_id != self.organization_id {
            keys::move_of_team(change, &self.team_id, self.organization_id.as_deref()).await?;
        }
        Ok(())
    }
}

/// The teams of these organizations, by alias.
pub(crate) async fn of_organizations(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Team>> {
    match ids.is_empty() {
        true => Ok(Vec::new()),
        false => store::of_organizations(db, ids).await,
    }
}

/// Locks the teams of these organizations, as everybody does before organizations.
pub(crate) async fn lock_of_organizations(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Team>> {
    let team_ids: Vec<String> = store::of_organizations(db, ids).await?.into_iter().map(|team| team.team_id).collect();
    store::locked(db, &team_ids).await
}

/// Deletes the teams of organizations, whose rows are locked, with all of their keys.
pub(crate) async fn remove_of_organizations(change: &mut Change, ids: &[String]) -> sqlx::Result<()> {
    let teams = lock_of_organizations(change.db(), ids).await?;
    super::remove(change, &teams).await
}
