//! Walks `fixtures/<provider>/*.json`: a deployment in, its address in the `.snap` beside it. A new case is a new file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dialects::Task;
use serde::Deserialize;
use wire::Secret;

use crate::{AddressError, PROVIDERS, Provider, Target, find};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    task: TaskName,
    model: String,
    api_base: Option<String>,
    api_key: Option<String>,
    azure_ad_token: Option<String>,
    api_version: Option<String>,
    organization: Option<String>,
    #[serde(default)]
    extra_headers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TaskName {
    Chat,
    Completion,
    Embedding,
}

#[test]
fn every_deployment_has_the_address_in_its_snapshot() {
    for provider in PROVIDERS {
        for file in files(&folder(provider.id())) {
            let deployment = read(&file);
            let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            insta::with_settings!({
                snapshot_path => folder(provider.id()),
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, {
                insta::assert_snapshot!(name, render(*provider, &deployment));
            });
        }
    }
}

#[test]
fn every_provider_has_fixtures_and_every_folder_a_provider() {
    for provider in PROVIDERS {
        assert!(!files(&folder(provider.id())).is_empty(), "fixtures/{} holds no case", provider.id());
    }
    for entry in fs::read_dir(root()).expect("the fixtures") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        assert!(find(&name).is_some(), "fixtures/{name} belongs to no provider");
    }
}

#[test]
fn no_credential_is_printed_for_any_provider() {
    let key = Secret::new("hunter2-key");
    let token = Secret::new("hunter2-token");
    let extra = BTreeMap::from([("x-extra".to_owned(), "hunter2-header".to_owned())]);
    for provider in PROVIDERS {
        for (api_key, azure_ad_token) in [(Some(&key), None), (None, Some(&token)), (None, None)] {
            let base = "https://host.example/path?sig=hunter2-query";
            let target = Target {
                api_base: Some(base),
                api_key,
                azure_ad_token,
                extra_headers: &extra,
                ..Target::of("some-model")
            };
            let task = [Task::Chat, Task::Completion].into_iter().find(|task| provider.dialect(*task).is_some());
            let printed = match provider.address(&target, task.expect("a task")) {
                Ok(address) => format!("{address:?} {:?} {}", address.headers, address.shown_base),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!printed.contains("hunter2"), "{}: {printed}", provider.id());
        }
    }
}

#[test]
fn no_value_that_cannot_be_sent_is_quoted() {
    let key = Secret::new("hunter2\r\nx: y");
    let extra = BTreeMap::from([("x-extra".to_owned(), "hunter2\0".to_owned())]);
    for provider in PROVIDERS {
        let task = [Task::Chat, Task::Completion].into_iter().find(|task| provider.dialect(*task).is_some());
        let task = task.expect("a task");
        let base = Target { api_base: Some("https://host.example"), ..Target::of("m") };
        let errors: [AddressError; 3] = [
            provider.address(&Target { api_key: Some(&key), ..base }, task).expect_err("a broken key"),
            provider.address(&Target { extra_headers: &extra, ..base }, task).expect_err("a broken header"),
            provider.address(&Target { api_base: Some("https://u:hunter2@h"), ..base }, task).expect_err("a login"),
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{}: {error}", provider.id());
        }
    }
}

#[test]
fn what_a_provider_says_of_itself_is_complete() {
    for provider in PROVIDERS {
        let id = provider.id();
        let field = |name: &str| provider.fields().iter().find(|field| field.name == name).copied();
        let base = field("api_base").unwrap_or_else(|| panic!("{id} has no field for its base"));
        assert_eq!(base.required, provider.defaults().base.is_none(), "{id}");
        assert_eq!(base.env, provider.defaults().base_env, "{id}");
        assert!(!base.env.is_empty(), "{id}");
        let key = field("api_key").unwrap_or_else(|| panic!("{id} has no field for its key"));
        assert_eq!(key.env, provider.defaults().key_env, "{id}");
        assert!(!key.env.is_empty(), "{id}");
        assert!(!provider.title().is_empty() && provider.exception().ends_with("Exception"), "{id}");
        for addition in provider.quirks().additions {
            assert!(serde_json::from_str::<serde_json::Value>(addition.json).is_ok(), "{id}: {}", addition.name);
        }
        for field in provider.fields() {
            assert!(field.help.ends_with('.') && field.env.iter().all(|name| is_variable(name)), "{id}: {field:?}");
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn render(provider: &dyn Provider, deployment: &Deployment) -> String {
    let key = deployment.api_key.clone().map(Secret::new);
    let token = deployment.azure_ad_token.clone().map(Secret::new);
    let target = Target {
        model: &deployment.model,
        api_base: deployment.api_base.as_deref(),
        api_key: key.as_ref(),
        azure_ad_token: token.as_ref(),
        api_version: deployment.api_version.as_deref(),
        organization: deployment.organization.as_deref(),
        extra_headers: &deployment.extra_headers,
    };
    let task = match deployment.task {
        TaskName::Chat => Task::Chat,
        TaskName::Completion => Task::Completion,
        TaskName::Embedding => Task::Embedding,
    };
    let address = match provider.address(&target, task) {
        Ok(address) => address,
        Err(error) => return format!("refused: {error}"),
    };
    let mut text = format!("POST {}\n", address.uri);
    let mut headers: Vec<_> =
        address.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    headers.sort();
    for header in headers {
        writeln!(text, "{header}").expect("writing to a string");
    }
    writeln!(text, "\nshown base: {}", address.shown_base).expect("writing to a string");
    writeln!(text, "model in {:?}: {}", address.model_in, provider.upstream_model(&deployment.model))
        .expect("writing to a string");
    let quirks = provider.quirks();
    for (from, to) in quirks.renames {
        writeln!(text, "rename {from} to {to}").expect("writing to a string");
    }
    for name in quirks.drops {
        writeln!(text, "drop {name}").expect("writing to a string");
    }
    for addition in quirks.additions {
        writeln!(text, "add {}: {}", addition.name, addition.json).expect("writing to a string");
    }
    if !quirks.accepts_stream_usage {
        text.push_str("streams: usage is not asked for\n");
    }
    text
}

fn read(file: &Path) -> Deployment {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The cases in a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn folder(provider: &str) -> PathBuf {
    root().join(provider)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
