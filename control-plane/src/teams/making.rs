//! Making a team out of a request. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::defaults::Defaults;
use super::fields::{COLUMNS, KEPT, METADATA};
use super::members::{self, DEFAULTS};
use super::{DEFAULT_BUDGET, RESERVED_ID, Team, TeamError, member_from, patch};
use crate::budgets::BudgetPatch;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::limits;

const MAKING: &[Field] = &[
    optional("team_id", Shape::Text, "The id of the team. Absent: a random one."),
    optional("members_with_roles", Shape::Objects, "Members: `[{role: admin|user, user_id|user_email}]`."),
];

/// What `POST /team/new` asks for.
#[derive(Debug)]
pub(super) struct NewTeam {
    team_id: Option<String>,
    members: Vec<Map<String, Value>>,
    alias: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    model_aliases: Map<String, Value>,
    metadata: Map<String, Value>,
    blocked: bool,
    max_budget: Option<f64>,
    soft_budget: Option<f64>,
    /// `null` is said and means: never anew.
    budget_duration: Patch<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    in_metadata: Map<String, Value>,
    kept: Map<String, Value>,
    of_members: BudgetPatch,
}

impl NewTeam {
    /// The organization whom it is to belong to.
    pub(super) fn organization_id(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }
}

impl Request for NewTeam {
    const NAME: &'static str = "NewTeam";
    const FIELDS: &'static [&'static [Field]] = &[MAKING, COLUMNS, METADATA, KEPT, DEFAULTS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            team_id: form.take::<String>("team_id").given().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
            members: form.take("members_with_roles").given().unwrap_or_default(),
            alias: form.take("team_alias").given(),
            organization_id: form.take("organization_id").given().filter(|id: &String| !id.is_empty()),
            models: form.take("models").given().unwrap_or_default(),
            model_aliases: form.take("model_aliases").given().unwrap_or_default(),
            metadata: form.take("metadata").given().unwrap_or_default(),
            blocked: form.take("blocked").given().unwrap_or(false),
            max_budget: form.take("max_budget").given(),
            soft_budget: form.take("soft_budget").given(),
            budget_duration: form.take("budget_duration"),
            tpm_limit: form.take("tpm_limit").given(),
            rpm_limit: form.take("rpm_limit").given(),
            max_parallel_requests: form.take("max_parallel_requests").given(),
            in_metadata: form.take_all(METADATA),
            kept: form.take_all(KEPT),
            of_members: members::read_defaults(&mut form),
        })
    }
}

/// Makes the team that was asked for, and gives what was said of all of its members; what is not said is what the operator set.
/// The members are as they were written.
pub(super) fn make(new: NewTeam, defaults: Defaults, now: OffsetDateTime) -> Result<(Team, BudgetPatch), TeamError> {
    let team_id = new.team_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    if team_id == RESERVED_ID {
        return Err(TeamError::Reserved(team_id));
    }
    let mut metadata = new.metadata;
    metadata.shift_remove(DEFAULT_BUDGET);
    metadata.extend(new.in_metadata.into_iter().filter(|(_, value)| !value.is_null()));
    const PERMISSIONS: &str = "team_member_permissions";
    let mut more: Map<String, Value> = new.kept.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if let Some(permissions) = defaults.member_permissions
        && !more.contains_key(PERMISSIONS)
    {
        more.insert(PERMISSIONS.to_owned(), permissions.into());
    }
    let budget_duration = match new.budget_duration {
        Patch::Keep => defaults.budget_duration,
        Patch::Clear => None,
        Patch::To(window) => Some(window),
    };
    let mut team = Team {
        team_id,
        alias: new.alias,
        organization_id: new.organization_id.or(defaults.organization_id),
        members: Vec::new(),
        models: if new.models.is_empty() { defaults.models } else { new.models },
        model_aliases: new.model_aliases,
        metadata,
        blocked: new.blocked,
        max_budget: limits::usd("max_budget", new.max_budget)?.or(defaults.max_budget),
        soft_budget: limits::usd("soft_budget", new.soft_budget)?,
        budget_duration: limits::window(budget_duration)?,
        tpm_limit: limits::limit("tpm_limit", new.tpm_limit)?.or(defaults.tpm_limit),
        rpm_limit: limits::limit("rpm_limit", new.rpm_limit)?.or(defaults.rpm_limit),
        max_parallel_requests: limits::limit("max_parallel_requests", new.max_parallel_requests)?,
        more,
        created_at: now,
        updated_at: now,
    };
    patch::check_budgets(&team)?;
    for member in &new.members {
        team.add(member_from(member).ok_or(TeamError::NamelessMember)?);
    }
    Ok((team, new.of_members))
}
