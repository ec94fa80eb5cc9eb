//! `os.environ/NAME`: values that stand in the environment instead of the file.
//!
//! References are kept as references wherever a value is stored; who needs the value resolves it, at each start.

use std::fmt;

use serde_json::Value as Json;

/// What LiteLLM writes before the name of an environment variable.
pub const PREFIX: &str = "os.environ/";

/// A text of the file: the text itself, or the name of the environment variable that holds it.
///
/// Either may be a secret, so `Debug` shows only the name of a variable, never a text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// The text as written.
    Literal(String),
    /// The variable's name.
    Environment(String),
}

impl Value {
    /// Reads a text as written: `os.environ/NAME`, with blanks around it, is a reference, everything else is itself.
    pub fn read(text: &str) -> Self {
        match text.trim().strip_prefix(PREFIX) {
            Some(name) => Self::Environment(name.trim().to_owned()),
            None => Self::Literal(text.to_owned()),
        }
    }

    /// The text, asking `environment` for a reference. `None` where the variable is not set or empty.
    pub fn resolve(&self, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        match self {
            Self::Literal(text) => Some(text.clone()),
            Self::Environment(name) => environment(name).filter(|text| !text.is_empty()),
        }
    }

    /// The value as it stands in a file.
    pub fn as_written(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Environment(name) => format!("{PREFIX}{name}"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(***)"),
            Self::Environment(name) => write!(f, "Environment({name})"),
        }
    }
}

/// `value` with every reference in it resolved, at any depth. A reference to a variable that is not set becomes null.
pub fn resolve_all(value: &Json, environment: &dyn Fn(&str) -> Option<String>) -> Json {
    match value {
        Json::String(text) => Value::read(text).resolve(environment).map_or(Json::Null, Json::String),
        Json::Array(items) => items.iter().map(|item| resolve_all(item, environment)).collect(),
        Json::Object(members) => {
            let resolved = members.iter().map(|(name, member)| (name.clone(), resolve_all(member, environment)));
            Json::Object(resolved.collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}

/// The variable's name, where `text` was probably meant as a reference and is none: `${NAME}`, `env/NAME`, ….
pub(crate) fn nearly(text: &str) -> Option<&str> {
    const NEARLY: [&str; 8] =
        ["os.environ.", "os.environ:", "os.env/", "os.environs/", "environ/", "env/", "$", "OS.ENVIRON/"];
    let text = text.trim();
    let rest = NEARLY.iter().find_map(|start| text.strip_prefix(start))?;
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    let word = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    (name.len() > 2 && name.contains('_') && name.chars().all(word)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_text_is_a_reference() {
        assert_eq!(Value::read("os.environ/KEY"), Value::Environment("KEY".to_owned()));
        assert_eq!(Value::read(" os.environ/KEY "), Value::Environment("KEY".to_owned()));
        assert_eq!(Value::read("Bearer os.environ/KEY"), Value::Literal("Bearer os.environ/KEY".to_owned()));
        assert_eq!(Value::read("os.environ/KEY").as_written(), "os.environ/KEY");
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = |name: &str| (name == "EMPTY").then(String::new);
        assert_eq!(Value::read("os.environ/EMPTY").resolve(&environment), None);
        assert_eq!(Value::read("os.environ/MISSING").resolve(&environment), None);
    }

    #[test]
    fn references_are_resolved_at_any_depth() {
        let environment = |name: &str| (name == "A").then(|| "1".to_owned());
        let written = serde_json::json!({"x": ["os.environ/A", {"y": "os.environ/B", "z": 3}]});
        assert_eq!(resolve_all(&written, &environment), serde_json::json!({"x": ["1", {"y": null, "z": 3}]}));
    }

    #[test]
    fn what_was_meant_as_a_reference_is_recognised() {
        for text in ["${OPENAI_API_KEY}", "$OPENAI_API_KEY", "env/OPENAI_API_KEY", "os.environ.OPENAI_API_KEY"] {
            assert_eq!(nearly(text), Some("OPENAI_API_KEY"), "{text}");
        }
        for text in ["sk-1234", "$ecret", "env/prod", "os.environ/OPENAI_API_KEY", "$"] {
            assert_eq!(nearly(text), None, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Value::read("sk-secret")), "Literal(***)");
    }
}
