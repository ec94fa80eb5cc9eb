//! No client chooses where a call goes, by whose credential, or by which path: not by any parameter that LiteLLM knows.

use acceptance::canary::Canary;
use acceptance::client::Client;
use acceptance::config::{Config, Deployment, PROVIDER_KEY};
use acceptance::planes::{Planes, chat};
use acceptance::provider::FakeProvider;
use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::MODEL;

const CHAT: &str = "/v1/chat/completions";

/// A credential of the caller's that must not reach the provider.
const CREDENTIAL: &str = "sk-canary-of-the-caller-9Xw2";

/// Every parameter of the reference that says where, by whom or how to call a provider.
const PLACES: &[&str] = &[
    "api_base",
    "base_url",
    "model_list",
    "user_config",
    "custom_llm_provider",
    "s3_endpoint_url",
    "sagemaker_base_url",
    "deployment_url",
    "use_ssl",
    "nvcf_function_id",
    "aws_sts_endpoint",
    "aws_bedrock_runtime_endpoint",
    "aws_region_name",
    "aws_role_name",
    "aws_profile_name",
    "aws_external_id",
    "aws_session_name",
    "aws_session_tags",
    "aws_bedrock_project_id",
    "bedrock_tags",
    "agentcore_runtime_session_id",
    "workspace_id",
    "aws_workspace_id",
    "anthropic_workspace_id",
    "vertex_project",
    "vertex_location",
    "vertex_ai_project",
    "vertex_ai_location",
    "watsonx_region_name",
    "region_name",
    "organization",
    "api_version",
    "azure_scope",
    "tenant_id",
    "client_id",
    "litellm_credential_name",
    "configurable_clientside_auth_params",
    "use_litellm_proxy",
    "use_psc_endpoint_format",
    "extra_headers",
    "headers",
    "extra_query",
    "proxy_server_request",
    "litellm_params",
    "optional_params",
    "model_info",
    "langfuse_host",
    "langsmith_base_url",
    "posthog_api_url",
    "signoz_ingestion_endpoint",
    "dd_agent_host",
    "dd_site",
    "gcs_bucket_name",
    "arize_space_id",
    "weave_project_id",
    "callbacks",
    "service_callback",
    "litellm_logging_obj",
    "logger_fn",
];

const CREDENTIALS: &[&str] = &[
    "api_key",
    "azure_ad_token",
    "azure_username",
    "azure_password",
    "client_secret",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_web_identity_token",
    "vertex_credentials",
    "vertex_ai_credentials",
    "gcs_path_service_account",
    "langfuse_public_key",
    "langfuse_secret",
    "langfuse_secret_key",
    "langsmith_api_key",
    "arize_api_key",
    "arize_space_key",
    "dd_api_key",
    "humanloop_api_key",
    "newrelic_api_key",
    "posthog_api_key",
    "signoz_ingestion_key",
    "wandb_api_key",
    "secret_fields",
];

#[tokio::test]
async fn no_parameter_leads_a_call_astray() -> anyhow::Result<()> {
    let canary = Canary::listen().await?;
    let provider = FakeProvider::start()?;
    let planes = planes(&provider).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let url = format!("http://{}/v1", canary.address());
    let (mut served, mut refused) = (0, 0);
    let models = [MODEL, "openai/any", "azure/any"];
    for (name, model) in PLACES.iter().chain(CREDENTIALS).zip(models.iter().cycle()) {
        let value = if CREDENTIALS.contains(name) { json!(CREDENTIAL) } else { json!(url) };
        for call in disguises(model, name, &value, &url) {
            match client.post(CHAT, &call).await?.status {
                200 => served += 1,
                400..500 => refused += 1,
                status => anyhow::bail!("{name}: {status}: {call}"),
            }
        }
        astray(&provider, name)?;
    }
    println!("{served} calls were served without what was asked for, {refused} were refused");
    ensure!(served > 100 && refused > 100, "{served} served, {refused} refused: the dictionary misses its point");
    canary.was_silent().await?;
    planes.end()
}

#[tokio::test]
async fn neither_headers_nor_queries_nor_model_names_lead_a_call_astray() -> anyhow::Result<()> {
    let canary = Canary::listen().await?;
    let provider = FakeProvider::start()?;
    let planes = planes(&provider).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let url = format!("http://{}/v1", canary.address());
    for name in PLACES.iter().chain(CREDENTIALS) {
        let value = if CREDENTIALS.contains(name) { CREDENTIAL } else { &url };
        let dashed = name.replace('_', "-");
        for header in
            [format!("x-{dashed}"), format!("x-litellm-{dashed}"), dashed.clone(), format!("llm_provider-{dashed}")]
        {
            // Some of these say which key is shown: then it is the wrong one.
            let status = client.with_header(&header, value).post(CHAT, &chat(MODEL, "Hello")).await?.status;
            ensure!(status == 200 || (400..500).contains(&status), "{header}: {status}");
        }
        let path = format!("{CHAT}?{name}={value}");
        ensure!(client.post(&path, &chat(MODEL, "Hello")).await?.status == 200, "{path}");
        astray(&provider, name)?;
    }
    for (header, value) in [
        ("host", canary.address().to_string()),
        ("x-forwarded-host", canary.address().to_string()),
        ("forwarded", format!("host={}", canary.address())),
        ("openai-organization", CREDENTIAL.to_owned()),
        ("anthropic-beta", CREDENTIAL.to_owned()),
        ("proxy-authorization", format!("Bearer {CREDENTIAL}")),
        ("cookie", format!("key={CREDENTIAL}")),
        ("user-agent", CREDENTIAL.to_owned()),
        ("referer", url.clone()),
    ] {
        client.with_header(header, &value).post(CHAT, &chat(MODEL, "Hello")).await?;
        astray(&provider, header)?;
    }
    for model in ["openai/", "azure/", ""].iter().flat_map(|prefix| names(prefix, &url)) {
        call_by(&client, &model).await?;
        astray(&provider, &model)?;
    }
    canary.was_silent().await?;
    planes.end()
}

async fn planes(provider: &FakeProvider) -> anyhow::Result<Planes> {
    let config = Config::new()
        .deployment(Deployment::on(MODEL, "openai/story-large", provider))
        .deployment(Deployment::on("openai/*", "openai/*", provider))
        .deployment(Deployment::on("azure/*", "azure/*", provider).param("api_version", json!("2024-10-21")));
    Planes::start(&config, 1).await
}

/// The parameter at every place where LiteLLM, or somebody who rewrites it, might look for it.
fn disguises(model: &str, name: &str, value: &Value, url: &str) -> Vec<Value> {
    let with = |place: &str, content: Value| {
        let mut call = chat(model, "Hello");
        call[place] = content;
        call
    };
    let one = json!({ name: value });
    let mut calls = vec![with(name, value.clone())];
    for place in [
        "metadata",
        "litellm_metadata",
        "litellm_params",
        "extra_body",
        "optional_params",
        "extra_headers",
        "litellm_embedding_config",
        "model_info",
        "proxy_server_request",
    ] {
        calls.push(with(place, one.clone()));
    }
    calls.push(with("metadata", json!(one.to_string())));
    calls.push(with("litellm_params", json!({ "metadata": one, "model": format!("openai/{url}") })));
    calls.push(with("extra_body", json!({ "extra_body": one, "litellm_params": one })));
    for place in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
        calls.push(with(place, json!([{ "model": model, name: value }])));
        calls.push(with(place, json!([{ model: [url, { "model": model, name: value }] }])));
    }
    // An escaped name is the same name.
    let first = name.chars().next().unwrap_or('a');
    let escaped = chat(model, "Hello").to_string().replacen(
        '{',
        &format!("{{\"\\u{:04x}{}\":{value},", u32::from(first), &name[1..]),
        1,
    );
    calls.extend(serde_json::from_str::<Value>(&escaped));
    calls
}

/// Names of models that would be an address, or leave their place in a path.
fn names(prefix: &str, url: &str) -> Vec<String> {
    let tricks = [
        url.to_owned(),
        format!("x@{url}"),
        "../../../admin".to_owned(),
        "..%2f..%2fadmin".to_owned(),
        "x?api-version=evil".to_owned(),
        "x#fragment".to_owned(),
        "x/../../y".to_owned(),
        "x\r\nHost: evil".to_owned(),
        "x y".to_owned(),
        "x\\..\\y".to_owned(),
        "//evil.example/x".to_owned(),
        "\u{202e}x".to_owned(),
        "%00".to_owned(),
    ];
    tricks.iter().map(|trick| format!("{prefix}{trick}")).collect()
}

/// Calls a model by the body, and by the path where it fits into one.
async fn call_by(client: &Client, model: &str) -> anyhow::Result<()> {
    let status = client.post(CHAT, &chat(model, "Hello")).await?.status;
    ensure!(status == 200 || (400..500).contains(&status), "{model}: {status}");
    let escaped: String = model.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for segment in [escaped, model.replace(' ', "%20")] {
        // What is no address at all is not even sent.
        if let Ok(reply) =
            client.post(&format!("/openai/deployments/{segment}/chat/completions"), &chat("x", "Hello")).await
        {
            ensure!(reply.status == 200 || (400..500).contains(&reply.status), "{model} in the path: {reply}");
        }
    }
    Ok(())
}

/// An error if a call to the provider is not what the configuration says: its path, its credential, nothing of the caller's.
fn astray(provider: &FakeProvider, by: &str) -> anyhow::Result<()> {
    let entries = provider.ledger().take();
    for entry in entries {
        let azure =
            entry.path.strip_prefix("/v1/openai/deployments/").and_then(|rest| rest.strip_suffix("/chat/completions"));
        let is_ours = entry.path == "/v1/chat/completions"
            || azure.is_some_and(|model| !model.contains('/') && !model.contains(".."));
        ensure!(is_ours, "{by} led to {}", entry.path);
        let shown = [entry.header("authorization"), entry.header("api-key")].into_iter().flatten().collect::<Vec<_>>();
        ensure!(
            shown.len() == 1 && shown.iter().all(|shown| shown.trim_start_matches("Bearer ") == PROVIDER_KEY),
            "{by}: {shown:?}"
        );
        for (name, value) in &entry.headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            ensure!(!text.contains(CREDENTIAL), "{by} reached the provider in the header {name}");
        }
        ensure!(!String::from_utf8_lossy(&entry.body).contains(CREDENTIAL), "{by} reached the provider in the body");
    }
    Ok(())
}
