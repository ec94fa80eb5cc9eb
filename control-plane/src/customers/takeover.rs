//! Customers from LiteLLM's database, its end users.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{COLUMNS, Customer, CustomerPatch, note, store};
use crate::audit::Action;
use crate::budgets::{self, BudgetRow};
use crate::http::fields::{Field, Form, Issue, Request};
use crate::models;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, Record, TakeoverError, Unfit};

/// Rows of `LiteLLM_EndUserTable`.
pub(crate) struct Customers;

/// What a page of customers refers to.
pub(crate) struct Around {
    budgets: HashMap<String, BudgetRow>,
    /// Default models that were looked up, and whether there are such.
    models: HashMap<String, bool>,
}

struct Asked(CustomerPatch);

impl Request for Asked {
    const NAME: &'static str = "TakenCustomer";
    const FIELDS: &'static [&'static [Field]] = &[COLUMNS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(CustomerPatch::read(&mut form)))
    }
}

impl Kind for Customers {
    const NAME: &'static str = "customer";
    const TABLE: &'static str = "LiteLLM_EndUserTable";
    const ID: &'static str = "user_id";
    const OWNER: Option<Owner> = Some(Owner::Customer);
    type Ours = Customer;
    type Around = Around;

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Customer)>> {
        let rows = store::locked(db, ids).await?.into_iter();
        Ok(rows.map(|row| (row.customer_id.clone(), row.updated_at, row)).collect())
    }

    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<Around, TakeoverError> {
        let budgets = budgets::takeover::of_page(hands.change.db(), page).await?;
        let mut known = HashMap::new();
        for name in page.iter().filter_map(|row| row.text("default_model")) {
            if !known.contains_key(name) {
                known.insert(name.to_owned(), models::is_known(hands.change.db(), name).await?);
            }
        }
        Ok(Around { budgets, models: known })
    }

    async fn put(
        hands: &mut Hands<'_>,
        around: &mut Around,
        mut record: Record,
        before: Option<Customer>,
    ) -> Result<Vec<String>, Unfit> {
        let mut notes = Vec::new();
        let id = record.text(Self::ID).unwrap_or_default().to_owned();
        let unknown = record.text("default_model").filter(|name| around.models.get(*name) != Some(&true));
        if let Some(name) = unknown.map(str::to_owned) {
            record.remove("default_model");
            notes.push(format!("default_model was left out: there is no model {name}"));
        }
        let Asked(asked) = record.ask().map_err(Unfit::Left)?;
        let budget = budgets::takeover::linked(&around.budgets, &record)?;
        let by = hands.change.author().changed_by.clone();
        let mut row = Customer::seen(id, &by, hands.now).patched(asked, budget);
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
