//! The configuration file: read with everything that it includes, its findings told.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use litellm_config::reference::Value;
use litellm_config::{Config, Finding, Severity, Sources};
use sha2::{Digest, Sha256};

/// A configuration that can be used.
#[derive(Debug)]
pub struct Configuration {
    /// What was understood.
    pub config: Config,
    /// SHA-256 over the file and all that it includes.
    pub sha256: [u8; 32],
    /// What the reader should know; no errors are among it.
    pub findings: Vec<Finding>,
}

impl Configuration {
    /// Whether `general_settings.database_url` is there, and not a reference to nothing.
    pub fn names_a_database(&self, environment: &dyn Fn(&str) -> Option<String>) -> bool {
        let url = self.config.general.database_url.as_ref();
        let url = url.and_then(|url| url.resolve(&|name| self.config.variable(name, environment)));
        url.is_some_and(|url| !url.is_empty())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file is not there, or not readable.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are errors in it. All findings are listed.
    #[error("the configuration {} cannot be used:\n{findings}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what else there is to say.
        findings: Findings,
    },
}

/// Findings, one line each.
#[derive(Debug)]
pub struct Findings(Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "  {finding}{end}")?;
        }
        Ok(())
    }
}

/// Reads a configuration; an error where it must not be used.
pub fn read(path: &Path) -> Result<Configuration, ConfigurationError> {
    read_in(path, &environment)
}

/// The same with another environment than the process's.
pub(crate) fn read_in(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, ConfigurationError> {
    let text =
        fs::read_to_string(path).map_err(|source| ConfigurationError::Unreadable { path: path.to_owned(), source })?;
    let digest = RefCell::new(Sha256::new_with_prefix(&text));
    let folder = path.parent().unwrap_or(Path::new(""));
    let include = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
        let mut digest = digest.borrow_mut();
        // The length keeps two files apart from one that holds both.
        digest.update(text.len().to_be_bytes());
        digest.update(&text);
        Ok(text)
    };
    let mut reading = litellm_config::read(&text, &Sources { environment, include: &include });
    let findings = reading.findings;
    if let Some(list) = names_file(&reading.config, environment) {
        let file = folder.join(list);
        let unreadable = |source| ConfigurationError::Unreadable { path: file.clone(), source };
        let names = fs::read_to_string(&file).map_err(unreadable)?;
        let mut digest = digest.borrow_mut();
        digest.update(names.len().to_be_bytes());
        digest.update(&names);
        put_names(&mut reading.config, &names);
    }
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        true => Err(ConfigurationError::Wrong { path: path.to_owned(), findings: Findings(findings) }),
        false => {
            let sha256 = digest.into_inner().finalize().into();
            Ok(Configuration { config: reading.config, sha256, findings })
        }
    }
}

const NAMES: (&str, &str) = ("litellm_settings", "blocked_user_list");

/// The file that lists blocked customers, where the configuration names one instead of them.
fn names_file(config: &Config, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let text = config.sections.get(NAMES.0)?.get(NAMES.1)?.as_str()?;
    let file = Value::read(text).resolve(&|name| config.variable(name, environment));
    file.filter(|file| !file.is_empty())
}

/// Puts what the file says, a name on each line, in its place.
fn put_names(config: &mut Config, names: &str) {
    let names: Vec<&str> = names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(settings) = config.sections.get_mut(NAMES.0).and_then(serde_json::Value::as_object_mut) {
        settings.insert(NAMES.1.to_owned(), names.into());
    }
}

/// Prints everything that there is to say of a configuration. Fails where it must not be used.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what `check` is for")]
pub fn check(path: &Path) -> ExitCode {
    match read(path) {
        Ok(configuration) => {
            for finding in &configuration.findings {
                println!("{finding}");
            }
            let serving = configuration.config.deployments.iter().filter(|one| one.unavailable.is_none()).count();
            println!(
                "{}: usable, {serving} of {} deployments would serve, {} findings",
                path.display(),
                configuration.config.deployments.len(),
                configuration.findings.len(),
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "model_list:\n- model_name: m\n  litellm_params: {model: openai/gpt-4o, mock_response: hi}\n";

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_all_that_is_wrong() {
        let (_folder, path) = file("bad.yaml", "model_list:\n- model_name: a\n- litellm_params: {model: openai/x}\n");
        let error = read_in(&path, &|_| None).unwrap_err().to_string();
        assert!(error.contains("model_list[0]") && error.contains("model_list[1]"), "{error}");
        assert!(matches!(read_in(Path::new("/nowhere/x.yaml"), &|_| None), Err(ConfigurationError::Unreadable { .. })));
    }

    #[test]
    fn a_list_of_blocked_customers_may_lie_in_a_file_of_its_own() {
        let (folder, path) =
            file("config.yaml", &format!("{GOOD}litellm_settings: {{blocked_user_list: blocked.txt}}\n"));
        assert!(matches!(read_in(&path, &|_| None), Err(ConfigurationError::Unreadable { .. })), "it is not there");
        fs::write(folder.path().join("blocked.txt"), "mallory\n\n  trudy \n").unwrap();
        let read = read_in(&path, &|_| None).unwrap();
        let list = &read.config.sections["litellm_settings"]["blocked_user_list"];
        assert_eq!(*list, serde_json::json!(["mallory", "trudy"]));
        fs::write(folder.path().join("blocked.txt"), "mallory\n").unwrap();
        assert_ne!(read_in(&path, &|_| None).unwrap().sha256, read.sha256);
    }

    #[test]
    fn the_digest_changes_with_an_included_file() {
        let (folder, path) = file("config.yaml", "include: [more.yaml]\n");
        fs::write(folder.path().join("more.yaml"), GOOD).unwrap();
        let before = read_in(&path, &|_| None).unwrap();
        assert_eq!(before.config.deployments.len(), 1);
        fs::write(folder.path().join("more.yaml"), GOOD.replace("hi", "ho")).unwrap();
        assert_ne!(read_in(&path, &|_| None).unwrap().sha256, before.sha256);
    }
}
