//! When Redis is asked no more: after five failures within ten seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MOST: usize = 5;
const WITHIN: Duration = Duration::from_secs(10);

/// The last failures. Locked by calls that failed, and by no others.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Vec<Instant>>);

impl Failures {
    /// Notes one. Whether they are many by now; then they are forgotten.
    pub(super) fn are_many(&self) -> bool {
        self.are_many_at(Instant::now())
    }

    fn are_many_at(&self, now: Instant) -> bool {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        failures.push(now);
        let are_many = failures.len() >= MOST;
        if are_many {
            failures.clear();
        }
        are_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_ten_seconds_are_many_and_five_in_fifteen_are_not() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let failures = Failures::default();
        let quick = (0..5).map(|second| failures.are_many_at(at(second))).collect::<Vec<_>>();
        assert_eq!(quick, [false, false, false, false, true]);
        let slow = (0..10).any(|step| failures.are_many_at(at(20 + 3 * step)));
        assert!(!slow);
    }
}
