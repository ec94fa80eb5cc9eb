//! Owners and the rows that they are linked to: what a request about an owner says of its budget, and how all owners of
//! a budget follow it.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::account::{self, keep_all};
use super::patch::{self, BudgetPatch};
use super::{Budget, BudgetError, BudgetRow, store, view};
use crate::audit::{Action, Entry, Noun};
use crate::change::Change;
use crate::http::fields::{Form, Issue, Patch};
use crate::spend::Owner;
use crate::{customers, keys, organizations, tags, teams};

/// What a request about an owner says of its budget: one that there is, or limits of its own.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    budget_id: Patch<String>,
    limits: BudgetPatch,
}

impl Wanted {
    /// Limits of one's own.
    pub(crate) fn own(limits: BudgetPatch) -> Self {
        Self { budget_id: Patch::Keep, limits }
    }

    /// Whether it says anything.
    pub(crate) fn is_said(&self) -> bool {
        self.budget_id.is_said() || !self.limits.is_empty()
    }

    /// Takes `budget_id` and the fields in [`super::LIMITS`]; one or the other.
    pub(crate) fn read(form: &mut Form) -> Result<Self, Vec<Issue>> {
        let wanted = Self { budget_id: form.take("budget_id"), limits: BudgetPatch::read(form) };
        match &wanted.budget_id {
            Patch::To(id) if !id.is_empty() && wanted.limits.limits_anything() => Err(vec![Issue::of_field(
                "value_error",
                "budget_id",
                "Value error, set max_budget and other limits, or budget_id, not both: a budget has limits of its own",
                Value::String(id.clone()),
            )]),
            _ => Ok(wanted),
        }
    }
}

/// The budget of this id.
pub(super) async fn find(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Option<BudgetRow>> {
    Ok(store::among(db, &[budget_id.to_owned()]).await?.pop())
}

/// The budgets among these ids that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<BudgetRow>> {
    match ids.is_empty() {
        true => Ok(Vec::new()),
        false => store::among(db, ids).await,
    }
}

/// The budget of an owner after a request, as a part of a change; `before` is the id of the one that it had. Limits
/// change that one, and with it everybody's who is linked to it; an owner without one gets one of its own.
pub(crate) async fn linked(
    change: &mut Change,
    before: Option<&str>,
    wanted: Wanted,
    now: OffsetDateTime,
) -> Result<Option<BudgetRow>, BudgetError> {
    let before = match wanted.budget_id {
        Patch::To(id) if !id.is_empty() => {
            let found = store::shared(change.db(), &id).await?;
            return found.map(Some).ok_or(BudgetError::Unknown(id));
        }
        Patch::To(_) | Patch::Clear => None,
        Patch::Keep => before,
    };
    let by = change.author().changed_by.clone();
    if let Some(row) = match before {
        Some(id) => store::locked(change.db(), id).await?,
        None => None,
    } {
        let after = patch::apply(&row, wanted.limits, &by, now)?;
        write(change, &row, &after).await?;
        return Ok(Some(after));
    }
    let empty = BudgetRow::empty(Uuid::new_v4().to_string(), &by, now);
    let row = patch::apply(&empty, wanted.limits, &by, now)?;
    if row == empty {
        return Ok(None);
    }
    add(change, &row).await?;
    Ok(Some(row))
}

/// A new budget of somebody's own, as a part of a change: like `base`, with what the patch says.
pub(crate) async fn add_own(
    change: &mut Change,
    base: Option<BudgetRow>,
    patch: BudgetPatch,
    now: OffsetDateTime,
) -> Result<BudgetRow, BudgetError> {
    let by = change.author().changed_by.clone();
    let empty = BudgetRow::empty(Uuid::new_v4().to_string(), &by, now);
    let base = match base {
        Some(base) => BudgetRow {
            budget_id: empty.budget_id,
            created_at: now,
            created_by: empty.created_by,
            updated_at: now,
            updated_by: empty.updated_by,
            ..base
        },
        None => empty,
    };
    let row = patch::apply(&base, patch, &by, now)?;
    add(change, &row).await?;
    Ok(row)
}

/// The budget of this id, which nobody changes until the transaction ends.
pub(crate) async fn held(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Option<BudgetRow>> {
    store::shared(db, budget_id).await
}

/// Adds a budget, as a part of a change.
pub(super) async fn add(change: &mut Change, row: &BudgetRow) -> Result<(), BudgetError> {
    let inserted = store::insert(change.db(), row).await;
    inserted.map_err(|error| BudgetError::from_insert(error, &row.budget_id))?;
    change.note(Entry {
        action: Action::Created,
        noun: Noun::Budget,
        id: row.budget_id.clone(),
        before: None,
        after: Some(view::for_audit(row)),
    });
    Ok(())
}

/// Puts a changed budget in place of a locked one, as a part of a change; who is linked to it follows.
pub(super) async fn write(change: &mut Change, before: &BudgetRow, after: &BudgetRow) -> Result<(), BudgetError> {
    if before == after {
        return Ok(());
    }
    store::update(change.db(), after).await?;
    let (was, is) = (view::for_audit(before), view::for_audit(after));
    change.note(Entry::updated(Noun::Budget, &after.budget_id, was, is));
    follow(change, &after.budget_id, Some(after)).await
}

/// Removes a locked budget, as a part of a change; who was linked to it has none any more.
pub(super) async fn remove(change: &mut Change, row: &BudgetRow) -> Result<(), BudgetError> {
    follow(change, &row.budget_id, None).await?;
    store::delete(change.db(), &row.budget_id).await?;
    change.note(Entry {
        action: Action::Deleted,
        noun: Noun::Budget,
        id: row.budget_id.clone(),
        before: Some(view::for_audit(row)),
        after: Some(Value::Object(serde_json::Map::new())),
    });
    Ok(())
}

/// Makes the accounts of all who are linked to a budget those of what it is now, and publishes them.
async fn follow(change: &mut Change, budget_id: &str, row: Option<&BudgetRow>) -> Result<(), BudgetError> {
    // The kinds in the order in which intake locks them.
    let budgets = &row.map(BudgetRow::budgets).transpose()?.unwrap_or_default()[..];
    let keys = keys::link::linked(change.db(), budget_id).await?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    account::lock_all(change.db(), Owner::Key, &ids).await?;
    // Most have nothing of their own, and so the same.
    let mut alike: HashMap<Vec<Budget>, Vec<String>> = HashMap::new();
    for key in keys {
        if let Some(budgets) = key.budgets(row) {
            alike.entry(budgets).or_default().push(key.id);
        }
    }
    for (budgets, ids) in alike {
        keep_all(change.db(), Owner::Key, &ids, &budgets).await?;
    }
    change.publish(Noun::Key, ids);
    let customers = customers::linked(change.db(), budget_id).await?;
    keep_all(change.db(), Owner::Customer, &customers, budgets).await?;
    let members = teams::members::linked(change.db(), budget_id).await?;
    keep_all(change.db(), Owner::Member, &members, budgets).await?;
    let organizations = organizations::linked(change.db(), budget_id).await?;
    keep_all(change.db(), Owner::Organization, &organizations, budgets).await?;
    let tags = tags::linked(change.db(), budget_id).await?;
    keep_all(change.db(), Owner::Tag, &tags, budgets).await?;
    change.publish(Noun::Customer, customers);
    change.publish(Noun::Tag, tags);
    change.publish(Noun::Member, members);
    change.publish(Noun::Organization, organizations);
    Ok(())
}
