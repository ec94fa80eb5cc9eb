//! A row of LiteLLM's as JSON, and what can be made of it: a request, as if somebody had sent it to the admin API.

use proto::NanoUsd;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::http::fields::{Field, Request, Shape, check};
use crate::limits;

/// Columns that change with use, and not because somebody changed the row.
const OF_USE: &[&str] = &[
    "spend",
    "total_spend",
    "model_spend",
    "budget_reset_at",
    "last_active",
    "last_refreshed_at",
    "soft_budget_cooldown",
    "updated_at",
    "updated_by",
    "settings_updated_at",
];

/// A row that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Map<String, Value>);

impl Record {
    pub(crate) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// What is in a column; nothing where it is null, or not there in this version.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// An object, also one that was written into its column as text.
    pub(crate) fn object(&self, name: &str) -> Map<String, Value> {
        match self.get(name).cloned().map(unfolded) {
            Some(Value::Object(members)) => members,
            Some(_) | None => Map::new(),
        }
    }

    /// A point in time; columns without a zone are in UTC.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<OffsetDateTime>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let whole = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok();
        let local =
            || time::PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).ok().map(time::PrimitiveDateTime::assume_utc);
        whole.or_else(local).map(Some).ok_or_else(|| format!("{name} is no point in time"))
    }

    /// An amount of money; one that nobody can have spent is none.
    pub(super) fn usd(&self, name: &str) -> Option<NanoUsd> {
        limits::usd("spend", self.get(name)?.as_f64()).ok().flatten()
    }

    /// Puts a value into a column.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Puts a value into a column in which there is nothing, not even an empty object, and says whether it did.
    pub(crate) fn fill(&mut self, name: &str, value: Option<&Value>) -> bool {
        let Some(value) = value.filter(|value| !is_empty(value)) else { return false };
        let fills = self.0.get(name).is_none_or(is_empty);
        if fills {
            self.set(name, value.clone());
        }
        fills
    }

    /// Removes a column, and gives what was in it.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// What tells one state of the row from another: everything but what changes with use.
    pub(super) fn state(&self) -> String {
        let state = self.0.iter().filter(|(name, value)| !OF_USE.contains(&name.as_str()) && !value.is_null());
        let mut state: Vec<(&String, &Value)> = state.collect();
        state.sort_by_key(|(name, _)| name.as_str());
        serde_json::to_string(&state).unwrap_or_default()
    }

    /// The row as a request of the admin API, by its rules. What the request does not know is left out, and so is what
    /// says nothing. The reason for a refusal names columns, never their values.
    pub(crate) fn ask<T: Request>(&self) -> Result<T, String> {
        let mut said = Map::new();
        for field in T::FIELDS.iter().copied().flatten() {
            if let Some(value) = self.get(field.name).cloned().map(|value| shaped(field, value))
                && !is_empty(&value)
            {
                said.insert(field.name.to_owned(), value);
            }
        }
        let read = check::check("body", T::FIELDS, said).and_then(|(form, _unknown)| T::read(form));
        read.map_err(|issues| {
            let wrong: Vec<String> =
                issues.iter().take(3).map(|issue| format!("{}: {}", place(&issue.loc), issue.msg)).collect();
            wrong.join("; ")
        })
    }
}

/// Where an issue is, without the word `body`.
fn place(loc: &[Value]) -> String {
    let parts = loc.iter().skip(1).map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
    parts.collect::<Vec<_>>().join(".")
}

/// The value in a form that the field may have.
fn shaped(field: &Field, value: Value) -> Value {
    match field.shape {
        Shape::Object | Shape::TextMap | Shape::Objects => unfolded(value),
        // A column of whole numbers that was made one of fractions is still whole.
        Shape::Whole => match value.as_f64().filter(|_| value.is_f64()) {
            Some(number) if number.fract() == 0.0 => serde_json::from_str(&format!("{number:.0}")).unwrap_or(value),
            Some(_) | None => value,
        },
        Shape::Text | Shape::Truth | Shape::Number | Shape::Usd | Shape::Texts | Shape::Choice(_) | Shape::Any => value,
    }
}

/// JSON that was stored as a text of JSON.
fn unfolded(value: Value) -> Value {
    match &value {
        Value::String(text) if text.starts_with(['{', '[']) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn record(value: Value) -> Record {
        Record::of(value.as_object().cloned().unwrap())
    }

    #[test]
    fn times_are_read_with_and_without_a_zone_and_bad_ones_are_no_absence() {
        let row = record(
            json!({"a": "2024-05-01T10:00:00.123", "b": "2024-05-01T12:00:00+02:00", "c": "infinity", "d": null}),
        );
        assert_eq!(row.moment("a"), Ok(Some(datetime!(2024-05-01 10:00:00.123 UTC))));
        assert_eq!(row.moment("b").unwrap().unwrap(), datetime!(2024-05-01 10:00 UTC));
        assert!(row.moment("c").is_err());
        assert_eq!(row.moment("d"), Ok(None));
    }

    #[test]
    fn use_does_not_change_the_state_of_a_row_and_a_limit_does() {
        let before = record(json!({"token": "t", "spend": 1.0, "rpm_limit": 5, "odd": null}));
        let used = record(json!({"spend": 2.0, "rpm_limit": 5, "token": "t", "last_active": "2024-05-01T10:00:00"}));
        assert_eq!(before.state(), used.state());
        assert_ne!(before.state(), record(json!({"token": "t", "rpm_limit": 6})).state());
    }

    #[test]
    fn nothing_is_filled_over_something() {
        let mut row = record(json!({"max_budget": 0.0, "model_max_budget": {}}));
        assert!(!row.fill("max_budget", Some(&json!(5))));
        assert!(row.fill("model_max_budget", Some(&json!({"m": {"max_budget": 1}}))));
        assert!(row.fill("rpm_limit", Some(&json!(5))));
        assert_eq!(row.get("rpm_limit"), Some(&json!(5)));
    }
}
