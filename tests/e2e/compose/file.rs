//! A compose file as far as this repository uses it: anchors, `<<`, `${NAME:-default}`, `${NAME:?message}`, `$$`.

use std::collections::BTreeSet;
use std::fs;

use acceptance::binaries::repository;
use anyhow::{Context, bail};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

/// The file, with its variables filled in.
pub(super) struct Compose(Value);

/// What of a service matters to a process.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) volumes: Vec<String>,
    pub(super) health_check: Vec<String>,
}

impl Compose {
    /// Reads `deploy/compose/compose.yaml` with these variables, as `docker compose` does with `.env`.
    pub(super) fn read(variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let text = fs::read_to_string(repository().join("deploy/compose/compose.yaml"))?;
        // Comments first: what they mention is no variable.
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
        // `$$` stays as it is until the YAML is read: a `$` may come out of it.
        let documents = Yaml::load_from_str(&code).context("compose.yaml")?;
        let document = documents.into_iter().next().context("compose.yaml is empty")?;
        Ok(Self(filled(&document, variables)?))
    }

    /// A service by name.
    pub(super) fn service(&self, name: &str) -> anyhow::Result<Service> {
        let service = self.0["services"].get(name).with_context(|| format!("no service `{name}`"))?;
        let environment = service["environment"].as_object().into_iter().flatten();
        Ok(Service {
            name: name.to_owned(),
            entrypoint: texts(&service["entrypoint"]),
            command: texts(&service["command"]),
            environment: environment
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            volumes: texts(&service["volumes"]),
            health_check: texts(&service["healthcheck"]["test"]),
        })
    }
}

/// The names of all variables in a compose file's text.
pub(super) fn variables(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("${").map(|(at, _)| &text[at + 2..]);
    starts
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

/// `text` with its variables filled in.
pub(super) fn interpolated(text: &str, variables: &[(&str, String)]) -> anyhow::Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (inside, after) = after.split_once('}').context("a variable without its end")?;
            filled.push_str(&value_of(inside, variables)?);
            rest = after;
        } else {
            bail!("a lone `$` in {text:?}");
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value_of(inside: &str, variables: &[(&str, String)]) -> anyhow::Result<String> {
    let set = |name: &str| {
        variables.iter().find(|(set, value)| *set == name && !value.is_empty()).map(|(_, value)| value.clone())
    };
    if let Some((name, default)) = inside.split_once(":-") {
        return Ok(set(name).unwrap_or_else(|| default.to_owned()));
    }
    let (name, why) = inside.split_once(":?").unwrap_or((inside, "it is not set"));
    set(name).with_context(|| format!("{name}: {why}"))
}

/// A node with its variables filled in and its merges (`<<`) done. Numbers and truth values are left out: no story needs one.
fn filled(node: &Yaml<'_>, variables: &[(&str, String)]) -> anyhow::Result<Value> {
    if let Some(text) = node.as_str() {
        return Ok(Value::String(interpolated(text, variables)?));
    }
    if let Some(items) = node.as_sequence() {
        return items.iter().map(|item| filled(item, variables)).collect();
    }
    let mut members = Map::new();
    for (name, value) in node.as_mapping().into_iter().flatten() {
        match (name.as_str().context("a key that is no text")?, filled(value, variables)?) {
            ("<<", Value::Object(merged)) => members.extend(merged),
            (name, value) => drop(members.insert(name.to_owned(), value)),
        }
    }
    Ok(if node.as_mapping().is_some() { Value::Object(members) } else { Value::Null })
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
