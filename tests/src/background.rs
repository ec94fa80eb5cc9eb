//! Calls that go on in the background of a story, at a steady rate, and whose failures are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::wait::eventually;

/// Running calls. Dropped, they stop.
pub struct Background {
    stop: CancellationToken,
    calls: tokio::task::JoinHandle<Vec<String>>,
    served: Arc<AtomicUsize>,
}

/// What became of the calls.
#[derive(Debug)]
pub struct Outcome {
    pub served: usize,
    pub failures: Vec<String>,
    /// The longest that the machine let a timer wait: what it adds to every time that a story measures.
    pub hiccup: Duration,
}

impl Background {
    /// Calls each of `clients` in turn, so many times a second together.
    pub fn start(clients: Vec<Client>, per_second: u32, path: &'static str, body: Value) -> (Self, Hiccups) {
        let (stop, served) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), Arc::clone(&served));
        let calls = tokio::spawn(async move {
            let (mut running, mut failures) = (JoinSet::new(), Vec::new());
            let mut beat = tokio::time::interval(Duration::from_secs(1) / per_second);
            beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let mut turns = clients.into_iter().cycle();
            loop {
                tokio::select! {
                    _ = beat.tick(), if running.len() < 64 => {
                        let Some(client) = turns.next() else { break };
                        let body = body.clone();
                        running.spawn(async move {
                            let reply = client.post(path, &body).await?;
                            anyhow::ensure!(reply.status == 200, "{reply}");
                            Ok(())
                        });
                    }
                    Some(ended) = running.join_next() => note(ended, &counted, &mut failures),
                    () = stopped.cancelled() => break,
                }
            }
            while let Some(ended) = running.join_next().await {
                note(ended, &counted, &mut failures);
            }
            failures
        });
        (Self { stop, calls, served }, Hiccups::watch())
    }

    /// Waits until so many more calls were served than by now.
    pub async fn served_more(&self, calls: usize, within: Duration) -> anyhow::Result<()> {
        let enough = self.served.load(Ordering::Relaxed) + calls;
        eventually("calls go on being served", within, async || {
            Ok((self.served.load(Ordering::Relaxed) >= enough).then_some(()))
        })
        .await
    }

    /// Lets the running calls end, and says what became of all.
    pub async fn end(self, hiccups: Hiccups) -> anyhow::Result<Outcome> {
        self.stop.cancel();
        let failures = self.calls.await?;
        Ok(Outcome { served: self.served.load(Ordering::Relaxed), failures, hiccup: hiccups.longest().await? })
    }
}

fn note(ended: Result<anyhow::Result<()>, tokio::task::JoinError>, served: &AtomicUsize, failures: &mut Vec<String>) {
    match ended {
        Ok(Ok(())) => drop(served.fetch_add(1, Ordering::Relaxed)),
        Ok(Err(error)) => failures.push(format!("{error:#}")),
        Err(error) => failures.push(error.to_string()),
    }
}

/// Watches how late a timer fires: on a busy machine that is part of every time that is measured.
pub struct Hiccups {
    stop: CancellationToken,
    watch: tokio::task::JoinHandle<Duration>,
}

impl Hiccups {
    /// Begins to watch.
    pub fn watch() -> Self {
        const BEAT: Duration = Duration::from_millis(5);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let watch = tokio::spawn(async move {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            while !stopped.is_cancelled() {
                tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT).tick().await;
                longest = longest.max(last.elapsed().saturating_sub(BEAT));
                last = Instant::now();
            }
            longest
        });
        Self { stop, watch }
    }

    /// The longest delay until now.
    pub async fn longest(self) -> anyhow::Result<Duration> {
        self.stop.cancel();
        Ok(self.watch.await?)
    }
}
