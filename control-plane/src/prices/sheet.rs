//! One model's price fields as rates.

use std::collections::BTreeMap;

use proto::v1::{Price, PriceState, Rate, Unit};
use serde_json::{Map, Value};

use super::fields::{self, Slot};
use super::figure;

/// When a call is long enough for the rates of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    /// When its prompt has more tokens: most providers.
    Above,
    /// When its prompt has as many or more: xAI.
    AtOrAbove,
}

/// The rates that a set of fields gives.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rates: BTreeMap<Slot, u64>,
    /// Something is charged that we have no unit for.
    charges_otherwise: bool,
    /// Fields whose figure cannot be a price.
    pub(super) unreadable: Vec<String>,
}

impl Sheet {
    /// Reads all price fields. Those that cannot be read are named in `unreadable` and left out.
    pub(super) fn read(fields: &Map<String, Value>, crossing: Crossing) -> Self {
        let mut sheet = Self::default();
        for (name, value) in fields {
            sheet.read_field(name, value, crossing, None);
        }
        if let Some(tiers) = fields.get(fields::TIERED) {
            sheet.read_tiers(tiers, crossing);
        }
        if let Some(hit) = sheet.figure(fields, fields::CACHE_HIT) {
            sheet.rates.entry(Slot::plain(Unit::CacheReadToken)).or_insert(hit);
        }
        if let Some(second) = sheet.figure(fields, fields::SECOND) {
            // It names the whole: what input and output cost a second is in it.
            sheet.rates.remove(&Slot::plain(Unit::InputSecond));
            sheet.rates.insert(Slot::plain(Unit::OutputSecond), second);
        }
        sheet
    }

    /// Adds the rates of `base` for whatever this sheet says nothing about. A sheet that prices calls only by the second
    /// takes no rates per token over: the call would be charged twice.
    pub(super) fn fill_from(&mut self, base: &Price) {
        if self.is_zero_per_token() {
            return;
        }
        let by_the_second =
            self.has(|unit| matches!(unit, Unit::InputSecond | Unit::OutputSecond)) && !self.has(fields::is_token);
        for rate in &base.rates {
            if by_the_second && fields::is_token(rate.unit()) {
                continue;
            }
            let slot = Slot { unit: rate.unit(), above_tokens: rate.above_tokens, tier: rate.tier() };
            self.rates.entry(slot).or_insert(rate.femto_usd);
        }
        self.charges_otherwise |= base.state() == PriceState::Unknown && !base.rates.is_empty();
    }

    /// The price, found at `source`.
    pub(super) fn into_price(mut self, source: &str) -> Price {
        // Where tokens are charged, prices per second are another way to say the same.
        let by_the_token = self.rates.iter().any(|(slot, femto_usd)| *femto_usd > 0 && fields::is_token(slot.unit));
        if by_the_token {
            self.rates.retain(|slot, _| !matches!(slot.unit, Unit::InputSecond | Unit::OutputSecond));
        }
        let rate = |(slot, femto_usd): (&Slot, &u64)| Rate {
            unit: slot.unit.into(),
            above_tokens: slot.above_tokens,
            tier: slot.tier.into(),
            femto_usd: *femto_usd,
        };
        Price { state: self.state().into(), rates: self.rates.iter().map(rate).collect(), source: source.to_owned() }
    }

    /// Free is only what says so for input and output alike, and charges for nothing else.
    fn state(&self) -> PriceState {
        if self.rates.values().any(|femto_usd| *femto_usd > 0) {
            return PriceState::Known;
        }
        match (self.rates.is_empty() || self.charges_otherwise, self.is_zero_per_token()) {
            (true, _) => PriceState::Unknown,
            (false, true) => PriceState::Free,
            (false, false) => PriceState::Known,
        }
    }

    fn is_zero_per_token(&self) -> bool {
        let zero = |unit| self.rates.get(&Slot::plain(unit)) == Some(&0);
        zero(Unit::InputToken) && zero(Unit::OutputToken)
    }

    fn has(&self, wanted: impl Fn(Unit) -> bool) -> bool {
        self.rates.keys().any(|slot| wanted(slot.unit))
    }

    fn read_tiers(&mut self, tiers: &Value, crossing: Crossing) {
        for tier in tiers.as_array().map_or(&[][..], Vec::as_slice) {
            let from = tier.get("range").and_then(|range| range.get(0)).and_then(figure::tokens);
            match (tier.as_object(), from) {
                (Some(fields), Some(from)) => {
                    for (name, value) in fields {
                        self.read_field(name, value, crossing, Some(from));
                    }
                }
                // A tier of something else than the prompt's length, such as the number of search results.
                (_, _) => self.charges_otherwise = true,
            }
        }
    }

    fn read_field(&mut self, name: &str, value: &Value, crossing: Crossing, from: Option<u64>) {
        let Some(slot) = fields::slot(name) else {
            self.charges_otherwise |=
                fields::is_price(name) && figure::femto_usd(value).is_some_and(|figure| figure > 0);
            return;
        };
        if let Some(figure) = self.read_figure(name, value) {
            let above_tokens = from.unwrap_or(slot.above_tokens);
            let above_tokens = match crossing {
                Crossing::Above => above_tokens,
                Crossing::AtOrAbove => above_tokens.saturating_sub(1),
            };
            self.rates.insert(Slot { above_tokens, ..slot }, figure);
        }
    }

    fn figure(&mut self, fields: &Map<String, Value>, name: &str) -> Option<u64> {
        fields.get(name).and_then(|value| self.read_figure(name, value))
    }

    /// An absent figure (null) is no mistake.
    fn read_figure(&mut self, name: &str, value: &Value) -> Option<u64> {
        let figure = figure::femto_usd(value);
        if figure.is_none() && !value.is_null() {
            self.unreadable.push(name.to_owned());
        }
        figure
    }
}

/// Says which fields were left out, and counts them.
pub(super) fn report(unreadable: &[String], of: &str) {
    if unreadable.is_empty() {
        return;
    }
    metrics::counter!("turnpike_unreadable_prices_total").increment(unreadable.len() as u64);
    tracing::warn!(of, fields = unreadable.join(", "), "left out prices that are no number of dollars from 0 to 18446");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn price(fields: &Value) -> Price {
        Sheet::read(fields.as_object().expect("an object"), Crossing::Above).into_price("here")
    }

    fn rates(price: &Price) -> Vec<(Unit, u64, u64)> {
        price.rates.iter().map(|rate| (rate.unit(), rate.above_tokens, rate.femto_usd)).collect()
    }

    #[test]
    fn ranges_become_thresholds_and_replace_the_plain_price() {
        let price = price(&json!({
            "input_cost_per_token": 9e-6,
            "tiered_pricing": [
                { "range": [0, 256e3], "input_cost_per_token": 5e-8, "output_cost_per_token": 4e-7 },
                { "range": [256e3, 1e6], "input_cost_per_token": 2.5e-7, "output_cost_per_token": 2e-6 },
            ],
        }));
        let expected = [
            (Unit::InputToken, 0, 50_000_000),
            (Unit::InputToken, 256_000, 250_000_000),
            (Unit::OutputToken, 0, 400_000_000),
            (Unit::OutputToken, 256_000, 2_000_000_000),
        ];
        assert_eq!((price.state(), rates(&price)), (PriceState::Known, expected.to_vec()));
    }

    #[test]
    fn xai_charges_long_context_from_the_threshold_on() {
        let fields = json!({ "input_cost_per_token": 2e-6, "input_cost_per_token_above_200k_tokens": 4e-6 });
        let price = Sheet::read(fields.as_object().expect("an object"), Crossing::AtOrAbove).into_price("xai/here");
        assert_eq!(rates(&price), [(Unit::InputToken, 0, 2_000_000_000), (Unit::InputToken, 199_999, 4_000_000_000)]);
    }

    #[test]
    fn free_is_only_what_says_so_of_input_and_output() {
        let state = |fields: Value| price(&fields).state();
        assert_eq!(state(json!({ "input_cost_per_token": 0, "output_cost_per_token": 0.0 })), PriceState::Free);
        assert_eq!(state(json!({ "mode": "chat" })), PriceState::Unknown);
        assert_eq!(state(json!({ "input_cost_per_token": null })), PriceState::Unknown);
        let by_the_image =
            json!({ "input_cost_per_token": 0, "output_cost_per_token": 0, "output_cost_per_image": 0.04 });
        assert_eq!(state(by_the_image), PriceState::Unknown);
        let by_the_second =
            json!({ "input_cost_per_token": 0, "output_cost_per_token": 0, "output_cost_per_second": 1 });
        assert_eq!(state(by_the_second), PriceState::Known);
    }

    #[test]
    fn nothing_is_charged_twice() {
        let both = price(&json!({ "input_cost_per_token": 1e-6, "input_cost_per_second": 0.1 }));
        assert_eq!(rates(&both), [(Unit::InputToken, 0, 1_000_000_000)]);
        let whole = price(&json!({ "cost_per_second": 0.001, "input_cost_per_second": 0.001 }));
        assert_eq!(rates(&whole), [(Unit::OutputSecond, 0, 1_000_000_000_000)]);
    }

    #[test]
    fn the_older_name_of_cached_input_gives_way_to_the_newer() {
        let older = price(&json!({ "input_cost_per_token_cache_hit": 1e-9 }));
        assert_eq!(rates(&older), [(Unit::CacheReadToken, 0, 1_000_000)]);
        let both = price(&json!({ "input_cost_per_token_cache_hit": 1e-9, "cache_read_input_token_cost": 2e-9 }));
        assert_eq!(rates(&both), [(Unit::CacheReadToken, 0, 2_000_000)]);
    }

    #[test]
    fn what_cannot_be_a_price_is_named_and_left_out() {
        let fields =
            json!({ "input_cost_per_token": -1, "output_cost_per_token": "lots", "cache_read_input_token_cost": 1e-9 });
        let sheet = Sheet::read(fields.as_object().expect("an object"), Crossing::Above);
        assert_eq!(sheet.unreadable, ["input_cost_per_token", "output_cost_per_token"]);
        assert_eq!(sheet.rates.len(), 1);
    }
}
