//! The fields of a budget, and changing one: what a request leaves out stays, `null` clears. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::publish::moment;
use super::{BudgetError, BudgetRow};
use crate::http::fields::{Field, Form, Patch, Shape, optional};
use crate::limits;

/// The field by which an owner shares a budget.
pub(crate) const LINK: &[Field] =
    &[optional("budget_id", Shape::Text, "The budget to share with others, instead of limits of one's own.")];

/// Fields that an owner with a budget of its own takes too.
pub(crate) const LIMITS: &[Field] = &[
    optional("max_budget", Shape::Usd, "Most that may be spent, in US dollars."),
    optional("soft_budget", Shape::Usd, "Spend at which somebody is told, in US dollars."),
    optional(
        "budget_duration",
        Shape::Text,
        "How often the budget starts anew: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`.",
    ),
    optional("max_parallel_requests", Shape::Whole, "Requests at once."),
    optional("tpm_limit", Shape::Whole, "Tokens per minute."),
    optional("rpm_limit", Shape::Whole, "Requests per minute."),
    optional("tpd_limit", Shape::Whole, "Tokens per day."),
    optional("model_max_budget", Shape::Object, "A budget of each model: `{model: {max_budget, budget_duration}}`."),
];

/// Fields that only `/budget/…` takes.
pub(super) const MORE: &[Field] = &[
    optional("allowed_models", Shape::Texts, "Models that members of a team with this budget may call."),
    optional("temp_budget_increase", Shape::Number, "US dollars on top of `max_budget`, for a while."),
    optional("temp_budget_expiry", Shape::Text, "Until when: a date, or a date and a time."),
];

/// What a request says of a budget.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct BudgetPatch {
    pub(crate) max_budget: Patch<f64>,
    pub(crate) soft_budget: Patch<f64>,
    pub(crate) budget_duration: Patch<String>,
    pub(crate) max_parallel_requests: Patch<i64>,
    pub(crate) tpm_limit: Patch<i64>,
    pub(crate) rpm_limit: Patch<i64>,
    pub(crate) tpd_limit: Patch<i64>,
    pub(crate) model_max_budget: Patch<Map<String, Value>>,
    pub(crate) allowed_models: Patch<Vec<String>>,
    pub(crate) temp_increase: Patch<f64>,
    pub(crate) temp_expiry: Patch<String>,
}

impl BudgetPatch {
    /// Takes the fields of both tables.
    pub(super) fn read(form: &mut Form) -> Self {
        Self {
            max_budget: form.take("max_budget"),
            soft_budget: form.take("soft_budget"),
            budget_duration: form.take("budget_duration"),
            max_parallel_requests: form.take("max_parallel_requests"),
            tpm_limit: form.take("tpm_limit"),
            rpm_limit: form.take("rpm_limit"),
            tpd_limit: form.take("tpd_limit"),
            model_max_budget: form.take("model_max_budget"),
            allowed_models: form.take("allowed_models"),
            temp_increase: form.take("temp_budget_increase"),
            temp_expiry: form.take("temp_budget_expiry"),
        }
    }

    /// Whether it says nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it gives any of the fields in [`LIMITS`] a value.
    pub(super) fn limits_anything(&self) -> bool {
        fn given<T>(patch: &Patch<T>) -> bool {
            matches!(patch, Patch::To(_))
        }
        given(&self.max_budget)
            || given(&self.soft_budget)
            || given(&self.budget_duration)
            || given(&self.max_parallel_requests)
            || given(&self.tpm_limit)
            || given(&self.rpm_limit)
            || given(&self.tpd_limit)
            || given(&self.model_max_budget)
    }
}

/// The budget as it is after the change; the same in every field where nothing changed.
pub(super) fn apply(
    before: &BudgetRow,
    patch: BudgetPatch,
    by: &str,
    now: OffsetDateTime,
) -> Result<BudgetRow, BudgetError> {
    let mut row = before.clone();
    limits::set(patch.max_budget, &mut row.max_budget, |value| limits::usd("max_budget", value))?;
    limits::set(patch.soft_budget, &mut row.soft_budget, |value| limits::usd("soft_budget", value))?;
    limits::set(patch.budget_duration, &mut row.budget_duration, limits::window)?;
    let parallel = |value| limits::limit("max_parallel_requests", value);
    limits::set(patch.max_parallel_requests, &mut row.max_parallel_requests, parallel)?;
    limits::set(patch.tpm_limit, &mut row.tpm_limit, |value| limits::limit("tpm_limit", value))?;
    limits::set(patch.rpm_limit, &mut row.rpm_limit, |value| limits::limit("rpm_limit", value))?;
    limits::set(patch.tpd_limit, &mut row.tpd_limit, |value| limits::limit("tpd_limit", value))?;
    patch.model_max_budget.apply(&mut row.model_max_budget);
    patch.allowed_models.fill(&mut row.allowed_models);
    limits::set(patch.temp_increase, &mut row.temp_increase, |value| limits::usd("temp_budget_increase", value))?;
    match patch.temp_expiry {
        Patch::Keep => {}
        Patch::Clear => row.temp_expires_at = None,
        Patch::To(text) => row.temp_expires_at = Some(moment(&text).ok_or(BudgetError::Expiry(text))?),
    }
    row.budgets()?; // of which each model's must be one
    if row != *before {
        row.updated_at = now;
        by.clone_into(&mut row.updated_by);
    }
    Ok(row)
}
