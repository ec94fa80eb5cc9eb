//! Every file under `fixtures/` is read: its findings and its model are snapshots beside it. A new case is a new file.
//!
//! The first line of a fixture may set variables: `# env: NAME=value OTHER=value`. Nothing else is set.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use litellm_config::{Config, Deployment, Sources, read, secret};
use serde_json::{Map, Value, json};

fn fixtures() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn variables(text: &str) -> BTreeMap<String, String> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("# env: ")).unwrap_or_default();
    line.split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_fixture_reads_as_its_snapshots_say() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../fixtures");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let files = fixtures();
    assert!(files.len() > 20, "{} fixtures", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a fixture");
        let variables = variables(&text);
        let environment = |name: &str| variables.get(name).cloned();
        let reading = read(&text, &Sources { environment: &environment, include: &|_| Err("no file".to_owned()) });
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let findings: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(format!("{name}.findings"), findings.join("\n"));
        insta::assert_snapshot!(format!("{name}.config"), show(&reading.config));
        for secret in [
            "sk-shared",
            "sk-secret",
            "sk-in-the-wrong",
            "sk-openai",
            "sk-x",
            "sk-file",
            "sk-from",
            "key-eu",
            "password",
        ] {
            let said = format!("{findings:?} {:?}", reading.config);
            assert!(!said.contains(secret), "{name}: `{secret}` is shown");
        }
    }
}

/// The model in full, secrets masked.
fn show(config: &Config) -> String {
    let sections: Map<String, Value> =
        config.sections.iter().map(|(name, _)| name.clone()).map(|name| (name, Value::Null)).collect();
    let shown = json!({
        "deployments": config.deployments.iter().map(deployment).collect::<Vec<_>>(),
        "general": lines(&config.general),
        "litellm": lines(&config.litellm),
        "router": lines(&config.router),
        "environment": config.environment.keys().collect::<Vec<_>>(),
        "sections": sections.keys().collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&shown).expect("JSON")
}

fn lines(section: &dyn std::fmt::Debug) -> Vec<String> {
    format!("{section:#?}")
        .lines()
        .skip(1)
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| line != "}")
        .collect()
}

/// A deployment's members, without those that say nothing.
fn deployment(deployment: &Deployment) -> Value {
    let Deployment {
        id,
        model_name,
        provider,
        upstream_model,
        litellm_model,
        params,
        model_info,
        api_base,
        api_key,
        azure_ad_token,
        api_version,
        organization,
        extra_headers,
        extra_body,
        request_defaults,
        timeout,
        stream_timeout,
        max_retries,
        weight,
        rpm,
        tpm,
        tags,
        mock_response,
        prices,
        mode,
        base_model,
        access_groups,
        team_id,
        team_public_model_name,
        blocked,
        unavailable,
    } = deployment;
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let all = json!({
        "id": id,
        "model_name": model_name,
        "provider": provider,
        "upstream_model": upstream_model,
        "litellm_model": litellm_model,
        "params": secret::masked(params),
        "model_info": model_info,
        "api_base": api_base.as_ref().map(|value| text(value)),
        "api_key": api_key.as_ref().map(|value| text(value)),
        "azure_ad_token": azure_ad_token.as_ref().map(|value| text(value)),
        "api_version": api_version.as_ref().map(|value| text(value)),
        "organization": organization.as_ref().map(|value| text(value)),
        "extra_headers": extra_headers.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect::<Map<_, _>>(),
        "extra_body": extra_body,
        "request_defaults": request_defaults,
        "timeout": timeout.as_ref().map(|value| text(value)),
        "stream_timeout": stream_timeout.as_ref().map(|value| text(value)),
        "max_retries": max_retries,
        "weight": weight,
        "rpm": rpm,
        "tpm": tpm,
        "tags": tags,
        "mock_response": mock_response,
        "prices": prices,
        "mode": mode,
        "base_model": base_model,
        "access_groups": access_groups,
        "team_id": team_id,
        "team_public_model_name": team_public_model_name,
        "blocked": blocked.then_some(true),
        "unavailable": unavailable,
    });
    let members = all.as_object().cloned().unwrap_or_default();
    let says_nothing = |value: &Value| value.is_null() || *value == json!([]) || *value == json!({});
    members.into_iter().filter(|(_, value)| !says_nothing(value)).collect::<Map<_, _>>().into()
}
