//! What was counted within the last minute, second by second.
//!
//! The sum reaches back over sixty whole seconds and the one that runs, so no minute, wherever it begins, ever holds more
//! than the sum did: a limit on the sum is never exceeded, and under excess demand at least 60/61 of it is used.

/// Sixty seconds, and the one that runs.
const SLOTS: usize = 61;

/// A second, counted from any fixed moment.
pub(super) type Second = u64;

/// A sliding minute.
#[derive(Debug)]
pub(super) struct Window {
    slots: [u64; SLOTS],
    newest: Second,
    sum: u64,
}

impl Window {
    pub(super) fn new(now: Second) -> Self {
        Self { slots: [0; SLOTS], newest: now, sum: 0 }
    }

    /// What is counted in the minute up to `now`.
    pub(super) fn sum(&mut self, now: Second) -> u64 {
        self.go_to(now);
        self.sum
    }

    /// Counts, and says in which second: the newest that the window has seen, which may be later than `now`.
    pub(super) fn add(&mut self, now: Second, count: u64) -> Second {
        self.go_to(now);
        if let Some(slot) = self.slots.get_mut(place(self.newest)) {
            *slot = slot.saturating_add(count);
            self.sum = self.sum.saturating_add(count);
        }
        self.newest
    }

    /// Takes back what was counted in `second`, if that is not over yet.
    pub(super) fn take_back(&mut self, now: Second, second: Second, count: u64) {
        self.go_to(now);
        let is_gone = self.newest.saturating_sub(second) >= SLOTS as u64 || second > self.newest;
        if let Some(slot) = self.slots.get_mut(place(second)).filter(|_| !is_gone) {
            let taken = count.min(*slot);
            *slot -= taken;
            self.sum -= taken;
        }
    }

    /// How many seconds it takes until `count` more fit under `limit`, if nothing else comes; at least one.
    pub(super) fn wait(&mut self, now: Second, count: u64, limit: u64) -> u64 {
        let mut sum = self.sum(now);
        for passed in 1..=SLOTS as u64 {
            // The slot after the newest is the oldest.
            sum -= self.slots.get(place(self.newest + passed)).copied().unwrap_or(0).min(sum);
            if sum.saturating_add(count) <= limit {
                return passed;
            }
        }
        SLOTS as u64
    }

    fn go_to(&mut self, now: Second) {
        let passed = now.saturating_sub(self.newest).min(SLOTS as u64);
        for second in 1..=passed {
            if let Some(slot) = self.slots.get_mut(place(self.newest + second)) {
                self.sum = self.sum.saturating_sub(std::mem::take(slot));
            }
        }
        self.newest = self.newest.max(now);
        debug_assert_eq!(self.sum, self.slots.iter().sum::<u64>());
    }
}

fn place(second: Second) -> usize {
    usize::try_from(second % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was admitted, as (second, count), by a window with this limit under demand.
    fn admitted(limit: u64, demand: &[(u64, u64)]) -> Vec<(Second, u64)> {
        let mut window = Window::new(1_000);
        let mut now = 1_000;
        let mut admitted = Vec::new();
        for (pause, count) in demand {
            now += pause;
            if window.sum(now) + count <= limit {
                window.add(now, *count);
                admitted.push((now, *count));
            }
        }
        admitted
    }

    proptest! {
        #[test]
        fn no_minute_ever_holds_more_than_the_limit(limit in 1u64..200, demand in prop::collection::vec((0u64..90, 1u64..20), 1..200)) {
            let admitted = admitted(limit, &demand);
            for (begin, _) in &admitted {
                let of_minute = admitted.iter().filter(|(at, _)| (*begin..*begin + 60).contains(at));
                prop_assert!(of_minute.map(|(_, count)| count).sum::<u64>() <= limit);
            }
        }

        #[test]
        fn the_wait_is_how_long_it_takes(counts in prop::collection::vec((0u64..10, 1u64..20), 1..30), count in 1u64..20) {
            let mut window = Window::new(0);
            let mut now = 0;
            for (pause, count) in &counts {
                now += pause;
                window.add(now, *count);
            }
            let limit = 20 + count;
            let wait = window.wait(now, count, limit);
            prop_assert!(window.sum(now + wait) + count <= limit);
            if wait > 1 {
                // A fresh one, since a window does not go back.
                let mut again = Window::new(0);
                let mut at = 0;
                for (pause, count) in &counts {
                    at += pause;
                    again.add(at, *count);
                }
                prop_assert!(again.sum(now + wait - 1) + count > limit);
            }
        }
    }

    #[test]
    fn excess_demand_uses_nearly_all_of_the_limit() {
        let demand = vec![(0, 1); 20].into_iter().chain([(1, 1)]).cycle().take(21 * 600).collect::<Vec<_>>();
        let used = admitted(600, &demand).iter().map(|(_, count)| count).sum::<u64>();
        let minutes = 600.0 / 60.0;
        assert!(used as f64 >= 0.97 * 600.0 * minutes, "{used}");
    }

    #[test]
    fn what_is_taken_back_is_free_again_and_only_once_it_was_there() {
        let mut window = Window::new(0);
        window.add(5, 10);
        window.take_back(20, 5, 4);
        assert_eq!(window.sum(20), 6);
        window.take_back(20, 5, 100);
        assert_eq!(window.sum(20), 0);
        window.add(30, 7);
        window.take_back(100, 30, 7);
        assert_eq!(window.sum(100), 0);
        window.take_back(100, 200, 7);
        assert_eq!(window.sum(100), 0);
    }
}
