//! Changing a team: what a request leaves out stays, `null` clears. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::fields::{COLUMNS, KEPT, METADATA};
use super::members::{self, DEFAULTS};
use super::{DEFAULT_BUDGET, Team, TeamError};
use crate::budgets::BudgetPatch;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional, required};
use crate::limits;

const WHICH: &[Field] = &[required("team_id", Shape::Text, "The team to change.")];

/// What `POST /team/update` asks for.
#[derive(Debug)]
pub(super) struct TeamPatch {
    pub(super) team_id: String,
    alias: Patch<String>,
    organization_id: Patch<String>,
    models: Patch<Vec<String>>,
    model_aliases: Patch<Map<String, Value>>,
    metadata: Patch<Map<String, Value>>,
    blocked: Patch<bool>,
    max_budget: Patch<f64>,
    soft_budget: Patch<f64>,
    budget_duration: Patch<String>,
    tpm_limit: Patch<i64>,
    rpm_limit: Patch<i64>,
    max_parallel_requests: Patch<i64>,
    in_metadata: Map<String, Value>,
    kept: Map<String, Value>,
    /// What is said of all members.
    pub(super) of_members: BudgetPatch,
}

impl Request for TeamPatch {
    const NAME: &'static str = "TeamPatch";
    const FIELDS: &'static [&'static [Field]] = &[WHICH, COLUMNS, METADATA, KEPT, DEFAULTS];

    fn read(form: Form) -> Result<Self, Vec<Issue>> {
        Self::of(form)
    }
}

/// What `PATCH /team/{team_id}` asks for: the same, with metadata that goes into what there is.
#[derive(Debug)]
pub(super) struct TeamMerge {
    /// Empty where the body does not say it.
    pub(super) patch: TeamPatch,
    metadata: Map<String, Value>,
}

impl Request for TeamMerge {
    const NAME: &'static str = "TeamMerge";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("team_id", Shape::Text, "As in the path, or nothing.")], COLUMNS, METADATA, KEPT, DEFAULTS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let metadata = form.take("metadata");
        let mut patch = TeamPatch::of(form)?;
        if metadata == Patch::Clear {
            patch.metadata = Patch::Clear;
        }
        Ok(Self { patch, metadata: metadata.given().unwrap_or_default() })
    }
}

impl TeamPatch {
    fn of(mut form: Form) -> Result<Self, Vec<Issue>> {
        let organization_id = match form.take::<String>("organization_id") {
            Patch::To(id) if id.is_empty() => Patch::Clear,
            said => said,
        };
        Ok(Self {
            team_id: form.take("team_id").given().unwrap_or_default(),
            alias: form.take("team_alias"),
            organization_id,
            models: form.take("models"),
            model_aliases: form.take("model_aliases"),
            metadata: form.take("metadata"),
            blocked: form.take("blocked"),
            max_budget: form.take("max_budget"),
            soft_budget: form.take("soft_budget"),
            budget_duration: form.take("budget_duration"),
            tpm_limit: form.take("tpm_limit"),
            rpm_limit: form.take("rpm_limit"),
            max_parallel_requests: form.take("max_parallel_requests"),
            in_metadata: form.take_all(METADATA),
            kept: form.take_all(KEPT),
            of_members: members::read_defaults(&mut form),
        })
    }
}

/// The team as it is after the change.
pub(super) fn apply(mut team: Team, patch: TeamPatch, now: OffsetDateTime) -> Result<Team, TeamError> {
    patch.alias.apply(&mut team.alias);
    patch.organization_id.apply(&mut team.organization_id);
    patch.models.fill(&mut team.models);
    patch.model_aliases.fill(&mut team.model_aliases);
    patch.blocked.fill(&mut team.blocked);
    limits::set(patch.max_budget, &mut team.max_budget, |value| limits::usd("max_budget", value))?;
    limits::set(patch.soft_budget, &mut team.soft_budget, |value| limits::usd("soft_budget", value))?;
    limits::set(patch.budget_duration, &mut team.budget_duration, limits::window)?;
    limits::set(patch.tpm_limit, &mut team.tpm_limit, |value| limits::limit("tpm_limit", value))?;
    limits::set(patch.rpm_limit, &mut team.rpm_limit, |value| limits::limit("rpm_limit", value))?;
    let parallel = |value| limits::limit("max_parallel_requests", value);
    limits::set(patch.max_parallel_requests, &mut team.max_parallel_requests, parallel)?;
    let of_members = team.metadata.get(DEFAULT_BUDGET).cloned();
    patch.metadata.fill(&mut team.metadata);
    team.metadata.extend(patch.in_metadata.into_iter().filter(|(_, value)| !value.is_null()));
    keep_member(&mut team.metadata, of_members);
    limits::merge(&mut team.more, patch.kept);
    team.updated_at = now;
    check_budgets(&team)?;
    Ok(team)
}

/// The team as it is after the change, its metadata merged as RFC 7386 says.
pub(super) fn merge(mut team: Team, wanted: TeamMerge, now: OffsetDateTime) -> Result<Team, TeamError> {
    let of_members = team.metadata.get(DEFAULT_BUDGET).cloned();
    team.metadata = merged(team.metadata, wanted.metadata);
    keep_member(&mut team.metadata, of_members);
    apply(team, wanted.patch, now)
}

/// What requests say of the budget of members in metadata is passed over: fields say it.
fn keep_member(metadata: &mut Map<String, Value>, before: Option<Value>) {
    match before {
        Some(before) => _ = metadata.insert(DEFAULT_BUDGET.to_owned(), before),
        None => _ = metadata.shift_remove(DEFAULT_BUDGET),
    }
}

/// The members of `into` with `changes` put into it.
pub(super) fn merged(into: Map<String, Value>, changes: Map<String, Value>) -> Map<String, Value> {
    let mut merged = Value::Object(into);
    merge_json(&mut merged, Value::Object(changes));
    match merged {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn merge_json(place: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else {
        *place = changes;
        return;
    };
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    let Value::Object(members) = place else { return };
    for (name, value) in changes {
        match value.is_null() {
            true => _ = members.shift_remove(&name),
            false => merge_json(members.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// A soft budget that is not below the budget would never be heard of in time.
pub(super) fn check_budgets(team: &Team) -> Result<(), TeamError> {
    match (team.soft_budget, team.max_budget) {
        (Some(soft), Some(max)) if soft >= max => Err(TeamError::SoftBudget { soft: soft.to_usd(), max: max.to_usd() }),
        _ => Ok(()),
    }
}
