//! Where the calls of a team are to be logged, as its metadata has it. Pure.
//!
//! Metadata is shown as it came: what opens something stands there as a reference to the environment or not at all. Data
//! planes do not log to these places yet.

use serde_json::{Map, Value, json};

use super::{Team, TeamError};

/// Most entries of a team.
const ENTRIES: usize = 32;

/// Settings that an entry may have.
pub(super) const VARS: &[&str] = &[
    "langfuse_public_key",
    "langfuse_secret",
    "langfuse_secret_key",
    "langfuse_host",
    "langfuse_environment",
    "langfuse_span_scope",
    "langfuse_prompt_version",
    "gcs_bucket_name",
    "gcs_path_service_account",
    "langsmith_api_key",
    "langsmith_project",
    "langsmith_base_url",
    "langsmith_sampling_rate",
    "langsmith_tenant_id",
    "humanloop_api_key",
    "arize_api_key",
    "arize_space_key",
    "arize_space_id",
    "arize_success_sampling_rate",
    "arize_error_sampling_rate",
    "arize_otlp_protocol",
    "posthog_api_key",
    "posthog_api_url",
    "wandb_api_key",
    "weave_project_id",
    "dd_api_key",
    "dd_site",
    "dd_agent_host",
    "dd_agent_port",
    "newrelic_api_key",
    "newrelic_region",
    "signoz_ingestion_endpoint",
    "signoz_ingestion_key",
    "turn_off_message_logging",
    "litellm_disabled_callbacks",
];

/// Which calls an entry is about.
pub(super) const KINDS: &[&str] = &["success", "failure", "success_and_failure"];

/// One place to log to.
#[derive(Debug)]
pub(super) struct Callback {
    pub(super) name: String,
    /// One of [`KINDS`].
    pub(super) kind: String,
    pub(super) vars: Map<String, Value>,
}

/// What a team logs, and where.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Logging {
    pub(super) success: Vec<String>,
    pub(super) failure: Vec<String>,
    pub(super) vars: Map<String, Value>,
}

/// What the team logs: its list, and without one the older form of it.
pub(super) fn of(team: &Team) -> Logging {
    let mut logging = Logging::default();
    let list = entries(team);
    for entry in &list {
        let name = entry.get("callback_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        match entry.get("callback_type").and_then(Value::as_str) {
            Some("success") => logging.success.push(name),
            Some("failure") => logging.failure.push(name),
            Some(_) | None => {
                logging.success.push(name.clone());
                logging.failure.push(name);
            }
        }
        logging.vars.extend(object(entry.get("callback_vars")));
    }
    if let Some(older) = team.metadata.get("callback_settings").filter(|_| list.is_empty()) {
        let names = |field: &str| {
            let names = older.get(field).and_then(Value::as_array).into_iter().flatten();
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let vars = object(older.get("callback_vars"));
        logging = Logging { success: names("success_callback"), failure: names("failure_callback"), vars };
    }
    logging
}

/// Adds a place to log to, once for each kind.
pub(super) fn add(team: &mut Team, callback: Callback) -> Result<(), TeamError> {
    let mut list = entries(team);
    let is_same = |entry: &Value| is_named(entry, &callback.name) && kind_of(entry) == callback.kind;
    if list.iter().any(is_same) {
        return Err(TeamError::CallbackExists { name: callback.name, kind: callback.kind });
    }
    if list.len() >= ENTRIES {
        return Err(TeamError::TooManyCallbacks(ENTRIES));
    }
    list.push(json!({
        "callback_name": callback.name,
        "callback_type": callback.kind,
        "callback_vars": callback.vars,
    }));
    team.metadata.insert("logging".to_owned(), list.into());
    Ok(())
}

/// Takes a place to log to away, for all kinds of calls.
pub(super) fn remove(team: &mut Team, name: &str) -> Result<(), TeamError> {
    let mut list = entries(team);
    let before = list.len();
    list.retain(|entry| !is_named(entry, name));
    if list.len() == before {
        return Err(TeamError::NoCallback(name.to_owned()));
    }
    team.metadata.insert("logging".to_owned(), list.into());
    Ok(())
}

/// Logs the team's calls nowhere: said, and not left open.
pub(super) fn disable(team: &mut Team) {
    let nothing = json!({"success_callback": [], "failure_callback": [], "callback_vars": {}});
    team.metadata.insert("callback_settings".to_owned(), nothing);
    team.metadata.insert("logging".to_owned(), json!([]));
}

fn entries(team: &Team) -> Vec<Value> {
    team.metadata.get("logging").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("callback_name").and_then(Value::as_str) == Some(name)
}

fn kind_of(entry: &Value) -> &str {
    entry.get("callback_type").and_then(Value::as_str).unwrap_or("success_and_failure")
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}
