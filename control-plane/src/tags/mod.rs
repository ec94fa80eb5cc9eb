//! Tags: words that calls carry, by which spend is counted and deployments are chosen.
//!
//! A tag needs no row: one without is as soon as a call carries it. One with a row has a description, and a budget like a
//! customer's. Attaching models to it writes the tag into those deployments' `litellm_params.tags`.

mod error;
pub(crate) mod http;
pub(crate) mod publish;
mod store;
pub(crate) mod takeover;
mod view;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::TagError;

use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, BudgetError, BudgetRow};
use crate::change::Change;
use crate::http::fields::{Field, Form, Shape, optional, required};
use crate::spend::Owner;

/// Most characters of a name.
const NAME: usize = 256;

/// A tag as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tag {
    name: String,
    description: Option<String>,
    /// Ids of deployments.
    models: Vec<String>,
    budget_id: Option<String>,
    created_at: OffsetDateTime,
    created_by: String,
    updated_at: OffsetDateTime,
    updated_by: String,
}

/// Fields with which a tag is made and changed.
const COLUMNS: &[Field] = &[
    required("name", Shape::Text, "The tag."),
    optional("description", Shape::Text, "What it is for. Left out, it is cleared."),
    optional("models", Shape::Texts, "Ids of deployments that get the tag. Left out, the list is emptied."),
];

/// What a request says of a tag, beside the budget.
#[derive(Debug)]
struct Columns {
    name: String,
    description: Option<String>,
    models: Vec<String>,
}

/// Those who are linked to a budget, by name; until the transaction ends, nobody changes them.
pub(crate) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    store::linked(db, budget_id).await
}

impl Columns {
    fn read(form: &mut Form) -> Self {
        let mut models: Vec<String> = form.take("models").given().unwrap_or_default();
        let mut seen = std::collections::HashSet::new();
        models.retain(|id| seen.insert(id.clone()));
        Self {
            name: form.take("name").given().unwrap_or_default(),
            description: form.take("description").given(),
            models,
        }
    }

    /// The same, if the name can be one.
    fn named(self) -> Result<Self, TagError> {
        let length = self.name.chars().count();
        let is_name = !self.name.trim().is_empty() && length <= NAME && !self.name.chars().any(char::is_control);
        if is_name { Ok(self) } else { Err(TagError::BadName) }
    }
}

impl Tag {
    /// Makes the accounts those of the budget, where it is another than before.
    async fn keep_budgets(
        &self,
        db: &mut PgConnection,
        before: Option<&str>,
        budget: Option<&BudgetRow>,
    ) -> Result<(), BudgetError> {
        if self.budget_id.as_deref() != before {
            let now = budget.map(BudgetRow::budgets).transpose()?.unwrap_or_default();
            budgets::keep(db, Owner::Tag, &self.name, &now).await?;
        }
        Ok(())
    }
}

/// Notes what became of a tag.
fn note(change: &mut Change, action: Action, before: Option<&Tag>, after: Option<&Tag>) {
    let Some(id) = after.or(before).map(|row| row.name.clone()) else { return };
    let (was, is) = (before.map(view::for_audit), after.map(view::for_audit));
    change.note(match (was, is) {
        (Some(was), Some(is)) => Entry { action, ..Entry::updated(Noun::Tag, id, was, is) },
        (was, is) => {
            let after = Some(is.unwrap_or_else(|| Value::Object(Map::new())));
            Entry { action, noun: Noun::Tag, id, before: was, after }
        }
    });
}
