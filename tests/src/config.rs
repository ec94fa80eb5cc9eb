//! A `config.yaml` for a story, put together in code.
//!
//! It is written as JSON, which is YAML too. That the planes read YAML as people write it is shown by the standalone story
//! and by the examples in `deploy/examples`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::price::Price;
use crate::provider::FakeProvider;

/// What a plane is configured with.
#[derive(Clone, Default)]
pub struct Config {
    deployments: Vec<Value>,
    router: Map<String, Value>,
    litellm: Map<String, Value>,
    general: Map<String, Value>,
}

impl Config {
    /// No deployments, and no retries, so that one call is one upstream call.
    pub fn new() -> Self {
        Self::default().router("num_retries", json!(0))
    }

    /// With one more deployment.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.deployments.push(deployment.0);
        self
    }

    /// With `router_settings.<name>`.
    pub fn router(mut self, name: &str, value: Value) -> Self {
        self.router.insert(name.to_owned(), value);
        self
    }

    /// With `litellm_settings.<name>`.
    pub fn litellm(mut self, name: &str, value: Value) -> Self {
        self.litellm.insert(name.to_owned(), value);
        self
    }

    /// With `general_settings.<name>`.
    pub fn general(mut self, name: &str, value: Value) -> Self {
        self.general.insert(name.to_owned(), value);
        self
    }

    /// Writes `config.yaml` into `folder`.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("config.yaml");
        let config = json!({
            "model_list": self.deployments,
            "router_settings": self.router,
            "litellm_settings": self.litellm,
            "general_settings": self.general,
        });
        fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        Ok(path)
    }
}

/// One entry of `model_list`.
pub struct Deployment(Value);

impl Deployment {
    /// Serves `model_name` as `model` (such as `openai/story-large`) at `api_base`, with a key that only the provider knows.
    pub fn at(model_name: &str, model: &str, api_base: &str) -> Self {
        Self(json!({
            "model_name": model_name,
            "litellm_params": { "model": model, "api_base": api_base, "api_key": PROVIDER_KEY },
            "model_info": {},
        }))
    }

    /// Serves `model_name` at a fake provider.
    pub fn on(model_name: &str, model: &str, provider: &FakeProvider) -> Self {
        Self::at(model_name, model, &provider.base())
    }

    /// Answers by itself with `text`.
    pub fn mock(model_name: &str, text: &str) -> Self {
        Self(json!({
            "model_name": model_name,
            "litellm_params": { "model": "openai/mock", "mock_response": text, "api_key": PROVIDER_KEY },
            "model_info": {},
        }))
    }

    /// With its own id.
    pub fn id(mut self, id: &str) -> Self {
        self.0["model_info"]["id"] = json!(id);
        self
    }

    /// With its own price.
    pub fn priced(mut self, price: Price) -> Self {
        for (name, value) in price.params() {
            self.0["litellm_params"][name] = value;
        }
        self
    }

    /// With `litellm_params.<name>`.
    pub fn param(mut self, name: &str, value: Value) -> Self {
        self.0["litellm_params"][name] = value;
        self
    }
}

/// The credential that fake providers are called with. It must show nowhere.
pub const PROVIDER_KEY: &str = "sk-provider-canary-7Jq2vXw9";
