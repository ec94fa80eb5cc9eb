//! Limits and budgets that several data planes share through Redis: one call there before each call of a model, exact for all.
//!
//! A call takes its place in this process first, without looking ([`Counters::stage`]); Redis is told what this data plane has
//! under way, this call among it, and says whether all of it together fits ([`question`], `take.lua`). What the call used is told
//! afterwards, and nobody waits for that ([`told`]). Each data plane says what it has of an owner as a whole, numbered: words
//! that are lost, late or said twice change nothing, and a Redis that lost everything hears it again.
//!
//! Redis is never the only copy, and has 20 ms to answer a call unless set otherwise. What then happens is [`WhenAway`]; after a few failures
//! it is not asked any more until it answers again. One that has not counted for a whole minute yet is not asked either.

mod failures;
mod link;
mod question;
pub(crate) mod target;
pub(crate) mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc};

use self::failures::Failures;
use self::link::Link;
use self::question::{Answer, Question};
pub(crate) use self::target::{Target, WhenAway};
use self::told::{Count, News, Teller};
use super::counts::Refused;
use super::local::{Ask, Counters, Demand};
use super::taken::Taken;
use super::{Exceeded, Kind, Obstacle, Owner};
use crate::telemetry::metrics;

/// What waits to be told: some seconds' worth of calls.
const MOST_NEWS: usize = 1 << 16;

/// The Redis that limits are shared through, as calls see it.
pub(crate) struct Redis {
    counters: Arc<Counters>,
    target: Target,
    /// This data plane's name there; it outlives the process.
    data_plane_id: Box<str>,
    /// None while it does not answer.
    link: ArcSwapOption<Link>,
    failures: Failures,
    gave_up: Notify,
    /// What was said last is what counts. It begins anew with each life of the data plane, above all of the one before.
    sequence: AtomicU64,
    news: mpsc::Sender<News>,
    /// There was no room for some: all that is known has to be told.
    has_missed: AtomicBool,
}

impl Redis {
    /// With the one who connects, and tells it what calls used; until that runs, Redis is away.
    pub(crate) fn new(target: Target, data_plane_id: &str, counters: Arc<Counters>) -> (Arc<Self>, Teller) {
        let (news, heard) = mpsc::channel(MOST_NEWS);
        let redis = Arc::new(Self {
            counters,
            target,
            data_plane_id: data_plane_id.into(),
            link: ArcSwapOption::empty(),
            failures: Failures::default(),
            gave_up: Notify::new(),
            sequence: AtomicU64::new(0),
            news,
            has_missed: AtomicBool::new(false),
        });
        (Arc::clone(&redis), Teller::new(redis, heard))
    }

    /// Whether it answers.
    pub(crate) fn is_there(&self) -> bool {
        self.link.load().is_some()
    }

    /// Takes a call from all of `demands`, which are in the order of [`Owner`], for all data planes; or says what is in its way.
    pub(crate) async fn take(self: &Arc<Self>, demands: &[Demand<'_>], ask: &Ask<'_>) -> Result<Taken, Obstacle> {
        let Some(link) = self.link.load_full() else { return self.take_alone(demands, ask, self.target.when_away) };
        let (mut taken, staged, sequence) = self.counters.stage(demands, ask, || self.next());
        // Whatever comes of it, also nothing because the client leaves: others are told how it ended.
        taken.redis = Some(Arc::clone(self));
        let question = Question::new(&self.target.prefix, &self.data_plane_id, demands, &staged, ask, sequence);
        let answer = tokio::time::timeout(self.target.patience, link.take(&question)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.failed(&error);
                Answer::None
            }
            Err(_late) => {
                self.failed(&"no answer in time");
                Answer::None
            }
        };
        match answer {
            Answer::Granted(granted) => {
                taken.is_granted(granted.into_iter());
                Ok(taken)
            }
            Answer::Budgets(spent) => {
                let budgets = demands.iter().zip(&staged).flat_map(|(demand, staged)| {
                    staged.budgets.iter().map(move |(budget, _, _)| (demand.owner, *budget))
                });
                let budgets: Vec<_> = budgets.collect();
                let exceeded = spent.into_iter().filter_map(|(at, spent, reserved)| {
                    let (owner, budget) = *budgets.get(at)?;
                    let rank = Exceeded::rank(owner, budget.of);
                    Some((rank, Exceeded::new(owner, budget, budget.spent(spent, reserved))))
                });
                let first = exceeded.min_by_key(|(rank, _)| *rank);
                first.map_or(Err(Obstacle::Away), |(_, exceeded)| Err(Obstacle::Budget(Box::new(exceeded))))
            }
            Answer::Limit { owner, kind, left, wait_s } => {
                let refused = Refused { kind, left, wait_s };
                if kind == Kind::Requests {
                    // Known also when Redis is late in a moment.
                    taken.is_full(owner, wait_s);
                }
                let demand = demands.get(owner);
                demand.map_or(Err(Obstacle::Away), |demand| Err(Obstacle::Limit(refused.told(demand))))
            }
            Answer::TooYoung => {
                drop(taken);
                self.take_alone(demands, ask, WhenAway::LocalShare)
            }
            Answer::None => {
                drop(taken);
                self.take_alone(demands, ask, self.target.when_away)
            }
        }
    }

    fn take_alone(
        self: &Arc<Self>,
        demands: &[Demand<'_>],
        ask: &Ask<'_>,
        when_away: WhenAway,
    ) -> Result<Taken, Obstacle> {
        let mut taken = match when_away {
            WhenAway::LocalShare => self.counters.take(demands, ask)?,
            WhenAway::Allow => {
                let (mut taken, ..) = self.counters.stage(demands, ask, || ());
                taken.staged_at = None;
                taken
            }
            WhenAway::Deny => return Err(Obstacle::Away),
        };
        taken.redis = Some(Arc::clone(self));
        let now = (ask.clock)();
        for (part, demand) in taken.parts.iter_mut().zip(demands) {
            part.id = demand.id.as_ref().into();
            let (at, tokens) = part.reserved.map_or((now, 0), |reserved| (reserved.at, reserved.tokens));
            self.tell(demand.owner, part.id.clone(), [Count::admitted(at, tokens)]);
        }
        Ok(taken)
    }

    /// What this data plane has of an owner has changed, and so many calls and tokens were counted.
    pub(crate) fn tell(&self, owner: Owner, id: Box<str>, counts: impl IntoIterator<Item = Count>) {
        let news = News { owner, id, counts: counts.into_iter().collect() };
        if self.news.try_send(news).is_err() {
            self.has_missed.store(true, Ordering::Relaxed);
        }
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    #[cold]
    fn failed(&self, error: &dyn std::fmt::Display) {
        metrics::redis_failed();
        tracing::debug!(%error, "Redis did not answer a call");
        if self.failures.are_many() && self.give_up(error) {
            self.gave_up.notify_one();
        }
    }

    /// Asks it no more. Whether it was asked until now.
    fn give_up(&self, error: &dyn std::fmt::Display) -> bool {
        let was_there = self.link.swap(None).is_some();
        if was_there {
            metrics::redis_connected(false);
            let then = self.target.when_away;
            tracing::warn!(%error, on_redis_down = %then, "Redis does not answer: limits are kept without it until it does");
        }
        was_there
    }
}
