//! What a receipt says of budgets: what is booked now, and how much of it the batch brought.

use std::collections::BTreeMap;

use proto::v1 as pb;
use sqlx::{PgConnection, PgPool};

use super::aggregate::Totals;
use super::event::Booking;
use crate::budgets::told::{self, Told};

/// The accounts that these events count against, after they were booked. Events that had been booked before count as well,
/// and so do copies: the data plane that sends them does not know.
pub(super) async fn totals<'a>(
    db: &PgPool,
    bookings: impl Iterator<Item = &'a Booking>,
) -> sqlx::Result<Vec<pb::Total>> {
    let brought = Totals::of(bookings);
    if brought.of_owners.is_empty() {
        return Ok(Vec::new());
    }
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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::budgets::{self, Budget};
    use crate::fixture;
    use crate::intake::Intake;
    use crate::spend::Owner;

    fn event(id: u128, group: &str, cost_nano_usd: i64) -> pb::UsageEvent {
        let id = uuid::Uuid::from_u128(uuid::Uuid::now_v7().as_u128() >> 16 << 16 | id);
        pb::UsageEvent {
            event_id: id.as_bytes().to_vec().into(),
            team_id: "t".to_owned(),
            user_id: "without-budget".to_owned(),
            model_group: group.to_owned(),
            cost_nano_usd,
            ..pb::UsageEvent::default()
        }
    }

    fn budget(scope: &str, model: Option<&str>) -> Budget {
        Budget {
            scope: scope.to_owned(),
            model: model.map(str::to_owned),
            most: Some(proto::NanoUsd::ZERO),
            window: None,
        }
    }

    /// Scope, what is booked, and what the batch brought of it.
    fn figures(receipt: &pb::UsageReceipt) -> Vec<(&str, i64, i64)> {
        let mut figures: Vec<_> = receipt
            .totals
            .iter()
            .map(|total| (total.scope.as_str(), total.spent_nano_usd, total.of_batch_nano_usd))
            .collect();
        figures.sort_unstable();
        figures
    }

    #[tokio::test]
    async fn a_receipt_says_what_is_booked_of_every_budget_and_what_the_batch_brought_though_it_came_twice() {
        let database = fixture::database().await;
        let mut db = database.pool().acquire().await.unwrap();
        let budgets = [
            budget("", None),
            budget("model:gpt-4o", Some("gpt-4o")),
            budget("model:openai/gpt-4o", Some("openai/gpt-4o")),
            budget("window:1d", None),
        ];
        budgets::keep(&mut db, Owner::Team, "t", &budgets).await.unwrap();
        let intake = Intake::new(database.pool());
        let batch = |sequence, events: &[pb::UsageEvent]| pb::UsageBatch {
            sequence,
            data_plane_id: "dp".to_owned(),
            events: events.iter().map(|event| event.encode_to_vec().into()).collect(),
        };
        let first = [event(1, "gpt-4o", 1), event(2, "openai/gpt-4o", 10), event(3, "azure/gpt-4o", 100)];
        let once = intake.take_in(batch(1, &first)).await;
        let expected =
            [("", 111, 111), ("model:gpt-4o", 101, 101), ("model:openai/gpt-4o", 10, 10), ("window:1d", 111, 111)];
        assert_eq!(figures(&once), expected);
        let again = intake.take_in(batch(2, &first)).await;
        assert_eq!(figures(&again), expected);
        assert_eq!(again.totals[0].version, once.totals[0].version);

        let copies = intake.take_in(batch(3, &[first[0].clone(), first[0].clone()])).await;
        assert_eq!(figures(&copies)[0], ("", 111, 2), "whoever sends it twice has counted it twice");
        let more = intake.take_in(batch(4, &[event(4, "claude", 1_000)])).await;
        let expected =
            [("", 1_111, 1_000), ("model:gpt-4o", 101, 0), ("model:openai/gpt-4o", 10, 0), ("window:1d", 1_111, 1_000)];
        assert_eq!(figures(&more), expected);
        assert!(more.totals.iter().all(|total| total.kind() == pb::OwnerKind::Team));
    }
}
