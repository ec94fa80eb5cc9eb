//! Spend by day, in the odd shape that LiteLLM gives it: beside the fixed names, each key's hash is a name of its own.
//! Pure.

use std::collections::BTreeMap;

use proto::NanoUsd;
use serde_json::{Map, Value, json};
use time::Date;

use super::log::{DayRow, key_name};

#[derive(Default)]
struct Day {
    spend: NanoUsd,
    users: BTreeMap<String, NanoUsd>,
    models: BTreeMap<String, NanoUsd>,
    keys: BTreeMap<String, NanoUsd>,
}

/// One object per day with calls; behind the last one, empty ones up to `last`.
pub(super) fn by_day(rows: Vec<DayRow>, last: Date) -> Vec<Value> {
    let mut days: BTreeMap<Date, Day> = BTreeMap::new();
    for row in rows {
        let cost = NanoUsd::from_nanos(row.cost_nano_usd);
        let day = days.entry(row.day).or_default();
        day.spend += cost;
        *day.users.entry(row.user_id.unwrap_or_default()).or_default() += cost;
        *day.models.entry(row.model).or_default() += cost;
        *day.keys.entry(key_name(row.key_hash.as_deref(), row.master_key)).or_default() += cost;
    }
    let mut next = days.last_key_value().and_then(|(day, _)| day.next_day());
    while let Some(day) = next.filter(|day| *day <= last) {
        days.insert(day, Day::default());
        next = day.next_day();
    }
    days.into_iter().map(|(date, day)| day.into_json(date)).collect()
}

impl Day {
    fn into_json(self, date: Date) -> Value {
        let mut object: Map<String, Value> =
            self.keys.into_iter().map(|(key, spend)| (key, spend.to_usd().into())).collect();
        let by_name = |sums: BTreeMap<String, NanoUsd>| -> Value {
            sums.into_iter().map(|(name, spend)| (name, Value::from(spend.to_usd()))).collect::<Map<_, _>>().into()
        };
        object.insert("startTime".to_owned(), date.to_string().into());
        object.insert("spend".to_owned(), json!(self.spend.to_usd()));
        object.insert("users".to_owned(), by_name(self.users));
        object.insert("models".to_owned(), by_name(self.models));
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    fn row(day: Date, user: &str, model: &str, key: u8, nanos: i64) -> DayRow {
        DayRow {
            day,
            key_hash: Some(vec![key; 32]),
            master_key: false,
            user_id: Some(user.to_owned()),
            model: model.to_owned(),
            cost_nano_usd: nanos,
        }
    }

    #[test]
    fn a_day_sums_by_user_model_and_key() {
        let day = date!(2025 - 01 - 02);
        let rows = vec![row(day, "u1", "a", 1, 500_000_000), row(day, "u1", "b", 2, 250_000_000)];
        let (one, two) = (hex::encode([1; 32]), hex::encode([2; 32]));
        let expected = json!({
            "startTime": "2025-01-02", "spend": 0.75, "users": {"u1": 0.75}, "models": {"a": 0.5, "b": 0.25},
            one: 0.5, two: 0.25,
        });
        assert_eq!(by_day(rows, day), [expected]);
    }

    #[test]
    fn empty_days_follow_up_to_the_last_and_none_where_nothing_was_spent() {
        let days = by_day(vec![row(date!(2025 - 01 - 02), "u", "m", 1, 1)], date!(2025 - 01 - 04));
        let empty = |day: &str| json!({"startTime": day, "spend": 0.0, "users": {}, "models": {}});
        assert_eq!(days[1..], [empty("2025-01-03"), empty("2025-01-04")]);
        assert!(by_day(Vec::new(), date!(2025 - 01 - 04)).is_empty());
    }
}
