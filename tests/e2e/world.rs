//! What most stories start with: one provider and the deployments that call it.

use acceptance::config::{Config, Deployment};
use acceptance::planes::Planes;
use acceptance::price;
use acceptance::provider::{Entry, FakeProvider};
use anyhow::Context;

/// The public name of the priced chat model.
pub(crate) const MODEL: &str = "story";

/// The public name of the priced embedding model.
pub(crate) const EMBEDDING: &str = "story-embedding";

/// The deployment that serves [`MODEL`].
pub(crate) const DEPLOYMENT: &str = "story-deployment";

/// Held by stories that keep the machine busy or say what must happen within a time: they take turns.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A provider, and a configuration that serves [`MODEL`] and [`EMBEDDING`] from it.
pub(crate) fn priced() -> anyhow::Result<(FakeProvider, Config)> {
    let provider = FakeProvider::start()?;
    let config = Config::new()
        .deployment(Deployment::on(MODEL, "openai/story-large", &provider).id(DEPLOYMENT).priced(price::STORY))
        .deployment(Deployment::on(EMBEDDING, "openai/story-vectors", &provider).priced(price::STORY));
    Ok((provider, config))
}

/// The same, running.
pub(crate) async fn running(data_planes: usize) -> anyhow::Result<(FakeProvider, Planes)> {
    let (provider, config) = priced()?;
    let planes = Planes::start(&config, data_planes).await?;
    Ok((provider, planes))
}

/// What the provider is owed for one call, at the stories' price, in billionths of a dollar.
pub(crate) fn owed(entry: &Entry) -> anyhow::Result<u64> {
    Ok(price::STORY.of(entry.tokens.as_ref().context("the provider counted nothing for this call")?))
}
