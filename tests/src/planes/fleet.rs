//! Several control planes on one durable Postgres, and data planes that reach each of them over a cable of their own.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{LINGER_SECONDS, Plane, enrol, secret};
use crate::binaries::binary;
use crate::cable::{Cable, Condition};
use crate::client::Client;
use crate::config::Config;
use crate::database::Database;
use crate::ports;
use crate::process::Recipe;
use crate::restartable_server::RestartableServer;
use crate::story::Story;

/// How many planes there are, and what data planes find in their environment.
pub struct Layout<'a> {
    pub control_planes: usize,
    pub data_planes: usize,
    pub environment: &'a [(&'a str, &'a str)],
}

/// Running planes whose every part can be stopped. Dropped, they are killed.
pub struct Fleet {
    pub control: Vec<Plane>,
    pub data: Vec<Plane>,
    pub server: RestartableServer,
    pub database: Database,
    /// By data plane, then by control plane.
    cables: Vec<Vec<Cable>>,
    master_key: String,
    story: Story,
}

impl Fleet {
    /// Starts everything. All planes are ready when this returns.
    pub async fn start(config: &Config, layout: &Layout<'_>) -> anyhow::Result<Self> {
        let server = RestartableServer::start().await?;
        let database = server.database().await?;
        let story = Story::begin()?;
        let config = config.write(story.path())?;
        let tls = story.path().join("tls");
        enrol(&tls).await?;
        let (master_key, vault_key) = (secret("sk-master-"), secret("vault-"));
        let (mut control, mut grpc_ports) = (Vec::new(), Vec::new());
        for number in 0..layout.control_planes {
            let (port, grpc_port) = (ports::free()?, ports::free()?);
            let recipe = Recipe::of(binary("turnpike-control-plane")?)
                .flag("--config", config.display())
                .flag("--database-url", database.url())
                .flag("--host", "127.0.0.1")
                .flag("--admin-port", port)
                .flag("--grpc-port", grpc_port)
                .flag("--tls-dir", tls.display())
                .env("LITELLM_MASTER_KEY", &master_key)
                .env("TURNPIKE_VAULT_KEY", &vault_key);
            let mut plane = Plane::new(&format!("control-plane-{number}"), recipe, port, story.logs());
            plane.start().await?;
            control.push(plane);
            grpc_ports.push(grpc_port);
        }
        let (mut data, mut cables) = (Vec::new(), Vec::new());
        for number in 0..layout.data_planes {
            let mut own = Vec::new();
            for port in &grpc_ports {
                own.push(Cable::to(*port).await?);
            }
            let addresses: Vec<String> =
                own.iter().map(|cable| format!("https://127.0.0.1:{}", cable.port())).collect();
            let port = ports::free()?;
            let mut recipe = Recipe::of(binary("turnpike-data-plane")?)
                .flag("--control-plane", addresses.join(","))
                .flag("--join-token-file", tls.join("join-token").display())
                .flag("--host", "127.0.0.1")
                .flag("--port", port)
                .flag("--state-dir", story.path().join(format!("state-{number}")).display())
                .env("TURNPIKE_LINGER_SECONDS", LINGER_SECONDS);
            for (name, value) in layout.environment {
                recipe = recipe.env(name, *value);
            }
            let mut plane = Plane::new(&format!("data-plane-{number}"), recipe, port, story.logs());
            plane.launch()?;
            data.push(plane);
            cables.push(own);
        }
        for plane in &mut data {
            plane.ready().await?;
        }
        Ok(Self { control, data, server, database, cables, master_key, story })
    }

    /// A control plane's own port, with the master key.
    pub fn admin(&self, control_plane: usize) -> Client {
        self.control[control_plane].client().with_key(&self.master_key)
    }

    /// Changes all cables of a data plane.
    pub fn set_cables(&self, data_plane: usize, condition: Condition) {
        self.cables.iter().skip(data_plane).take(1).flatten().for_each(|cable| cable.set(condition));
    }

    /// Changes one cable of a data plane.
    pub fn set_cable(&self, data_plane: usize, control_plane: usize, condition: Condition) {
        let own = self.cables.get(data_plane).and_then(|own| own.get(control_plane));
        own.into_iter().for_each(|cable| cable.set(condition));
    }

    /// Where a data plane's spool lies.
    pub fn spool(&self, data_plane: usize) -> PathBuf {
        self.state(data_plane).join("spool")
    }

    /// The segments in a data plane's spool, by name.
    pub fn segments(&self, data_plane: usize) -> anyhow::Result<Vec<PathBuf>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(self.spool(data_plane))? {
            segments.push(entry?.path());
        }
        segments.sort();
        Ok(segments)
    }

    /// The id under which a data plane books.
    pub fn id(&self, data_plane: usize) -> anyhow::Result<String> {
        std::fs::read_to_string(self.state(data_plane).join("identity")).context("the identity of a data plane")
    }

    /// Its scratch directory, with its logs.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Ends the story well: nothing panicked.
    pub fn end(self) -> anyhow::Result<()> {
        drop(self.data);
        drop(self.control);
        self.story.end()
    }

    fn state(&self, data_plane: usize) -> PathBuf {
        self.story.path().join(format!("state-{data_plane}"))
    }
}
