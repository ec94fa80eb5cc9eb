//! One plane as a process that stories stop, kill and start again with the same state and port.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::client::Client;
use crate::process::{Process, Recipe};
use crate::wait::eventually;

/// From start to ready, on a busy machine with a debug build.
const READY_WITHIN: Duration = Duration::from_secs(40);

/// From SIGTERM to the end: it keeps accepting for 5 s, then drains.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// A plane, running or not.
pub struct Plane {
    name: String,
    recipe: Recipe,
    base: String,
    logs: PathBuf,
    /// How often it was started: each life has its own log.
    lives: u32,
    process: Option<Process>,
}

impl Plane {
    /// A plane that is not started yet and will listen on `port`.
    pub fn new(name: &str, recipe: Recipe, port: u16, logs: PathBuf) -> Self {
        let base = format!("http://127.0.0.1:{port}");
        Self { name: name.to_owned(), recipe, base, logs, lives: 0, process: None }
    }

    /// Calls it without a key.
    pub fn client(&self) -> Client {
        Client::of(&self.base)
    }

    /// Its address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Adds a variable to its environment, from the next start on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.recipe.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Starts it and does not wait.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        self.lives += 1;
        let name = format!("{}.{}", self.name, self.lives);
        self.process = Some(Process::start(&name, &self.recipe, &self.logs)?);
        Ok(())
    }

    /// Waits until `/health/readiness` says 200. That it has ended by itself is an error at once.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        let process = self.process.as_mut().with_context(|| format!("{} does not run", self.name))?;
        let mut died = None;
        let what = format!("{} is ready", self.name);
        eventually(&what, READY_WITHIN, async || {
            if let Err(error) = process.must_run() {
                died = Some(error);
                return Ok(Some(()));
            }
            let reply = client.get("/health/readiness").await?;
            ensure!(reply.status == 200, "readiness: {reply}");
            Ok(Some(()))
        })
        .await?;
        died.map_or(Ok(()), Err)
    }

    /// `kill -9`.
    pub fn kill_nine(&mut self) -> anyhow::Result<()> {
        self.running()?.kill_nine()
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let process = self.running()?;
        process.ask_to_stop()?;
        process.ended(STOPS_WITHIN).await
    }

    /// SIGTERM without waiting: what is under way may finish. [`Plane::ended`] waits.
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.ask_to_stop()
    }

    /// Waits for its end after [`Plane::ask_to_stop`].
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.running()?.ended(STOPS_WITHIN).await
    }

    /// What this life of it has logged.
    pub fn logged(&self) -> anyhow::Result<String> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.logged()
    }

    /// The id of its process.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.id())
    }

    /// An error if it does not run any more.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().with_context(|| format!("{} does not run", self.name))?.must_run()
    }

    fn running(&mut self) -> anyhow::Result<Process> {
        self.process.take().with_context(|| format!("{} does not run", self.name))
    }
}
