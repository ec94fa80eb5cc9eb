//! LiteLLM's `config.yaml` to a checked model, with findings.
//!
//! [`read`] takes the text and never stops at the first problem: it yields what it understood, and a [`Finding`] for
//! everything that is wrong, unknown, or without effect so far. What is supported stands in [`support`]; references
//! to the environment stay references ([`mod@reference`]). Storing, resolving and serving the model are left to others,
//! and so is all I/O: included files and the environment come through [`Sources`].

mod check;
mod config;
mod deployment;
mod finding;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod include;
mod reader;
pub mod reference;
pub mod secret;
mod section;
pub mod support;
mod yaml;

pub use config::{Config, General, GroupAlias, Litellm, OnUnknownPrice, Router, RoutingStrategy};
pub use deployment::Deployment;
pub use finding::{Finding, Severity};
pub use secret::secret_params;

use serde_json::{Map, Value};

use reader::{At, Reader};

/// Where a reading gets what is not in the text.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of an included file, by the name that stands in the config, or why there is none.
    pub include: &'a dyn Fn(&str) -> Result<String, String>,
}

/// What came of reading a config.
#[derive(Debug)]
pub struct Reading {
    /// What was understood. Usable only where no finding is an [`Severity::Error`].
    pub config: Config,
    /// Everything there is to say, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// Whether the config must not be used.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads a config file.
pub fn read(text: &str, sources: &Sources<'_>) -> Reading {
    let mut reader = Reader::new(sources.environment);
    let config = match include::load(text, sources.include, &mut reader) {
        Some(root) => section::read(&At::root(&root), &mut reader),
        None => Config::default(),
    };
    Reading { config, findings: reader.into_findings() }
}

/// Reads one deployment that came through the API or lies in the database, by the rules of the file: `params` is its
/// `litellm_params` with secrets in place. An `organization` list gives several deployments, an unusable entry none.
pub fn read_deployment(
    model_name: &str,
    params: &Map<String, Value>,
    model_info: &Map<String, Value>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Deployment>, Vec<Finding>) {
    let mut entry = Map::new();
    entry.insert("model_name".to_owned(), Value::from(model_name));
    entry.insert("litellm_params".to_owned(), Value::Object(params.clone()));
    entry.insert("model_info".to_owned(), Value::Object(model_info.clone()));
    let node = yaml::Node::from_object(&entry);
    let mut reader = Reader::new(environment);
    let deployments = section::read_entry(&At::root(&node), &mut reader);
    (deployments, reader.into_findings())
}
