//! Every config under `deploy/examples` can be started with as it is, and its models light up when their keys are set.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::PathBuf;

use litellm_config::{Reading, Severity, Sources, read};

fn examples() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let mut examples: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("the folder of examples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("an example")))
        .collect();
    examples.sort();
    examples
}

fn read_with(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Reading {
    read(text, &Sources { environment, include: &|_| Err("no file".to_owned()) })
}

#[test]
fn every_example_starts_in_an_empty_environment() {
    let examples = examples();
    assert!(examples.len() >= 3);
    for (name, text) in examples {
        let reading = read_with(&text, &|_| None);
        let errors: Vec<_> = reading.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let serving = reading.config.deployments.iter().filter(|deployment| deployment.unavailable.is_none());
        assert!(serving.count() > 0, "{name} serves nothing without an account");
        assert!(reading.config.general.master_key.is_none(), "{name} holds a master key");
    }
}

#[test]
fn every_model_of_an_example_lights_up_when_its_variables_are_set() {
    for (name, text) in examples() {
        let reading = read_with(&text, &|variable| {
            Some(if variable.contains("BASE") { "https://x.example.com" } else { "key" }.to_owned())
        });
        assert_eq!(reading.findings, [], "{name}");
        assert!(reading.config.deployments.iter().all(|deployment| deployment.unavailable.is_none()), "{name}");
    }
}

#[test]
fn the_quickstart_serves_mock_alone_until_a_key_is_set() {
    let (_, text) = examples().into_iter().find(|(name, _)| name.ends_with("quickstart.yaml")).expect("the quickstart");
    let serving = |environment: &dyn Fn(&str) -> Option<String>| -> Vec<String> {
        let deployments = read_with(&text, environment).config.deployments.into_iter();
        deployments
            .filter(|deployment| deployment.unavailable.is_none())
            .map(|deployment| deployment.model_name)
            .collect()
    };
    assert_eq!(serving(&|_| None), ["mock"]);
    let openai = serving(&|name| (name == "OPENAI_API_KEY").then(|| "sk-x".to_owned()));
    assert_eq!(openai, ["mock", "gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "openai/*"]);
}
