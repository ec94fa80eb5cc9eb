//! The one command: `turnpike` with a private Postgres of its own.

use std::path::{Path, PathBuf};

use super::{Key, Plane, secret};
use crate::binaries::binary;
use crate::client::Client;
use crate::ports;
use crate::process::Recipe;
use crate::story::Story;

/// A running `turnpike`.
pub struct Standalone {
    pub plane: Plane,
    master_key: String,
    story: Story,
}

impl Standalone {
    /// Starts `turnpike --config <config>` with an empty data directory.
    pub async fn start(config: &Path) -> anyhow::Result<Self> {
        let story = Story::begin()?;
        let port = ports::free()?;
        let master_key = secret("sk-master-");
        let data: PathBuf = story.path().join("data");
        let recipe = Recipe::of(binary("turnpike")?)
            .flag("--config", config.display())
            .flag("--port", port)
            .flag("--host", "127.0.0.1")
            .flag("--data-dir", data.display())
            .env("TURNPIKE_LINGER_SECONDS", super::LINGER_SECONDS)
            .env("LITELLM_MASTER_KEY", &master_key);
        let mut plane = Plane::new("turnpike", recipe, port, story.logs());
        plane.start().await?;
        Ok(Self { plane, master_key, story })
    }

    /// The one port, with the master key.
    pub fn admin(&self) -> Client {
        self.plane.client().with_key(&self.master_key)
    }

    /// The one port, with `key`.
    pub fn with_key(&self, key: &Key) -> Client {
        self.plane.client().with_key(&key.secret)
    }

    /// The master key of this installation.
    pub fn master_key(&self) -> &str {
        &self.master_key
    }

    /// Its scratch directory.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Stops it as an operator does, and ends the story well: exit code 0, nothing panicked.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let status = self.plane.stop().await?;
        anyhow::ensure!(status.success(), "turnpike ended with {status} after SIGTERM");
        self.story.end()
    }
}
