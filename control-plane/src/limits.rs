//! Budgets, limits and their windows, as requests about keys, teams and users give them. Pure.

use proto::NanoUsd;
use serde_json::{Map, Value};

use crate::http::fields::Patch;
use crate::keys::duration::{DurationError, Span};

/// A budget or limit that nobody can have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("{field} must be a finite number of US dollars from 0 to 9 billion, got {value}")]
    Amount { field: &'static str, value: f64 },
    #[error("{field} must not be negative, got {value}")]
    Negative { field: &'static str, value: i64 },
    #[error("{field}: {source}")]
    Duration { field: &'static str, source: DurationError },
    #[error("{field}: {what}")]
    Malformed { field: &'static str, what: String },
}

/// An amount of money in a request.
pub(crate) fn usd(field: &'static str, value: Option<f64>) -> Result<Option<NanoUsd>, LimitError> {
    let Some(value) = value else { return Ok(None) };
    let amount = NanoUsd::from_usd(value).filter(|amount| *amount >= NanoUsd::ZERO);
    amount.map(Some).ok_or(LimitError::Amount { field, value })
}

/// A limit in a request.
pub(crate) fn limit(field: &'static str, value: Option<i64>) -> Result<Option<i64>, LimitError> {
    match value.filter(|value| *value < 0) {
        Some(value) => Err(LimitError::Negative { field, value }),
        None => Ok(value),
    }
}

/// The window of a budget in a request.
pub(crate) fn window(text: Option<String>) -> Result<Option<String>, LimitError> {
    if let Some(text) = &text {
        Span::check_window(text).map_err(|source| LimitError::Duration { field: "budget_duration", source })?;
    }
    Ok(text)
}

/// Changes a budget or limit as a request says; `read` is one of the functions above.
pub(crate) fn set<T, U>(
    patch: Patch<T>,
    place: &mut Option<U>,
    read: impl FnOnce(Option<T>) -> Result<Option<U>, LimitError>,
) -> Result<(), LimitError> {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *place = None,
        Patch::To(value) => *place = read(Some(value))?,
    }
    Ok(())
}

/// Puts `changes` over fields that are kept as they came; `null` removes.
pub(crate) fn merge(kept: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        match value.is_null() {
            true => _ = kept.shift_remove(&name),
            false => _ = kept.insert(name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_finite_and_not_negative() {
        assert_eq!(usd("max_budget", Some(1.5)).unwrap(), Some(NanoUsd::from_nanos(1_500_000_000)));
        assert_eq!(usd("max_budget", None).unwrap(), None);
        for value in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
            assert!(usd("max_budget", Some(value)).is_err(), "{value}");
        }
    }

    #[test]
    fn a_window_that_is_none_is_refused() {
        assert!(window(Some("30d".into())).is_ok());
        assert!(window(Some("0d".into())).is_err());
        assert!(window(Some("soon".into())).is_err());
    }
}
