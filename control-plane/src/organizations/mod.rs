//! Organizations: who has teams and keys, and how much they may spend together.
//!
//! What an organization may spend is a row of budgets that it is linked to, as a customer's is; its list of models is that of all
//! of its teams and keys. What these may have of it is [`within`]'s, who is in it [`roster`]'s, how data planes learn of it
//! [`publish`]'s.

mod error;
pub(crate) mod http;
mod patch;
pub(crate) mod publish;
mod roster;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod within;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::OrganizationError;
pub(crate) use roster::{OrganizationRole, roles_of};
pub(crate) use within::{Part, check_part};

use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, BudgetError, BudgetRow};
use crate::change::Change;
use crate::spend::Owner;

/// An organization as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Organization {
    organization_id: String,
    alias: String,
    budget_id: Option<String>,
    metadata: Map<String, Value>,
    /// Empty: all.
    models: Vec<String>,
    object_permission: Option<Map<String, Value>>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

/// Those that are linked to a budget, by id; until the transaction ends, nobody changes them.
pub(crate) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    store::linked(db, budget_id).await
}

/// Takes users who are deleted out of all organizations.
pub(crate) async fn dismiss(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<()> {
    roster::dismiss(db, user_ids).await
}

impl Organization {
    /// Makes the accounts those of the budget, where it is another than before.
    async fn keep_budgets(
        &self,
        db: &mut PgConnection,
        before: Option<&str>,
        budget: Option<&BudgetRow>,
    ) -> Result<(), BudgetError> {
        if self.budget_id.as_deref() != before {
            let now = budget.map(BudgetRow::budgets).transpose()?.unwrap_or_default();
            budgets::keep(db, Owner::Organization, &self.organization_id, &now).await?;
        }
        Ok(())
    }
}

/// Notes what became of an organization.
fn note(change: &mut Change, action: Action, before: Option<&Organization>, after: Option<&Organization>) {
    let Some(id) = after.or(before).map(|row| row.organization_id.clone()) else { return };
    let (was, is) = (before.map(view::for_audit), after.map(view::for_audit));
    change.note(match (was, is) {
        (Some(was), Some(is)) => Entry { action, ..Entry::updated(Noun::Organization, id, was, is) },
        (was, is) => {
            let after = Some(is.unwrap_or_else(|| Value::Object(Map::new())));
            Entry { action, noun: Noun::Organization, id, before: was, after }
        }
    });
}
