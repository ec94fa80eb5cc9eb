//! One timer per connection: how long it may be idle, a head may take, and how old it may get.
//!
//! The timer is not set anew at each call. It fires now and then, sees what has become of the connection, and is set for
//! what is left; only a head that does not come whole at once, which is rare, has it fire earlier.

use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::{Phase, Watch};
use crate::door::limits::Limits;

/// How long a refused connection may go on sending before it is dropped.
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Idle,
    Head,
    Old,
    Refused,
}

/// The clock of one connection.
pub(crate) struct Clock {
    watch: Rc<Watch>,
    limits: Rc<Limits>,
    timer: Pin<Box<Sleep>>,
    fires: Instant,
    is_polled: bool,
    state: (Phase, u32),
    since: Instant,
    /// When the connection is old.
    old: Instant,
}

impl Clock {
    /// A clock that begins now; `chance` is between 0 and 1, so that connections of one moment do not end in one.
    pub(crate) fn start(watch: Rc<Watch>, limits: Rc<Limits>, chance: f64) -> Self {
        let now = Instant::now();
        let fires = now + limits.idle.min(limits.age);
        let old = now + limits.age.mul_f64(0.9 + chance.clamp(0.0, 1.0) / 5.0);
        let state = watch.state();
        Self {
            watch,
            limits,
            timer: Box::pin(tokio::time::sleep_until(fires)),
            fires,
            is_polled: false,
            state,
            since: now,
            old,
        }
    }

    /// The connection is as old as it gets, and was told so.
    pub(crate) fn forget_age(&mut self) {
        self.old = self.since + Duration::from_secs(u32::MAX.into());
    }

    /// Waits for the end of the connection's time. To be polled after the connection itself.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let state = self.watch.state();
        if state != self.state {
            self.state = state;
            self.since = Instant::now();
            if let Some((at, _)) = self.deadline()
                && at < self.fires
            {
                self.set(at);
            }
        }
        loop {
            if self.is_polled && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                self.is_polled = true;
                return Poll::Pending;
            }
            let now = Instant::now();
            let deadline = self.deadline();
            match deadline {
                Some((at, over)) if at <= now => return Poll::Ready(over),
                _ if self.old <= now && matches!(self.state.0, Phase::Idle | Phase::Call) => {
                    return Poll::Ready(Over::Old);
                }
                _ => {}
            }
            let next = deadline.map_or(now + self.limits.idle, |(at, _)| at);
            self.set(if self.old > now { next.min(self.old) } else { next });
        }
    }

    fn deadline(&self) -> Option<(Instant, Over)> {
        match self.state.0 {
            Phase::Idle => Some((self.since + self.limits.idle, Over::Idle)),
            Phase::Head => Some((self.since + self.limits.head, Over::Head)),
            Phase::Refused => Some((self.since + LINGER, Over::Refused)),
            Phase::Call => None,
        }
    }

    fn set(&mut self, at: Instant) {
        self.fires = at;
        self.timer.as_mut().reset(at);
        self.is_polled = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::limits::tests::given;

    async fn over(clock: &mut Clock) -> (Over, u64) {
        let began = Instant::now();
        let over = std::future::poll_fn(|cx| clock.poll(cx)).await;
        (over, began.elapsed().as_secs())
    }

    fn start(flags: &[&str]) -> (Clock, Rc<Watch>) {
        let watch = Watch::new();
        (Clock::start(Rc::clone(&watch), Rc::new(given(flags)), 0.5), watch)
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_end_of_the_last_call() {
        let (mut clock, watch) = start(&[]);
        let call = watch.call();
        let not_yet = tokio::time::timeout(Duration::from_secs(600), over(&mut clock)).await;
        assert!(not_yet.is_err(), "a call is no idle time");
        drop(call);
        assert_eq!(over(&mut clock).await, (Over::Idle, 75));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_shorter_time_whatever_was_idle_before_it() {
        let (mut clock, watch) = start(&[]);
        assert!(tokio::time::timeout(Duration::from_secs(70), over(&mut clock)).await.is_err());
        watch.phase.set(Phase::Head);
        assert_eq!(over(&mut clock).await, (Over::Head, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_gets_old_between_its_calls() {
        let (mut clock, watch) = start(&["--connection-age-seconds", "100"]);
        let began = Instant::now();
        for _ in 0..9 {
            let call = watch.call();
            assert!(tokio::time::timeout(Duration::from_secs(10), over(&mut clock)).await.is_err());
            drop(call);
        }
        let _call = watch.call();
        assert_eq!(over(&mut clock).await.0, Over::Old);
        assert_eq!(began.elapsed().as_secs(), 100);
        clock.forget_age();
        assert!(tokio::time::timeout(Duration::from_secs(600), over(&mut clock)).await.is_err());
    }
}
