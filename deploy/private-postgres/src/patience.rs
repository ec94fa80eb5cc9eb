//! Waiting for a condition with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// How long to look away between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer; none when `limit` has passed without one.
pub(crate) fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::park_timeout(PAUSE);
    }
}
