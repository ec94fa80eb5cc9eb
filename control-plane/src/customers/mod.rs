//! Customers: those on whose behalf a client calls, LiteLLM's end users.
//!
//! A client names them and nobody has to make them first: one without a row is [`Customer::seen`] as soon as something was
//! spent for them. What they may spend is a row of budgets that they are linked to, one of their own or a shared one.

mod error;
pub(crate) mod http;
pub(crate) mod publish;
mod store;
pub(crate) mod takeover;
mod view;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::CustomerError;

use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, BudgetError, BudgetRow};
use crate::change::Change;
use crate::http::fields::{Field, Form, Patch, Shape, optional};
use crate::models;
use crate::spend::Owner;

/// A customer as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Customer {
    customer_id: String,
    alias: Option<String>,
    blocked: bool,
    allowed_model_region: Option<String>,
    default_model: Option<String>,
    models: Vec<String>,
    budget_id: Option<String>,
    object_permission: Option<Map<String, Value>>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

/// Fields with which a customer is made and changed.
const COLUMNS: &[Field] = &[
    optional("alias", Shape::Text, "A name for the customer."),
    optional("blocked", Shape::Truth, "Whether calls for the customer are refused."),
    optional("allowed_model_region", Shape::Choice(&["eu", "us"]), "Only deployments in this region serve them."),
    optional("default_model", Shape::Text, "The model of calls that name none."),
    optional("models", Shape::Texts, "Models that may be called for them. Empty: all."),
    optional("object_permission", Shape::Object, "MCP servers, vector stores, agents that they may use."),
];

/// What a request says of a customer, beside the budget.
#[derive(Debug)]
struct CustomerPatch {
    alias: Patch<String>,
    blocked: Patch<bool>,
    allowed_model_region: Patch<String>,
    default_model: Patch<String>,
    models: Patch<Vec<String>>,
    object_permission: Patch<Map<String, Value>>,
}

/// Those who are linked to a budget, by id; until the transaction ends, nobody changes them.
pub(crate) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    store::linked(db, budget_id).await
}

impl Customer {
    /// One of whom only spend knows, or nobody yet.
    fn seen(customer_id: String, by: &str, now: OffsetDateTime) -> Self {
        Self {
            customer_id,
            alias: None,
            blocked: false,
            allowed_model_region: None,
            default_model: None,
            models: Vec::new(),
            budget_id: None,
            object_permission: None,
            created_at: now,
            created_by: by.to_owned(),
            updated_at: now,
            updated_by: by.to_owned(),
        }
    }

    /// The customer as it is after the change, with this budget.
    fn patched(&self, patch: CustomerPatch, budget: Option<&BudgetRow>) -> Self {
        let mut row = self.clone();
        patch.alias.apply(&mut row.alias);
        patch.blocked.fill(&mut row.blocked);
        patch.allowed_model_region.apply(&mut row.allowed_model_region);
        patch.default_model.apply(&mut row.default_model);
        row.default_model = row.default_model.filter(|model| !model.is_empty());
        patch.models.fill(&mut row.models);
        patch.object_permission.apply(&mut row.object_permission);
        row.budget_id = budget.map(|row| row.budget_id.clone());
        row
    }

    /// Makes the accounts those of the budget, where it is another than before.
    async fn keep_budgets(
        &self,
        db: &mut PgConnection,
        before: Option<&str>,
        budget: Option<&BudgetRow>,
    ) -> Result<(), BudgetError> {
        if self.budget_id.as_deref() != before {
            let now = budget.map(BudgetRow::budgets).transpose()?.unwrap_or_default();
            budgets::keep(db, Owner::Customer, &self.customer_id, &now).await?;
        }
        Ok(())
    }

    /// A default model that no deployment has would fail every call without a model.
    async fn check_model(&self, db: &mut PgConnection) -> Result<(), CustomerError> {
        match &self.default_model {
            Some(model) if !models::is_known(db, model).await? => Err(CustomerError::UnknownModel(model.clone())),
            _ => Ok(()),
        }
    }
}

impl CustomerPatch {
    fn read(form: &mut Form) -> Self {
        Self {
            alias: form.take("alias"),
            blocked: form.take("blocked"),
            allowed_model_region: form.take("allowed_model_region"),
            default_model: form.take("default_model"),
            models: form.take("models"),
            object_permission: form.take("object_permission"),
        }
    }
}

/// Notes what became of a customer.
fn note(change: &mut Change, action: Action, before: Option<&Customer>, after: Option<&Customer>) {
    let Some(id) = after.or(before).map(|row| row.customer_id.clone()) else { return };
    let (was, is) = (before.map(view::for_audit), after.map(view::for_audit));
    change.note(match (was, is) {
        (Some(was), Some(is)) => Entry { action, ..Entry::updated(Noun::Customer, id, was, is) },
        (was, is) => {
            let after = Some(is.unwrap_or_else(|| Value::Object(Map::new())));
            Entry { action, noun: Noun::Customer, id, before: was, after }
        }
    });
}
