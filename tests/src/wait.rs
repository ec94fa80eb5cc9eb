//! Waiting for a condition with a deadline, so that no story sleeps for luck.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How often a condition is looked at. Short beside every promise that is timed (the shortest is one second).
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at `probe` until it yields a value. `Ok(None)` and `Err` mean *not yet*; the last error is told at the deadline.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = String::from("it never looked right");
    loop {
        ticks.tick().await;
        match timeout_at(deadline, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_elapsed) => last = format!("a look at it did not come back ({last})"),
        }
        if Instant::now() >= deadline {
            bail!("not within {within:?}: {what}; {last}");
        }
    }
}
