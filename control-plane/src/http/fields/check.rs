//! Whether what came is what a table asks for. Reports everything wrong at once, in the words of pydantic, because
//! clients of LiteLLM read them; and is as lenient as pydantic with numbers and truth values written as text.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Field, Form, Need, Shape};

/// Most issues that one answer lists.
pub(super) const ISSUES: usize = 100;

/// One thing that is wrong with a request, as pydantic writes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Issue {
    /// pydantic's name of the mistake.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The way to it: `body` or `query`, the field, the place in it.
    pub(crate) loc: Vec<Value>,
    /// What would have been right.
    pub(crate) msg: String,
    /// What came instead.
    pub(crate) input: Value,
}

impl Issue {
    /// An issue with a whole body.
    pub(crate) fn of_body(kind: &'static str, msg: impl Into<String>, input: Value) -> Self {
        Self { kind, loc: vec!["body".into()], msg: msg.into(), input }
    }

    /// An issue with one field of a body.
    pub(crate) fn of_field(kind: &'static str, field: &str, msg: impl Into<String>, input: Value) -> Self {
        Self { kind, loc: vec!["body".into(), field.into()], msg: msg.into(), input }
    }

    /// The same issue with an object that stands at this place of the body.
    pub(super) fn within(mut self, place: &[Value]) -> Self {
        let at = self.loc.len().min(1);
        self.loc.splice(at..at, place.iter().cloned());
        self
    }

    /// A field of a body that is missing.
    pub(crate) fn missing(field: &str) -> Self {
        Self::of_field("missing", field, "Field required", Value::Object(Map::new()))
    }
}

/// Checks the members of a request against its tables. Gives the form, and the names that no table knows.
pub(crate) fn check(
    place: &'static str,
    tables: &[&[Field]],
    mut members: Map<String, Value>,
) -> Result<(Form, Vec<String>), Vec<Issue>> {
    let mut issues = Issues { found: Vec::new() };
    let mut checked = Map::new();
    for field in tables.iter().flat_map(|table| table.iter()) {
        let at = || vec![place.into(), field.name.into()];
        match (members.remove(field.name), field.need) {
            (None, Need::Optional) => {}
            (None, Need::Required) => {
                let input = if place == "body" { Value::Object(Map::new()) } else { Value::Null };
                issues.add("missing", at(), "Field required", input);
            }
            (Some(Value::Null), Need::Optional) => {
                checked.insert(field.name.to_owned(), Value::Null);
            }
            (Some(value), _) => {
                if let Some(value) = issues.check(field.shape, value, at()) {
                    checked.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    if issues.found.is_empty() {
        Ok((Form(checked), members.into_iter().map(|(name, _)| name).collect()))
    } else {
        Err(issues.found)
    }
}

struct Issues {
    found: Vec<Issue>,
}

impl Issues {
    fn add(&mut self, kind: &'static str, loc: Vec<Value>, msg: impl Into<String>, input: Value) {
        if self.found.len() < ISSUES {
            self.found.push(Issue { kind, loc, msg: msg.into(), input });
        }
    }

    /// The value in its proper form, or an issue and nothing.
    fn check(&mut self, shape: Shape, value: Value, loc: Vec<Value>) -> Option<Value> {
        if holds_nul(&value) {
            self.add("string_type", loc, "Input should not hold the character U+0000", Value::Null);
            return None;
        }
        let checked = match shape {
            Shape::Any => Ok(value),
            Shape::Text => text(value),
            Shape::Truth => truth(value),
            Shape::Whole => whole(value),
            Shape::Number => number(value),
            Shape::Usd if value == "" => Ok(Value::Null),
            Shape::Usd => number(value),
            Shape::Choice(words) => choice(value, words),
            Shape::Object if value.is_object() => Ok(value),
            Shape::Object => Err(("dict_type", "Input should be a valid dictionary".into(), value)),
            Shape::TextMap => return self.members(Shape::Text, value, &loc),
            Shape::Texts => return self.items(Shape::Text, value, &loc),
            Shape::Objects => return self.items(Shape::Object, value, &loc),
        };
        match checked {
            Ok(value) => Some(value),
            Err((kind, msg, input)) => {
                self.add(kind, loc, msg, input);
                None
            }
        }
    }

    fn items(&mut self, each: Shape, value: Value, loc: &[Value]) -> Option<Value> {
        let Value::Array(items) = value else {
            self.add("list_type", loc.to_vec(), "Input should be a valid list", value);
            return None;
        };
        let checked: Vec<_> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.check(each, item, [loc, &[index.into()]].concat()))
            .collect();
        checked.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn members(&mut self, each: Shape, value: Value, loc: &[Value]) -> Option<Value> {
        let Value::Object(members) = value else {
            self.add("dict_type", loc.to_vec(), "Input should be a valid dictionary", value);
            return None;
        };
        let mut checked = Some(Map::new());
        for (name, member) in members {
            let member = self.check(each, member, [loc, &[name.as_str().into()]].concat());
            checked = checked.zip(member).map(|(mut checked, member)| {
                checked.insert(name, member);
                checked
            });
        }
        checked.map(Value::Object)
    }
}

type Checked = Result<Value, (&'static str, String, Value)>;

fn text(value: Value) -> Checked {
    match value {
        Value::String(_) => Ok(value),
        _ => Err(("string_type", "Input should be a valid string".into(), value)),
    }
}

fn truth(value: Value) -> Checked {
    let word = match &value {
        Value::Bool(_) => return Ok(value),
        Value::Number(number) => number.to_string(),
        Value::String(word) => word.to_ascii_lowercase(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(("bool_type", "Input should be a valid boolean".into(), value));
        }
    };
    match word.as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(Value::Bool(true)),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(Value::Bool(false)),
        _ => Err(("bool_parsing", "Input should be a valid boolean, unable to interpret input".into(), value)),
    }
}

fn whole(value: Value) -> Checked {
    match &value {
        Value::Number(number) if number.is_i64() => Ok(value),
        Value::Number(number) => match number.as_f64().filter(|float| float.fract() == 0.0).and_then(exactly) {
            Some(whole) => Ok(whole.into()),
            None if number.is_u64() => Err(("int_range", "Input should be a 64-bit integer".into(), value)),
            None => {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                Err(("int_from_float", msg.into(), value))
            }
        },
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(whole) => Ok(whole.into()),
            Err(_) => {
                let msg = "Input should be a valid integer, unable to parse string as an integer";
                Err(("int_parsing", msg.into(), value))
            }
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(("int_type", "Input should be a valid integer".into(), value))
        }
    }
}

/// The whole number that a float without fraction is, where a float holds it exactly.
fn exactly(float: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked: up to 2^53 floats are exact")]
    (float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
}

fn number(value: Value) -> Checked {
    match &value {
        Value::Number(_) => Ok(value),
        Value::String(text) => {
            let number = text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            match number {
                Some(number) => Ok(Value::Number(number)),
                None => {
                    let msg = "Input should be a valid number, unable to parse string as a number";
                    Err(("float_parsing", msg.into(), value))
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(("float_type", "Input should be a valid number".into(), value))
        }
    }
}

fn choice(value: Value, words: &[&str]) -> Checked {
    if words.iter().any(|word| value == **word) {
        return Ok(value);
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let listed = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    };
    Err(("literal_error", format!("Input should be {listed}"), value))
}

/// Postgres stores no U+0000.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, member)| name.contains('\0') || holds_nul(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{optional, required};
    use super::*;

    const TABLE: &[Field] = &[
        required("name", Shape::Text, ""),
        optional("limit", Shape::Whole, ""),
        optional("budget", Shape::Usd, ""),
        optional("models", Shape::Texts, ""),
        optional("aliases", Shape::TextMap, ""),
        optional("blocked", Shape::Truth, ""),
        optional("kind", Shape::Choice(&["a", "b", "c"]), ""),
    ];

    type Understood = (Map<String, Value>, Vec<String>);

    fn checked(body: Value) -> Result<Understood, Vec<(&'static str, Value)>> {
        let Value::Object(members) = body else { panic!("an object") };
        match check("body", &[TABLE], members) {
            Ok((form, unknown)) => Ok((form.0, unknown)),
            Err(issues) => Err(issues.into_iter().map(|issue| (issue.kind, Value::Array(issue.loc))).collect()),
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let body = json!({"limit": "x", "models": ["a", 1], "aliases": {"m": []}, "blocked": "maybe", "kind": "d"});
        let expected = [
            ("missing", json!(["body", "name"])),
            ("int_parsing", json!(["body", "limit"])),
            ("string_type", json!(["body", "models", 1])),
            ("string_type", json!(["body", "aliases", "m"])),
            ("bool_parsing", json!(["body", "blocked"])),
            ("literal_error", json!(["body", "kind"])),
        ];
        assert_eq!(checked(body).unwrap_err(), expected);
    }

    #[test]
    fn numbers_and_truth_values_may_be_written_as_text() {
        let (form, unknown) =
            checked(json!({"name": "n", "limit": "5", "budget": "1.5", "blocked": "True", "what": 1})).unwrap();
        assert_eq!(Value::Object(form), json!({"name": "n", "limit": 5, "budget": 1.5, "blocked": true}));
        assert_eq!(unknown, ["what"]);
    }

    #[test]
    fn an_empty_budget_is_none_and_null_stays_null() {
        let (form, _) = checked(json!({"name": "n", "budget": "", "models": null})).unwrap();
        assert_eq!(Value::Object(form), json!({"name": "n", "budget": null, "models": null}));
    }

    #[test]
    fn a_fraction_is_no_whole_number_and_a_float_without_one_is() {
        assert_eq!(
            checked(json!({"name": "n", "limit": 1.5})).unwrap_err(),
            [("int_from_float", json!(["body", "limit"]))]
        );
        assert_eq!(checked(json!({"name": "n", "limit": 2.0})).unwrap().0["limit"], 2);
    }

    #[test]
    fn what_postgres_cannot_store_is_refused() {
        assert_eq!(checked(json!({"name": "a\u{0}b"})).unwrap_err(), [("string_type", json!(["body", "name"]))]);
        assert!(checked(json!({"name": "n", "aliases": {"a\u{0}": "b"}})).is_err());
    }

    #[test]
    fn the_list_of_issues_has_an_end() {
        let models: Vec<_> = (0..1_000).collect();
        assert_eq!(checked(json!({"name": "n", "models": models})).unwrap_err().len(), ISSUES);
    }
}
