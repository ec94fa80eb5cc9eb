//! The counters of a data plane, read as Prometheus reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use acceptance::client::Client;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};

/// Where a data plane shows its metrics.
pub(crate) struct Meter(Client);

/// The endings of calls, counted.
pub(crate) type Endings = BTreeMap<String, u64>;

impl Meter {
    pub(crate) fn at(port: u16) -> Self {
        Self(Client::of(format!("http://127.0.0.1:{port}")))
    }

    /// `turnpike_calls_total` by ending.
    pub(crate) async fn endings(&self) -> anyhow::Result<Endings> {
        let text = self.text().await?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("turnpike_calls_total{ending=\""));
        let counted = lines.map(|line| {
            let (ending, count) = line.split_once("\"} ").with_context(|| format!("a line of its own kind: {line}"))?;
            Ok((ending.to_owned(), count.parse()?))
        });
        counted.collect()
    }

    /// Waits until so many calls go on without their client.
    pub(crate) async fn detached(&self, count: usize) -> anyhow::Result<()> {
        let line = format!("turnpike_detached_calls {count}");
        eventually(&format!("{count} calls go on without their client"), Duration::from_secs(20), async || {
            let text = self.text().await?;
            let found =
                text.lines().find(|line| line.starts_with("turnpike_detached_calls ")).unwrap_or("no such line");
            ensure!(found == line, "{found}");
            Ok(Some(()))
        })
        .await
    }

    async fn text(&self) -> anyhow::Result<String> {
        let reply = self.0.get("/metrics").await?;
        ensure!(reply.status == 200, "{reply}");
        Ok(String::from_utf8(reply.body.to_vec())?)
    }
}

/// What was counted between two looks.
pub(crate) fn since(before: &Endings, after: &Endings) -> Endings {
    let grown = after.iter().map(|(ending, count)| (ending.clone(), count - before.get(ending).copied().unwrap_or(0)));
    grown.filter(|(_, count)| *count > 0).collect()
}
