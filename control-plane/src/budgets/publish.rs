//! Budgets as data planes get them.

use proto::NanoUsd;
use proto::v1 as pb;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::{Budget, read};

/// More money for a while: the metadata fields `temp_budget_increase` and `temp_budget_expiry`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    nano_usd: i64,
    until_ms: i64,
}

impl Extra {
    /// What the members say; nothing where they do not say it clearly.
    pub(crate) fn read(increase: Option<&Value>, expiry: Option<&Value>) -> Self {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let increase = increase.and_then(number).and_then(NanoUsd::from_usd);
        let expiry = expiry.and_then(Value::as_str).and_then(moment);
        Self::until(increase.map(NanoUsd::nanos), expiry)
    }
}

impl Extra {
    /// This much, until then; nothing where one of both is missing.
    pub(crate) fn until(increase: Option<i64>, until: Option<OffsetDateTime>) -> Self {
        match increase.zip(until) {
            Some((nano_usd, until)) if nano_usd > 0 => {
                let until_ms = i64::try_from(until.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
                Self { nano_usd, until_ms }
            }
            _ => Self::default(),
        }
    }

    /// It goes to the budget of everything.
    fn put(self, budget: pb::Budget) -> pb::Budget {
        match budget.scope.is_empty() {
            true => pb::Budget { extra_nano_usd: self.nano_usd, extra_until_ms: self.until_ms, ..budget },
            false => budget,
        }
    }
}

/// A date, or a date and a time, with or without a zone.
pub(super) fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let whole = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok();
    let local =
        || time::PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).ok().map(time::PrimitiveDateTime::assume_utc);
    let day = || time::Date::parse(text, &Iso8601::DEFAULT).ok().map(|day| day.midnight().assume_utc());
    whole.or_else(local).or_else(day)
}

/// What data planes hold an owner to: the budget of everything, and those in fields that rows keep as they came. Budgets that
/// cannot be read refuse everything: nobody knows what they allow.
pub(crate) fn budgets(
    most_nano_usd: Option<i64>,
    window: Option<&str>,
    kept: Option<&Value>,
    extra: Extra,
) -> Vec<pb::Budget> {
    let of_all = Budget::of_all(most_nano_usd.map(NanoUsd::from_nanos), window);
    let none = Map::new();
    let Ok(budgets) = read(of_all, kept.and_then(Value::as_object).unwrap_or(&none)) else {
        return vec![pb::Budget { scope: "unreadable".to_owned(), ..pb::Budget::default() }];
    };
    budgets.into_iter().filter_map(budget).map(|budget| extra.put(budget)).collect()
}

/// A budget as data planes get it; nothing where spend is only counted.
pub(crate) fn budget(budget: Budget) -> Option<pb::Budget> {
    Some(pb::Budget {
        scope: budget.scope,
        most_nano_usd: budget.most?.nanos().max(0),
        model: budget.model.unwrap_or_default(),
        window: budget.window.unwrap_or_default(),
        ..pb::Budget::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn extra_money_has_an_amount_and_an_end_in_any_spelling() {
        let until = |text: &str| Extra::read(Some(&json!(5)), Some(&json!(text))).until_ms;
        assert_eq!(until("2025-01-02T03:04:05Z"), 1_735_787_045_000);
        assert_eq!(until("2025-01-02T03:04:05+01:00"), 1_735_783_445_000);
        assert_eq!(until("2025-01-02T03:04:05"), 1_735_787_045_000);
        assert_eq!(until("2025-01-02"), 1_735_776_000_000);
        for (increase, expiry) in [
            (json!(5), json!("soon")),
            (json!(-5), json!("2025-01-02")),
            (json!(null), json!("2025-01-02")),
            (json!(5), json!(null)),
        ] {
            assert_eq!(Extra::read(Some(&increase), Some(&expiry)), Extra::default(), "{increase} {expiry}");
        }
    }

    #[test]
    fn what_cannot_be_read_allows_nothing() {
        let kept = json!({"budget_limits": "all of it"});
        let told = budgets(None, None, Some(&kept), Extra::default());
        assert_eq!((told.len(), told[0].most_nano_usd), (1, 0));
    }
}
