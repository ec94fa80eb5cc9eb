//! A node of a read YAML text, and its passage to and from JSON.

use serde_json::{Map, Number, Value};

/// A value with the line that it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Counted from 1; 0 where the value comes from elsewhere than a text.
    pub(crate) line: usize,
    /// Which of the texts read it stands in; 0 is the file itself, others were included.
    pub(crate) file: usize,
    pub(crate) kind: Kind,
}

/// A node's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `name: value` of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The line of the name.
    pub(crate) line: usize,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn null(line: usize, file: usize) -> Self {
        Self { line, file, kind: Kind::Null }
    }

    /// The value as JSON. References stay as written.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Flag(flag) => Value::Bool(*flag),
            Kind::Whole(whole) => Value::from(*whole),
            Kind::Real(real) => Number::from_f64(*real).map_or(Value::Null, Value::Number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Kind::Map(entries) => Value::Object(object(entries)),
        }
    }

    /// The node of a JSON value that came through the API or from the database.
    pub(crate) fn from_json(value: &Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(flag) => Kind::Flag(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Kind::Whole(whole),
                None => number.as_f64().map_or(Kind::Null, Kind::Real),
            },
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::List(items.iter().map(Self::from_json).collect()),
            Value::Object(members) => return Self::from_object(members),
        };
        Self { line: 0, file: 0, kind }
    }

    pub(crate) fn from_object(members: &Map<String, Value>) -> Self {
        let entry =
            |(name, value): (&String, &Value)| Entry { name: name.clone(), line: 0, value: Self::from_json(value) };
        Self { line: 0, file: 0, kind: Kind::Map(members.iter().map(entry).collect()) }
    }

    /// Whether the value switches nothing on: null, false, zero or empty.
    pub(crate) fn is_off(&self) -> bool {
        match &self.kind {
            Kind::Null | Kind::Flag(false) | Kind::Whole(0) => true,
            Kind::Real(real) => *real == 0.0,
            Kind::Text(text) => text.trim().is_empty() || text.eq_ignore_ascii_case("false"),
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
            Kind::Flag(true) | Kind::Whole(_) => false,
        }
    }

    /// What the value is, in a reader's words.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Flag(_) => "true or false",
            Kind::Whole(_) | Kind::Real(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// The entries of a mapping as a JSON object, in the file's order.
pub(crate) fn object(entries: &[Entry]) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.name.clone(), entry.value.json())).collect()
}
