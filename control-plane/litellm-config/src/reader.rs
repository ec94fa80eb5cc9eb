//! The reader that all sections share: where we are in the tree, what the environment says, what was found so far.
//!
//! Conversions here are silent: that a value has the right type is checked once, by the walk through its section,
//! against the table of keys.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::finding::{Finding, Findings, Severity};
use crate::reference::Value;
use crate::yaml::{Entry, Kind, Node};

/// A node and the way to it.
#[derive(Clone)]
pub(crate) struct At<'a> {
    /// Such as `model_list[0].litellm_params`.
    pub(crate) path: String,
    /// The last name on the way; empty for the root and for items of a list.
    pub(crate) name: &'a str,
    /// The line of the key, or of the value where there is no key.
    pub(crate) line: usize,
    pub(crate) node: &'a Node,
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { path: String::new(), name: "", line: node.line, node }
    }

    pub(crate) fn key(&self, entry: &'a Entry) -> Self {
        let path = if self.path.is_empty() { entry.name.clone() } else { format!("{}.{}", self.path, entry.name) };
        Self { path, name: &entry.name, line: entry.line, node: &entry.value }
    }

    pub(crate) fn item(&self, index: usize, node: &'a Node) -> Self {
        Self { path: format!("{}[{index}]", self.path), name: "", line: node.line, node }
    }

    /// The entries, where this is a mapping.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        match &self.node.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, where this is a list.
    pub(crate) fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let items: &'a [Node] = match &self.node.kind {
            Kind::List(items) => items,
            _ => &[],
        };
        let here = self.clone();
        items.iter().enumerate().map(move |(index, node)| here.item(index, node))
    }

    /// The member `name`, where this is a mapping that has it.
    pub(crate) fn member(&self, name: &str) -> Option<At<'a>> {
        self.entries().iter().find(|entry| entry.name == name).map(|entry| self.key(entry))
    }
}

/// What a reading carries along.
pub(crate) struct Reader<'a> {
    findings: Findings,
    /// Names of the texts read; nodes refer to them by index. The first is the file itself and has no name.
    files: Vec<String>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// `environment_variables` of the file, which LiteLLM sets before it resolves anything.
    own_environment: BTreeMap<String, Value>,
    /// `general_settings.allow_unenforced`: restrictions that are not enforced yet do not stop the start.
    pub(crate) unenforced: Unenforced,
}

/// What to do with configured restrictions that would not be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unenforced {
    /// Do not start: an ignored restriction is an open door.
    Refused,
    /// Start, and say so.
    Allowed,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            findings: Findings::default(),
            files: vec![String::new()],
            environment,
            own_environment: BTreeMap::new(),
            unenforced: Unenforced::Refused,
        }
    }

    /// Notes one more text; nodes read from it carry the index returned.
    pub(crate) fn add_file(&mut self, name: &str) -> usize {
        self.files.push(name.to_owned());
        self.files.len() - 1
    }

    pub(crate) fn set_own_environment(&mut self, variables: BTreeMap<String, Value>) {
        self.own_environment = variables;
    }

    /// The value of an environment variable: the file's own, else the process's. Empty counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let value = match self.own_environment.get(name) {
            Some(own) => own.resolve(self.environment),
            None => (self.environment)(name),
        };
        value.filter(|text| !text.is_empty())
    }

    pub(crate) fn resolve(&self, value: &Value) -> Option<String> {
        value.resolve(&|name| self.variable(name))
    }

    /// Adds a finding about `at`.
    pub(crate) fn find(&mut self, at: &At<'_>, severity: Severity, problem: impl Into<String>, hint: Option<String>) {
        let line = (at.line > 0).then_some(at.line);
        self.find_in(at.node.file, &at.path, line, severity, problem, hint);
    }

    #[allow(clippy::too_many_arguments, reason = "the six members of a finding, for places without a node")]
    pub(crate) fn find_in(
        &mut self,
        file: usize,
        path: &str,
        line: Option<usize>,
        severity: Severity,
        problem: impl Into<String>,
        hint: Option<String>,
    ) {
        let file = self.files.get(file).filter(|name| !name.is_empty()).cloned();
        self.findings.push(Finding { path: path.to_owned(), line, file, severity, problem: problem.into(), hint });
    }

    pub(crate) fn error(&mut self, at: &At<'_>, problem: impl Into<String>, hint: &str) {
        self.find(at, Severity::Error, problem, (!hint.is_empty()).then(|| hint.to_owned()));
    }

    pub(crate) fn warning(&mut self, at: &At<'_>, problem: impl Into<String>, hint: &str) {
        self.find(at, Severity::Warning, problem, (!hint.is_empty()).then(|| hint.to_owned()));
    }

    pub(crate) fn note(&mut self, at: &At<'_>, problem: impl Into<String>) {
        self.find(at, Severity::Note, problem, None);
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_sorted()
    }

    /// A text with its reference kept. Numbers and flags count as text: `api_version: 2024` is one.
    pub(crate) fn value(&self, node: &Node) -> Option<Value> {
        match &node.kind {
            Kind::Text(text) => Some(Value::read(text)),
            Kind::Flag(flag) => Some(Value::Literal(flag.to_string())),
            Kind::Whole(whole) => Some(Value::Literal(whole.to_string())),
            Kind::Real(real) => Some(Value::Literal(real.to_string())),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// A text, its reference resolved.
    pub(crate) fn text(&self, node: &Node) -> Option<String> {
        self.value(node).and_then(|value| self.resolve(&value))
    }

    /// A number; text that holds one counts, as LiteLLM has it.
    pub(crate) fn number(&self, node: &Node) -> Option<f64> {
        match &node.kind {
            #[allow(clippy::cast_precision_loss, reason = "limits and weights stay far below 2^53")]
            Kind::Whole(whole) => Some(*whole as f64),
            Kind::Real(real) => Some(*real),
            Kind::Text(_) => self.text(node)?.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Kind::Null | Kind::Flag(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// A whole number from zero on.
    pub(crate) fn whole(&self, node: &Node) -> Option<u64> {
        match &node.kind {
            Kind::Whole(whole) => u64::try_from(*whole).ok(),
            _ => {
                let number = self.number(node)?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
                let whole = ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64);
                whole
            }
        }
    }

    /// A time in seconds, from zero on.
    pub(crate) fn seconds(&self, node: &Node) -> Option<Duration> {
        self.number(node).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// A flag; the words that YAML 1.1 and Python take for one count.
    pub(crate) fn flag(&self, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Flag(flag) => Some(*flag),
            Kind::Text(_) => match self.text(node)?.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Kind::Null | Kind::Whole(_) | Kind::Real(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The texts of a list, references resolved; items that are none are left out.
    pub(crate) fn texts(&self, node: &Node) -> Vec<String> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            _ => Vec::new(),
        }
    }
}
