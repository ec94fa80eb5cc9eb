//! A private Redis for one story: its own process and port, nothing on disk.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::frozen::Frozen;
use crate::ports;
use crate::process::{Process, Recipe};
use crate::story::Story;
use crate::wait::eventually;

/// A running Redis. Dropped, it is killed.
pub struct Redis {
    port: u16,
    process: Option<Process>,
    story: Story,
    is_cluster: bool,
}

impl Redis {
    /// One that is empty, as after an outage.
    pub async fn start() -> anyhow::Result<Self> {
        let mut redis = Self { port: ports::free()?, process: None, story: Story::begin()?, is_cluster: false };
        redis.start_again().await?;
        Ok(redis)
    }

    /// A cluster of one node that has all slots, and has counted for a while.
    pub async fn cluster() -> anyhow::Result<Self> {
        let mut redis = Self { port: ports::free()?, process: None, story: Story::begin()?, is_cluster: true };
        redis.start_again().await?;
        for first in (0..16_384).step_by(2_048) {
            let slots: Vec<String> = (first..first + 2_048).map(|slot| slot.to_string()).collect();
            redis.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await?;
        }
        eventually("the cluster is whole", Duration::from_secs(20), async || Ok(redis.has_counted_long().await.ok()))
            .await?;
        Ok(redis)
    }

    /// Its nodes, as LiteLLM writes them.
    pub fn nodes(&self) -> String {
        format!(r#"[{{"host": "127.0.0.1", "port": {}}}]"#, self.port)
    }

    /// One that has counted for a while: its counts are believed from the first call.
    pub async fn in_use() -> anyhow::Result<Self> {
        let redis = Self::start().await?;
        redis.has_counted_long().await?;
        Ok(redis)
    }

    /// Sets back since when it counts.
    pub async fn has_counted_long(&self) -> anyhow::Result<()> {
        self.ask("SET {tp}:since 1").await.map(drop)
    }

    /// Starts it where it was, empty.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let program =
            which("redis-server").context("these stories need redis-server: install the package redis-server")?;
        let recipe = Recipe::of(program)
            .flag("--port", self.port)
            .flag("--bind", "127.0.0.1")
            .flag("--save", "")
            .flag("--appendonly", "no")
            .flag("--cluster-enabled", if self.is_cluster { "yes" } else { "no" })
            .flag("--dir", self.story.path().display());
        self.process = Some(Process::start("redis", &recipe, &self.story.logs())?);
        eventually("Redis answers", Duration::from_secs(10), async || {
            Ok(self.ask("PING").await.ok().filter(|answer| answer == "+PONG").map(drop))
        })
        .await
    }

    pub fn kill_nine(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it is not running")?.kill_nine()
    }

    /// It stands still until this is dropped.
    pub fn freeze(&self) -> anyhow::Result<Frozen> {
        Frozen::process(self.process.as_ref().context("it is not running")?.id())
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The first line of its answer to a command of simple words.
    pub async fn ask(&self, command: &str) -> anyhow::Result<String> {
        let exchange = async {
            let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
            stream.write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            anyhow::Ok(line.trim_end().to_owned())
        };
        let answer = tokio::time::timeout(Duration::from_secs(2), exchange).await??;
        ensure!(!answer.starts_with('-'), "{command}: {answer}");
        Ok(answer)
    }

    /// All that it holds, names and values, for stories that look for what must not be there.
    pub async fn dump(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let script = "local all = {} for _, k in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = k \
            local kind = redis.call('TYPE', k).ok if kind == 'hash' then for _, v in ipairs(redis.call('HGETALL', k)) do all[#all + 1] = v end \
            elseif kind == 'string' then all[#all + 1] = redis.call('GET', k) end end return table.concat(all, '\\n')";
        let command = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n0\r\n*1\r\n$4\r\nQUIT\r\n", script.len());
        stream.write_all(command.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn which(program: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").context("PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.with_context(|| format!("{program} is not in PATH"))
}
