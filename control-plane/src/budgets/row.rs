//! A budget that is a row of its own, with the limits that stand beside it.

use proto::NanoUsd;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Budget, read};
use crate::limits::LimitError;

/// A budget as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BudgetRow {
    pub(crate) budget_id: String,
    pub(crate) max_budget: Option<NanoUsd>,
    pub(crate) soft_budget: Option<NanoUsd>,
    pub(crate) budget_duration: Option<String>,
    pub(crate) rpm_limit: Option<i64>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) tpd_limit: Option<i64>,
    pub(crate) max_parallel_requests: Option<i64>,
    /// By model: `{max_budget, budget_duration}`.
    pub(crate) model_max_budget: Option<Map<String, Value>>,
    pub(crate) allowed_models: Vec<String>,
    /// On top of `max_budget`, until `temp_expires_at`.
    pub(crate) temp_increase: Option<NanoUsd>,
    pub(crate) temp_expires_at: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) created_by: String,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) updated_by: String,
}

impl BudgetRow {
    /// A row that limits nothing.
    pub(super) fn empty(budget_id: String, by: &str, now: OffsetDateTime) -> Self {
        Self {
            budget_id,
            max_budget: None,
            soft_budget: None,
            budget_duration: None,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            model_max_budget: None,
            allowed_models: Vec::new(),
            temp_increase: None,
            temp_expires_at: None,
            created_at: now,
            created_by: by.to_owned(),
            updated_at: now,
            updated_by: by.to_owned(),
        }
    }

    /// How much an owner who is linked to it may spend: of everything, and by model.
    pub(crate) fn budgets(&self) -> Result<Vec<Budget>, LimitError> {
        let mut kept = Map::new();
        if let Some(models) = &self.model_max_budget {
            kept.insert("model_max_budget".to_owned(), Value::Object(models.clone()));
        }
        read(Budget::of_all(self.max_budget, self.budget_duration.as_deref()), &kept)
    }
}
