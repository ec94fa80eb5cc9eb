//! The official OpenAI SDK for Python works unchanged.

use std::path::PathBuf;
use std::time::Duration;

use acceptance::binaries::repository;
use acceptance::planes::Planes;
use acceptance::process::Recipe;
use acceptance::wait::eventually;
use anyhow::ensure;
use serde_json::json;

use crate::world::{EMBEDDING, MODEL, running};

#[tokio::test]
async fn the_official_python_sdk_works_streaming_and_not() -> anyhow::Result<()> {
    let python = python()?;
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    let script = Recipe::of(python)
        .arg(repository().join("tests/e2e/sdk/openai_sdk.py").display().to_string())
        .env("BASE_URL", planes.data[0].base())
        .env("API_KEY", &key.secret)
        .env("CHAT_MODEL", MODEL)
        .env("EMBEDDING_MODEL", EMBEDDING);
    let output = script.run(Duration::from_secs(60)).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{said}", output.status);
    ensure!(said.trim_end().ends_with("all good"), "{said}");
    everything_is_booked(&planes, provider.ledger().len()).await?;
    planes.end()
}

async fn everything_is_booked(planes: &Planes, calls: usize) -> anyhow::Result<()> {
    eventually("every call of the SDK is booked", Duration::from_secs(10), async || {
        Ok((planes.database.booked().await?.len() == calls).then_some(()))
    })
    .await
}

/// The Python of the tests' own environment, with the SDK in it.
fn python() -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let places = [target.join("python"), repository().join("target/python")];
    let found = places.iter().map(|place| place.join("bin/python")).find(|python| python.is_file());
    found
        .ok_or_else(|| anyhow::anyhow!("no Python with the OpenAI SDK in target/python: run `deploy/make/python-venv`"))
}
