//! Budgets from LiteLLM's database.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::patch::{self, BudgetPatch, MORE};
use super::{BudgetRow, LIMITS, among, link, store};
use crate::http::fields::{Field, Form, Issue, Request};
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, Record, TakeoverError, Unfit};

/// Rows of `LiteLLM_BudgetTable`.
pub(crate) struct Budgets;

struct Asked(BudgetPatch);

impl Request for Asked {
    const NAME: &'static str = "TakenBudget";
    const FIELDS: &'static [&'static [Field]] = &[LIMITS, MORE];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(BudgetPatch::read(&mut form)))
    }
}

impl Kind for Budgets {
    const NAME: &'static str = "budget";
    const TABLE: &'static str = "LiteLLM_BudgetTable";
    const ID: &'static str = "budget_id";
    const OWNER: Option<Owner> = None;
    type Ours = BudgetRow;
    type Around = ();

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, BudgetRow)>> {
        let rows = store::all_locked(db, ids).await?.into_iter();
        Ok(rows.map(|row| (row.budget_id.clone(), row.updated_at, row)).collect())
    }

    async fn around(_hands: &mut Hands<'_>, _page: &[Record]) -> Result<(), TakeoverError> {
        Ok(())
    }

    async fn put(
        hands: &mut Hands<'_>,
        _around: &mut (),
        record: Record,
        before: Option<BudgetRow>,
    ) -> Result<Vec<String>, Unfit> {
        let id = record.text(Self::ID).unwrap_or_default().to_owned();
        let Asked(asked) = record.ask().map_err(Unfit::Left)?;
        let by = record.text("created_by").unwrap_or_default();
        let empty = BudgetRow::empty(id, by, hands.now);
        let mut row = patch::apply(&empty, asked, by, hands.now)?;
        row.created_at = record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now);
        record.text("updated_by").unwrap_or(by).clone_into(&mut row.updated_by);
        match before {
            None => link::add(hands.change, &row).await?,
            Some(before) => {
                (row.created_at, row.created_by) = (before.created_at, before.created_by.clone());
                link::write(hands.change, &before, &row).await?;
            }
        }
        Ok(Vec::new())
    }
}

/// The budgets that rows of a page are linked to.
pub(crate) async fn of_page(db: &mut PgConnection, page: &[Record]) -> sqlx::Result<HashMap<String, BudgetRow>> {
    let ids: Vec<String> = page.iter().filter_map(|row| row.text(Budgets::ID)).map(str::to_owned).collect();
    Ok(among(db, &ids).await?.into_iter().map(|row| (row.budget_id.clone(), row)).collect())
}

/// The budget that a row is linked to. Without it, its owner would have none: then the owner is left.
pub(crate) fn linked<'a>(
    budgets: &'a HashMap<String, BudgetRow>,
    record: &Record,
) -> Result<Option<&'a BudgetRow>, Unfit> {
    let Some(id) = record.text(Budgets::ID) else { return Ok(None) };
    budgets.get(id).map(Some).ok_or_else(|| Unfit::Left(format!("its budget {id} is not here")))
}
