//! Tags from LiteLLM's database. That deployments carry a tag came with the deployments.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{COLUMNS, Columns, Tag, note, store};
use crate::audit::Action;
use crate::budgets::{self, BudgetRow};
use crate::http::fields::{Field, Form, Issue, Request};
use crate::models;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, Record, TakeoverError, Unfit};

/// Rows of `LiteLLM_TagTable`.
pub(crate) struct Tags;

struct Asked(Columns);

impl Request for Asked {
    const NAME: &'static str = "TakenTag";
    const FIELDS: &'static [&'static [Field]] = &[COLUMNS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(Columns::read(&mut form)))
    }
}

impl Kind for Tags {
    const NAME: &'static str = "tag";
    const TABLE: &'static str = "LiteLLM_TagTable";
    const ID: &'static str = "tag_name";
    const OWNER: Option<Owner> = Some(Owner::Tag);
    type Ours = Tag;
    /// Budgets of the page.
    type Around = HashMap<String, BudgetRow>;

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Tag)>> {
        let mut rows = Vec::new();
        for name in ids {
            rows.extend(store::locked(db, name).await?.map(|row| (row.name.clone(), row.updated_at, row)));
        }
        Ok(rows)
    }

    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<HashMap<String, BudgetRow>, TakeoverError> {
        Ok(budgets::takeover::of_page(hands.change.db(), page).await?)
    }

    async fn put(
        hands: &mut Hands<'_>,
        budgets: &mut HashMap<String, BudgetRow>,
        mut record: Record,
        before: Option<Tag>,
    ) -> Result<Vec<String>, Unfit> {
        let mut notes = Vec::new();
        let name = record.text(Self::ID).unwrap_or_default().to_owned();
        record.set("name", name);
        let Asked(asked) = record.ask().map_err(Unfit::Left)?;
        let Columns { name, description, mut models } = asked.named()?;
        let known: Vec<String> =
            models::among(hands.change.db(), &models).await?.into_iter().map(|row| row.id).collect();
        let count = models.len();
        models.retain(|id| known.contains(id));
        if models.len() < count {
            notes.push(format!("{} of its models are not here", count - models.len()));
        }
        let budget = budgets::takeover::linked(budgets, &record)?;
        let by = record.text("created_by").unwrap_or_default().to_owned();
        let mut row = Tag {
            name,
            description,
            models,
            budget_id: budget.map(|row| row.budget_id.clone()),
            created_at: record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now),
            created_by: by.clone(),
            updated_at: hands.now,
            updated_by: by,
        };
        match &before {
            None => {
                store::insert(hands.change.db(), &row).await?;
                note(hands.change, Action::Created, None, Some(&row));
            }
            Some(before) => {
                (row.created_at, row.created_by) = (before.created_at, before.created_by.clone());
                store::update(hands.change.db(), &row).await?;
                note(hands.change, Action::Updated, Some(before), Some(&row));
            }
        }
        let was = before.as_ref().and_then(|before| before.budget_id.as_deref());
        row.keep_budgets(hands.change.db(), was, budget).await?;
        Ok(notes)
    }
}
