//! Sums of newly inserted events, per owner and per day.
//!
//! The maps are ordered by their keys' bytes. Every intake locks rows in that order, so that two of them never
//! wait for each other in a circle.

use std::collections::BTreeMap;

use time::{Date, OffsetDateTime};

use super::event::{Booking, MASTER_KEY_OWNER};
use super::newest::Newest;
use crate::spend;
use proto::v1 as pb;

/// What some events amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) cost_nano_usd: i64,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) calls: i64,
    pub(super) failed_calls: i64,
    pub(super) unknown_price_calls: i64,
    pub(super) last_used_at: OffsetDateTime,
}

/// An owner of spend: its kind, and its id.
pub(super) type Owner = (&'static str, String);

/// A row of the daily table without its sums: day, owner, model, provider.
pub(super) type Daily = (Date, &'static str, String, String, String);

/// An owner and a public model.
pub(super) type OfModel = (&'static str, String, String);

#[derive(Default)]
pub(super) struct Totals {
    pub(super) of_owners: BTreeMap<Owner, Sums>,
    pub(super) of_days: BTreeMap<Daily, Sums>,
    /// What it cost by owner and public model.
    pub(super) of_models: BTreeMap<OfModel, i64>,
}

impl Totals {
    /// The sums of these events.
    pub(super) fn of<'a>(bookings: impl Iterator<Item = &'a Booking>, newest: &Newest) -> Self {
        let mut totals = Self::default();
        for booking in bookings {
            for (kind, owner) in owners(booking, newest) {
                let (model, provider) = (booking.event.model.clone(), booking.event.provider.clone());
                let daily = (booking.day, kind, owner.clone(), model, provider);
                *totals.of_models.entry((kind, owner.clone(), group(booking).to_owned())).or_default() +=
                    booking.event.cost_nano_usd;
                totals.of_days.entry(daily).or_insert_with(Sums::none).add(booking);
                totals.of_owners.entry((kind, owner)).or_insert_with(Sums::none).add(booking);
            }
        }
        totals
    }
}

impl Sums {
    fn none() -> Self {
        Self {
            cost_nano_usd: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            calls: 0,
            failed_calls: 0,
            unknown_price_calls: 0,
            last_used_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn add(&mut self, booking: &Booking) {
        let used_tokens = booking.prompt_tokens > 0 || booking.completion_tokens > 0;
        let unpriced = booking.event.price_state() == pb::PriceState::Unknown && used_tokens;
        // Nothing overflows: a batch has at most some thousand events, each within the limits of `event`.
        self.cost_nano_usd += booking.event.cost_nano_usd;
        self.prompt_tokens += booking.prompt_tokens;
        self.completion_tokens += booking.completion_tokens;
        self.calls += 1;
        self.failed_calls += i64::from(!booking.event.success);
        self.unknown_price_calls += i64::from(unpriced);
        self.last_used_at = self.last_used_at.max(booking.ended_at);
    }
}

/// The model as the client knows it.
fn group(booking: &Booking) -> &str {
    match booking.event.model_group.as_str() {
        "" => &booking.event.model,
        group => group,
    }
}

/// Everybody whom the call is booked on.
fn owners(booking: &Booking, newest: &Newest) -> Vec<Owner> {
    let event = &booking.event;
    let key = match (newest.hash(booking), event.master_key) {
        (Some(hash), _) => hex::encode(hash),
        (None, true) => MASTER_KEY_OWNER.to_owned(),
        (None, false) => String::new(),
    };
    let member = match event.user_id.is_empty() || event.team_id.is_empty() {
        true => String::new(),
        false => proto::owner::member_id(&event.user_id, &event.team_id),
    };
    let single = [
        ("customer", event.end_user.clone()),
        ("key", key),
        ("member", member),
        ("model", group(booking).to_owned()),
        ("organization", event.organization_id.clone()),
        ("proxy", spend::PROXY.to_owned()),
        ("team", event.team_id.clone()),
        ("user", event.user_id.clone()),
    ];
    let tags = booking.tags.iter().map(|tag| ("tag", tag.clone()));
    single.into_iter().chain(tags).filter(|(_, id)| !id.is_empty()).collect()
}
