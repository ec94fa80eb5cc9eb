//! A control plane and data planes as separate processes, with a database of their own.
//!
//! The command lines are those that an operator types. Certificates and the join token come from `turnpike-control-plane init`.

mod fleet;
mod plane;
mod standalone;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

pub use self::fleet::{Fleet, Layout};
pub use self::plane::Plane;
pub use self::standalone::Standalone;
use crate::binaries::binary;
use crate::client::{Client, Reply};
use crate::config::Config;
use crate::crowd::held_by_all;
use crate::database::{Booked, Database};
use crate::ports;
use crate::process::Recipe;
use crate::story::Story;

/// Spend shows within this time (issue: "within 3 s").
pub const SPEND_SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// How long a story waits for spend when the point is *that* it comes, after kills and restarts on a busy machine.
pub const SPEND_ARRIVES_WITHIN: Duration = Duration::from_secs(20);

/// A block, delete or expiry holds everywhere within this time (promise 6).
pub const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// How long planes take calls after SIGTERM: long enough to see that they do, shorter than the default to spare the clock.
const LINGER_SECONDS: &str = "2";

/// Running planes. Dropped, they are killed.
pub struct Planes {
    pub control: Plane,
    pub data: Vec<Plane>,
    pub database: Database,
    master_key: String,
    grpc_port: u16,
    story: Story,
}

/// A virtual key, as it was shown once.
#[derive(Clone, Debug)]
pub struct Key {
    pub secret: String,
    /// The stored hash, as LiteLLM's `token`.
    pub hash: String,
}

impl Planes {
    /// Starts a control plane with `config`, and so many data planes. All are ready when this returns.
    pub async fn start(config: &Config, data_planes: usize) -> anyhow::Result<Self> {
        let database = Database::fresh().await?;
        Self::start_on(database, config, data_planes).await
    }

    /// The same with a database that the story holds in its hands.
    pub async fn start_on(database: Database, config: &Config, data_planes: usize) -> anyhow::Result<Self> {
        Self::start_with(database, config, data_planes, &[]).await
    }

    /// The same with settings in the data planes' environment.
    pub async fn start_with(
        database: Database,
        config: &Config,
        data_planes: usize,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let story = Story::begin()?;
        let master_key = secret("sk-master-");
        let config = config.write(story.path())?;
        let tls = story.path().join("tls");
        enrol(&tls).await?;
        let grpc_port = ports::free()?;
        let mut control = control_plane(&story, &config, database.url(), &tls, grpc_port, &master_key)?;
        control.start().await?;
        let mut data = Vec::new();
        for number in 0..data_planes {
            let mut plane = data_plane(&story, number, &tls.join("join-token"), grpc_port)?;
            settings.iter().for_each(|(name, value)| plane.set_env(name, value));
            data.push(plane);
        }
        for plane in &mut data {
            plane.start().await?;
        }
        Ok(Self { control, data, database, master_key, grpc_port, story })
    }

    /// The control plane's own port, with the master key.
    pub fn admin(&self) -> Client {
        self.control.client().with_key(&self.master_key)
    }

    /// A data plane, with `key`.
    pub fn at(&self, data_plane: usize, key: &Key) -> Client {
        self.data[data_plane].client().with_key(&key.secret)
    }

    /// The master key of these planes.
    pub fn master_key(&self) -> &str {
        &self.master_key
    }

    /// The file with the key that seals credentials.
    pub fn vault_key_file(&self) -> PathBuf {
        vault_key_file(&self.story)
    }

    /// Where the control plane listens for data planes.
    pub fn grpc_port(&self) -> u16 {
        self.grpc_port
    }

    /// What lets data planes in.
    pub fn join_token(&self) -> PathBuf {
        self.story.path().join("tls").join("join-token")
    }

    /// The state directory of a data plane.
    pub fn state(&self, data_plane: usize) -> PathBuf {
        self.story.path().join(format!("state-{data_plane}"))
    }

    /// Their scratch directory, with their logs and states.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Makes a key at the control plane.
    pub async fn new_key(&self, wishes: Value) -> anyhow::Result<Key> {
        Key::generate(&self.admin(), wishes).await
    }

    /// Kills a data plane and starts it again with these settings. It holds what the control plane has when this
    /// returns: a data plane that is ready may still serve its disk copy, which lacks keys that are made now.
    pub async fn restart(&mut self, data_plane: usize, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let plane = self.data.get_mut(data_plane).context("no such data plane")?;
        plane.kill_nine()?;
        for (name, value) in settings {
            plane.set_env(name, value);
        }
        plane.start().await?;
        held_by_all(self, Duration::from_secs(20)).await
    }

    /// Waits until exactly `count` calls are booked, and gives them.
    pub async fn booked(&self, count: usize, within: Duration) -> anyhow::Result<Vec<Booked>> {
        self.database.booked_exactly(count, within).await
    }

    /// Ends the story well: nothing panicked.
    pub fn end(self) -> anyhow::Result<()> {
        drop(self.data);
        drop(self.control);
        self.story.end()
    }
}

impl Key {
    /// `/key/generate` with `wishes`, by an admin's client. It waits for all data planes longer than calls do by
    /// themselves: on a busy machine, no story but those about waiting should depend on half a second.
    pub async fn generate(admin: &Client, wishes: Value) -> anyhow::Result<Self> {
        Self::of(&admin.post("/key/generate?wait=applied", &wishes).await?)
    }

    /// The key that an answer of `/key/generate` holds.
    pub fn of(reply: &Reply) -> anyhow::Result<Self> {
        let answer = reply.ok().context("/key/generate")?;
        let secret = answer["key"].as_str().context("no `key` in the answer")?.to_owned();
        let hash = answer["token"].as_str().context("no `token` in the answer")?.to_owned();
        ensure!(secret.starts_with("sk-"), "the key starts with {:?}", secret.get(..3));
        Ok(Self { secret, hash })
    }
}

/// A chat call of one message.
pub fn chat(model: &str, message: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": message }] })
}

/// The same, streamed.
pub fn streamed_chat(model: &str, message: &str) -> Value {
    let mut call = chat(model, message);
    call["stream"] = json!(true);
    call
}

/// A secret that no other story has.
pub fn secret(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

/// `turnpike-control-plane init`: CA, server certificate and join token in `folder`.
async fn enrol(folder: &Path) -> anyhow::Result<()> {
    let init = Recipe::of(binary("turnpike-control-plane")?)
        .arg("init")
        .flag("--out", folder.display())
        .flag("--host", "127.0.0.1")
        .flag("--host", "localhost");
    let output = init.run(Duration::from_secs(20)).await?;
    ensure!(output.status.success(), "init: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn control_plane(
    story: &Story,
    config: &Path,
    database_url: &str,
    tls: &Path,
    grpc_port: u16,
    master_key: &str,
) -> anyhow::Result<Plane> {
    let port = ports::free()?;
    std::fs::write(vault_key_file(story), secret("vault-"))?;
    let recipe = Recipe::of(binary("turnpike-control-plane")?)
        .flag("--config", config.display())
        .flag("--database-url", database_url)
        .flag("--host", "127.0.0.1")
        .flag("--admin-port", port)
        .flag("--grpc-port", grpc_port)
        .flag("--tls-dir", tls.display())
        .env("LITELLM_MASTER_KEY", master_key)
        .env("TURNPIKE_VAULT_KEY_FILE", vault_key_file(story).display().to_string());
    Ok(Plane::new("control-plane", recipe, port, story.logs()))
}

fn vault_key_file(story: &Story) -> PathBuf {
    story.path().join("vault-key")
}

fn data_plane(story: &Story, number: usize, join_token: &Path, grpc_port: u16) -> anyhow::Result<Plane> {
    let port = ports::free()?;
    let state: PathBuf = story.path().join(format!("state-{number}"));
    let recipe = Recipe::of(binary("turnpike-data-plane")?)
        .flag("--control-plane", format!("https://127.0.0.1:{grpc_port}"))
        .flag("--join-token-file", join_token.display())
        .flag("--host", "127.0.0.1")
        .flag("--port", port)
        .flag("--state-dir", state.display())
        .env("TURNPIKE_LINGER_SECONDS", LINGER_SECONDS);
    Ok(Plane::new(&format!("data-plane-{number}"), recipe, port, story.logs()))
}
