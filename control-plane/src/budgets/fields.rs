//! `budget_limits` and `model_max_budget`, as requests give them and rows keep them (admin_api.md 3.1, 4.10). Pure.
//!
//! A window of `budget_limits` has the scope `window:30d`, a model's budget `model:gpt-4o`.

use proto::NanoUsd;
use serde_json::{Map, Value};

use super::Budget;
use crate::keys::duration::Span;
use crate::limits::{LimitError, usd};

/// All budgets of an owner: `of_all` and those in the fields that rows keep as they came.
pub(crate) fn read(of_all: Option<Budget>, kept: &Map<String, Value>) -> Result<Vec<Budget>, LimitError> {
    let mut budgets: Vec<Budget> = of_all.into_iter().collect();
    match kept.get("budget_limits") {
        None | Some(Value::Null) => {}
        Some(Value::Array(windows)) => {
            for window in windows {
                budgets.push(of_window(window)?);
            }
        }
        Some(other) => return Err(malformed("budget_limits", "a list of {budget_duration, max_budget}", other)),
    }
    match kept.get("model_max_budget") {
        None | Some(Value::Null) => {}
        Some(Value::Object(models)) => {
            for (model, entry) in models {
                budgets.extend(of_model(model, entry)?);
            }
        }
        Some(other) => return Err(malformed("model_max_budget", "an object of budgets by model", other)),
    }
    let mut scopes: Vec<&str> = budgets.iter().map(|budget| budget.scope.as_str()).collect();
    scopes.sort_unstable();
    match scopes.windows(2).find(|pair| matches!(pair, [one, other] if one == other)) {
        Some(_twice) => Err(LimitError::Malformed {
            field: "budget_limits",
            what: "two budgets have the same budget_duration: write it once".to_owned(),
        }),
        None => Ok(budgets),
    }
}

fn of_window(entry: &Value) -> Result<Budget, LimitError> {
    const FIELD: &str = "budget_limits";
    let Some(members) = entry.as_object() else {
        return Err(malformed(FIELD, "{budget_duration, max_budget} in each place", entry));
    };
    known(FIELD, members, &["budget_duration", "max_budget", "reset_at"])?;
    let window = window(FIELD, members, &["budget_duration"])?;
    let most = amount(FIELD, members, &["max_budget"])?;
    Ok(Budget { scope: format!("window:{window}"), model: None, most: Some(most), window: Some(window) })
}

/// None where the entry has limits of rate only.
fn of_model(model: &str, entry: &Value) -> Result<Option<Budget>, LimitError> {
    const FIELD: &str = "model_max_budget";
    let Some(members) = entry.as_object() else {
        return Err(malformed(FIELD, "{max_budget, budget_duration} for each model", entry));
    };
    known(FIELD, members, &["max_budget", "budget_limit", "budget_duration", "time_period", "tpm_limit", "rpm_limit"])?;
    if !["max_budget", "budget_limit", "budget_duration", "time_period"].iter().any(|name| given(members, name)) {
        return Ok(None);
    }
    let window = window(FIELD, members, &["budget_duration", "time_period"])?;
    let most = amount(FIELD, members, &["max_budget", "budget_limit"])?;
    let scope = format!("model:{model}");
    Ok(Some(Budget { scope, model: Some(model.to_owned()), most: Some(most), window: Some(window) }))
}

fn given(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).is_some_and(|value| !value.is_null())
}

fn known(field: &'static str, members: &Map<String, Value>, names: &[&str]) -> Result<(), LimitError> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(other) => {
            let what = format!("`{other}` is not a field here; there are {}", names.join(", "));
            Err(LimitError::Malformed { field, what })
        }
        None => Ok(()),
    }
}

fn window(field: &'static str, members: &Map<String, Value>, names: &[&str]) -> Result<String, LimitError> {
    let said = names.iter().find_map(|name| members.get(*name)).and_then(Value::as_str);
    let Some(text) = said else {
        let what = format!("`{}` is missing: how often the budget starts anew, as in 1d", names.join("` or `"));
        return Err(LimitError::Malformed { field, what });
    };
    Span::check_window(text).map_err(|source| LimitError::Duration { field, source })?;
    Ok(text.to_owned())
}

fn amount(field: &'static str, members: &Map<String, Value>, names: &[&str]) -> Result<NanoUsd, LimitError> {
    let said = names.iter().find_map(|name| members.get(*name)).and_then(Value::as_f64);
    let missing = || LimitError::Malformed {
        field,
        what: format!("`{}` is missing: how many US dollars may be spent", names.join("` or `")),
    };
    usd(field, said)?.ok_or_else(missing)
}

fn malformed(field: &'static str, wanted: &str, got: &Value) -> LimitError {
    let got: String = got.to_string().chars().take(60).collect();
    LimitError::Malformed { field, what: format!("must be {wanted}, got {got}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(kept: &Value) -> Result<Vec<(String, i64, String)>, String> {
        let budgets = read(None, kept.as_object().unwrap()).map_err(|error| error.to_string())?;
        Ok(budgets
            .into_iter()
            .map(|budget| (budget.scope, budget.most.unwrap().nanos() / 1_000_000, budget.window.unwrap()))
            .collect())
    }

    #[test]
    fn windows_and_models_have_budgets_in_both_spellings() {
        let read = read_json(&json!({
            "budget_limits": [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "30d", "max_budget": 10.5}],
            "model_max_budget": {
                "gpt-4o": {"budget_limit": 2, "time_period": "1d"}, "a/b": {"max_budget": 0, "budget_duration": "1h"},
                "only-rate": {"rpm_limit": 5},
            },
        }));
        let expected = [
            ("window:1d", 1_000, "1d"),
            ("window:30d", 10_500, "30d"),
            ("model:gpt-4o", 2_000, "1d"),
            ("model:a/b", 0, "1h"),
        ];
        let expected = expected.map(|(scope, milli, window)| (scope.to_owned(), milli, window.to_owned()));
        assert_eq!(read.unwrap(), expected);
        assert_eq!(read_json(&json!({"budget_limits": null, "model_max_budget": {}})), Ok(vec![]));
    }

    #[test]
    fn what_is_no_budget_is_said_to_be_none() {
        for (kept, says) in [
            (json!({"budget_limits": 5}), "budget_limits: must be a list"),
            (json!({"budget_limits": [5]}), "in each place, got 5"),
            (json!({"budget_limits": [{"max_budget": 5}]}), "`budget_duration` is missing"),
            (json!({"budget_limits": [{"budget_duration": "1d"}]}), "`max_budget` is missing"),
            (json!({"budget_limits": [{"budget_duration": "soon", "max_budget": 5}]}), "Invalid duration format"),
            (json!({"budget_limits": [{"budget_duration": "1d", "max_budget": -5}]}), "from 0 to 9 billion"),
            (
                json!({"budget_limits": [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "1d", "max_budget": 2}]}),
                "same budget_duration",
            ),
            (json!({"model_max_budget": {"m": 5}}), "for each model, got 5"),
            (json!({"model_max_budget": {"m": {"max_budget": 5}}}), "`budget_duration` or `time_period` is missing"),
            (json!({"model_max_budget": {"m": {"max_budgte": 5}}}), "`max_budgte` is not a field here"),
        ] {
            let error = read_json(&kept).unwrap_err();
            assert!(error.contains(says), "{kept}: {error}");
        }
    }
}
