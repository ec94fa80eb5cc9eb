//! The fields of an organization, and changing one: what a request leaves out stays, `null` clears. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::Organization;
use crate::budgets::{LIMITS, Wanted};
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, nested, optional};
use crate::teams;

/// Fields with which an organization is made and changed.
pub(super) const COLUMNS: &[Field] = &[
    optional("organization_alias", Shape::Text, "A name for the organization. Required of a new one."),
    optional("models", Shape::Texts, "Models that its teams and keys may call. Empty: all."),
    optional("metadata", Shape::Object, "Anything that you want to keep with it; changes go into what there is."),
    optional("object_permission", Shape::Object, "MCP servers, vector stores, agents that it may use."),
    optional("model_rpm_limit", Shape::Object, "Refused until models of organizations have limits."),
    optional("model_tpm_limit", Shape::Object, "Refused until models of organizations have limits."),
];

/// What a request says of an organization.
#[derive(Debug)]
pub(super) struct OrganizationPatch {
    pub(super) alias: Patch<String>,
    pub(super) models: Patch<Vec<String>>,
    metadata: Patch<Map<String, Value>>,
    object_permission: Patch<Map<String, Value>>,
    pub(super) budget: Wanted,
}

impl OrganizationPatch {
    /// Takes [`COLUMNS`], and the fields of a budget.
    pub(super) fn read(form: &mut Form) -> Result<Self, Vec<Issue>> {
        for name in ["model_rpm_limit", "model_tpm_limit"] {
            if let Some(said) = form.take::<Map<String, Value>>(name).given().filter(|said| !said.is_empty()) {
                let msg = "Limits of single models are not held for organizations: give them to teams or keys";
                return Err(vec![Issue::of_field("value_error", name, msg, Value::Object(said))]);
            }
        }
        Ok(Self {
            alias: form.take("organization_alias"),
            models: form.take("models"),
            metadata: form.take("metadata"),
            object_permission: form.take("object_permission"),
            budget: Wanted::read(form)?,
        })
    }

    /// The same, where limits may stand in `litellm_budget_table` instead, as answers show them.
    pub(super) fn read_nested(form: &mut Form) -> Result<Self, Vec<Issue>> {
        let table = form.take::<Map<String, Value>>("litellm_budget_table").given();
        let mut patch = Self::read(form)?;
        if let Some(table) = table.filter(|table| !table.is_empty()) {
            if patch.budget.is_said() {
                let msg = "Give limits either here or beside it";
                return Err(vec![Issue::of_field("value_error", "litellm_budget_table", msg, Value::Object(table))]);
            }
            patch.budget = nested::<Table>("litellm_budget_table", table)?.0.0;
        }
        Ok(patch)
    }

    /// Whether it says more than a name and metadata: what the organization may do.
    pub(super) fn is_about_rights(&self) -> bool {
        self.models.is_said() || self.object_permission.is_said() || self.budget.is_said()
    }
}

/// `litellm_budget_table`.
struct Table(Wanted);

impl Request for Table {
    const NAME: &'static str = "OrganizationBudget";
    const FIELDS: &'static [&'static [Field]] = &[LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Wanted::read(&mut form).map(Self)
    }
}

/// The organization as it is after the change, beside its budget; the same in every field where nothing changed.
pub(super) fn apply(
    before: &Organization,
    patch: OrganizationPatch,
    budget_id: Option<String>,
    by: &str,
    now: OffsetDateTime,
) -> Organization {
    let mut row = before.clone();
    if let Patch::To(alias) = patch.alias {
        row.alias = alias;
    }
    patch.models.fill(&mut row.models);
    patch.object_permission.apply(&mut row.object_permission);
    match patch.metadata {
        Patch::Keep => {}
        Patch::Clear => row.metadata.clear(),
        Patch::To(metadata) => row.metadata = teams::merged(row.metadata, metadata),
    }
    row.budget_id = budget_id;
    if row != *before {
        row.updated_at = now;
        by.clone_into(&mut row.updated_by);
    }
    row
}
