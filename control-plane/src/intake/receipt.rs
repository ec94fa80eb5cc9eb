//! What a receipt says of budgets: what is booked now, and how much of it the batch brought.

use std::collections::BTreeMap;

use proto::v1 as pb;
use sqlx::{PgConnection, PgPool};

use super::aggregate::Totals;
use super::event::Booking;
use crate::budgets::told::{self, Told};

/// The accounts that these events count against, after they were booked. Events that had been booked before count as well:
/// the data plane that sends them does not know.
pub(super) async fn totals(db: &PgPool, bookings: &[Booking]) -> sqlx::Result<Vec<pb::Total>> {
    if bookings.is_empty() {
        return Ok(Vec::new());
    }
    let brought = Totals::of(bookings.iter());
    let kinds: Vec<&str> = brought.of_owners.keys().map(|owner| owner.0).collect();
    let ids: Vec<&str> = brought.of_owners.keys().map(|owner| owner.1.as_str()).collect();
    let db: &mut PgConnection = &mut *db.acquire().await?;
    let mut accounts = told::of_owners(db, &kinds, &ids).await?;
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let mut of_account: BTreeMap<(i32, String, String), i64> = BTreeMap::new();
    for ((kind, id, model), cost) in &brought.of_models {
        let of_owner = accounts.iter().filter(|account| account.total.id == *id && told::is_kind(&account.total, kind));
        let of_owner: Vec<&Told> = of_owner.collect();
        let bare = model.rsplit('/').next().unwrap_or(model);
        let has = |name: &str| of_owner.iter().any(|account| account.model.as_deref() == Some(name));
        let counted = if has(model) { model } else { bare };
        for account in of_owner.iter().filter(|account| account.model.as_deref().is_none_or(|name| name == counted)) {
            let of_account = of_account.entry(name(&account.total)).or_default();
            *of_account = of_account.saturating_add(*cost);
        }
    }
    for account in &mut accounts {
        account.total.of_batch_nano_usd = of_account.get(&name(&account.total)).copied().unwrap_or(0);
    }
    Ok(accounts.into_iter().map(|account| account.total).collect())
}

fn name(total: &pb::Total) -> (i32, String, String) {
    (total.kind, total.id.clone(), total.scope.clone())
}
