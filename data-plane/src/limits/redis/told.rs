//! Tells Redis what calls used, and what this data plane has under way: in the background, gathered by owner.
//!
//! It also is the one who connects, and who looks whether a Redis that was given up answers again. Whoever was told of nothing is told
//! of everything: after a connection, and when Redis has lost its memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::RandomState;
use redis::{Pipeline, RedisError, RedisResult};
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::super::Owner;
use super::super::window::Second;
use super::Redis;
use super::link::Link;
use super::question::{MOST_TOKENS, keys, size, whole};
use crate::clock::{self, Clock};
use crate::telemetry::metrics;

/// Calls that last longer are told of again, or others would think that they are gone.
const TELL_AGAIN: Duration = Duration::from_secs(20);
/// The pause before Redis is tried again is between these.
const PAUSE: std::ops::Range<f64> = 2.0..5.0;
const OWNERS_AT_ONCE: usize = 128;
const LINGER: Duration = Duration::from_millis(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// What is counted in a window that is over is forgotten.
const WINDOW: Second = 61;

/// More than a data plane serves before it starts anew. With so many lives, numbers stay exact in Lua.
const CALLS_OF_A_LIFE: u64 = 1 << 36;

/// Calls and tokens to be counted in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    at: Second,
    requests: i64,
    tokens: i64,
}

impl Count {
    /// A call that Redis was not asked about, with the tokens it reserved.
    pub(super) fn admitted(at: Second, tokens: u64) -> Self {
        Self { at, requests: 1, tokens: few(tokens) }
    }

    /// Tokens were reserved, and others used.
    pub(crate) fn replaced(reserved_at: Second, reserved: u64, used_at: Second, used: u64) -> [Self; 2] {
        let count = |at, tokens| Self { at, requests: 0, tokens };
        [count(reserved_at, -few(reserved)), count(used_at, few(used))]
    }
}

/// As many tokens as a call can have, whatever a provider says: larger numbers are not exact in Lua.
fn few(tokens: u64) -> i64 {
    whole(tokens.min(MOST_TOKENS))
}

/// Something changed that Redis has to know.
pub(super) struct News {
    pub(super) owner: Owner,
    pub(super) id: Box<str>,
    pub(super) counts: SmallVec<[Count; 2]>,
}

/// What is to be told, by owner: counts by second. The rest is looked up when it is told.
#[derive(Default)]
struct Untold(HashMap<(Owner, Box<str>), BySecond, RandomState>);

/// Calls and tokens.
type BySecond = BTreeMap<Second, (i64, i64)>;

impl Untold {
    fn add(&mut self, News { owner, id, counts }: News) {
        let known = self.0.entry((owner, id)).or_default();
        for Count { at, requests, tokens } in counts {
            let (known_requests, known_tokens) = known.entry(at).or_default();
            *known_requests += requests;
            *known_tokens += tokens;
        }
    }

    fn forget_before(&mut self, second: Second) {
        // The owner stays: what was said of it before does not hold any more.
        self.0.values_mut().for_each(|counts| *counts = counts.split_off(&second));
    }
}

async fn within_patience<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
    answer.map_err(|_late| RedisError::from((redis::ErrorKind::Io, "no answer within a second")))?
}

/// The one who tells.
pub(crate) struct Teller {
    redis: Arc<Redis>,
    heard: mpsc::Receiver<News>,
    untold: Untold,
    /// Since when Redis counts, as it said last.
    since: Option<i64>,
    /// The first of the sequence; 0 before the first connection.
    began: u64,
}

impl Teller {
    pub(super) fn new(redis: Arc<Redis>, heard: mpsc::Receiver<News>) -> Self {
        Self { redis, heard, untold: Untold::default(), since: None, began: 0 }
    }

    /// Tells until shutdown, and then once more.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut is_first = true;
        loop {
            let redis = Arc::clone(&self.redis);
            let Some(opened) = self.meanwhile(Link::open(&redis.target), &shutdown).await else { return };
            match opened {
                Ok(link) => {
                    self.serve(Arc::new(link), &shutdown).await;
                    redis.link.store(None);
                }
                Err(error) if is_first => {
                    let address = &redis.target.shown;
                    tracing::warn!(%address, %error, on_redis_down = %redis.target.when_away, "Redis cannot be reached: limits are kept without it until it answers");
                }
                Err(error) => tracing::debug!(%error, "Redis still cannot be reached"),
            }
            is_first = false;
            let pause = Duration::from_secs_f64(rand::random_range(PAUSE));
            if self.meanwhile(tokio::time::sleep(pause), &shutdown).await.is_none() {
                return;
            }
        }
    }

    /// Hears what is said until something is done; none at shutdown.
    async fn meanwhile<T>(&mut self, done: impl Future<Output = T>, shutdown: &CancellationToken) -> Option<T> {
        tokio::pin!(done);
        let mut forget = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                done = &mut done => return Some(done),
                () = self.hear() => {}
                _ = forget.tick() => self.untold.forget_before(clock::seconds().saturating_sub(WINDOW)),
                () = shutdown.cancelled() => return None,
            }
        }
    }

    /// Hears what comes within a few milliseconds: calls would wake us once each otherwise.
    async fn hear(&mut self) {
        let Some(news) = self.heard.recv().await else { return std::future::pending().await };
        self.untold.add(news);
        tokio::time::sleep(LINGER).await;
        while let Ok(news) = self.heard.try_recv() {
            self.untold.add(news);
        }
    }

    /// As long as Redis answers.
    async fn serve(&mut self, link: Arc<Link>, shutdown: &CancellationToken) {
        if let Err(error) = self.find_life(&link).await {
            tracing::debug!(%error, "Redis does not say what it knows");
            return;
        }
        self.tell_all();
        let mut again = tokio::time::interval(TELL_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_last = false;
        loop {
            if let Err(error) = self.tell(&link).await {
                self.redis.give_up(&error);
                tracing::debug!(%error, "Redis did not take what it was told");
                return;
            }
            if self.redis.link.load().is_none() {
                if let Err(error) = self.begin_life(&link).await {
                    tracing::debug!(%error, "Redis did not take what it was told");
                    return;
                }
                tracing::info!(address = %self.redis.target.shown, "limits are shared through Redis");
                metrics::redis_connected(true);
                self.redis.link.store(Some(Arc::clone(&link)));
            }
            if is_last {
                return;
            }
            let redis = Arc::clone(&self.redis);
            tokio::select! {
                () = self.hear() => {
                    if self.redis.has_missed.swap(false, Ordering::Relaxed) {
                        self.tell_of(redis.counters.everybody());
                    }
                }
                _ = again.tick() => self.tell_all(),
                () = redis.gave_up.notified() => return,
                () = shutdown.cancelled() => is_last = true,
            }
        }
    }

    /// Where the sequence of this life begins. Clocks are not asked: one that was set back would make all of it too old.
    async fn find_life(&mut self, link: &Link) -> RedisResult<()> {
        let redis = &self.redis;
        if self.began == 0 {
            let mut words = Pipeline::new();
            words.cmd("HGET").arg(keys::lives(&redis.target.prefix)).arg(format!("p{}", redis.data_plane_id));
            let known = within_patience(link.tell(&words)).await?.into_iter().next();
            let known: Option<u64> = known.map_or(Ok(None), redis::from_redis_value)?;
            self.began = (known.unwrap_or(0) / CALLS_OF_A_LIFE + 1) * CALLS_OF_A_LIFE;
            redis.sequence.fetch_max(self.began, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What an earlier life said holds no more: all that is left of it was told just now.
    async fn begin_life(&self, link: &Link) -> RedisResult<()> {
        let mut words = Pipeline::new();
        words.cmd("HSET").arg(keys::lives(&self.redis.target.prefix));
        words.arg(format!("p{}", self.redis.data_plane_id)).arg(self.began);
        within_patience(link.tell(&words)).await.map(drop)
    }

    /// Others have to know of all that this data plane has spent and has under way.
    fn tell_all(&mut self) {
        self.tell_of(self.redis.counters.worth_telling(Clock.now_ms()));
    }

    fn tell_of(&mut self, owners: Vec<(Owner, Box<str>)>) {
        for (owner, id) in owners {
            self.untold.add(News { owner, id, counts: SmallVec::new() });
        }
    }

    /// Tells what is untold. What Redis did not take is told again.
    async fn tell(&mut self, link: &Link) -> RedisResult<()> {
        while !self.untold.0.is_empty() {
            let owners: Vec<_> = self.untold.0.keys().take(OWNERS_AT_ONCE).cloned().collect();
            let mut words = Pipeline::new();
            for (owner, id) in &owners {
                let counts = self.untold.0.get(&(*owner, id.clone()));
                self.say(&mut words, &link.tell, *owner, id, counts.into_iter().flatten());
            }
            let answers = within_patience(link.tell(&words)).await?;
            owners.iter().for_each(|owner| drop(self.untold.0.remove(owner)));
            let since = answers.into_iter().filter_map(|answer| redis::from_redis_value::<i64>(answer).ok()).max();
            if since.is_some() && self.since.is_some_and(|known| Some(known) != since) {
                tracing::warn!("Redis has lost what it had counted: limits are kept without it for a minute");
                self.since = since;
                self.tell_all();
                self.begin_life(link).await?;
            }
            self.since = since.or(self.since);
        }
        Ok(())
    }

    fn say<'a>(
        &self,
        words: &mut Pipeline,
        script: &str,
        owner: Owner,
        id: &str,
        counts: impl Iterator<Item = (&'a Second, &'a (i64, i64))>,
    ) {
        let redis = &self.redis;
        let prefix = &redis.target.prefix;
        let said = redis.counters.said(owner, id, Clock.now_ms(), || redis.next());
        let (standing, sequence) = said.unwrap_or_else(|| (Default::default(), redis.next()));
        let mut keys = vec![
            keys::since(prefix),
            keys::lives(prefix),
            keys::windows(prefix, owner, id),
            keys::planes(prefix, owner, id),
        ];
        keys.extend(standing.accounts.iter().map(|(scope, _)| keys::budget(prefix, owner, id, scope)));
        let now = clock::seconds();
        let counts: Vec<[i64; 3]> =
            counts.map(|(at, (requests, tokens))| [whole(now.saturating_sub(*at)), *requests, *tokens]).collect();
        let mut numbers = vec![
            whole(sequence),
            whole(standing.under_way.calls),
            whole(standing.under_way.reserving),
            size(counts.len()),
            size(standing.accounts.len()),
        ];
        numbers.extend(counts.iter().flatten());
        for (_, said) in &standing.accounts {
            numbers.extend([whole(said.version), said.booked, said.ends_at_ms]);
            numbers.extend([said.spent, said.reserved, i64::from(said.reserving)]);
        }
        words.cmd("EVALSHA").arg(script).arg(keys.len()).arg(&keys).arg(&*redis.data_plane_id).arg(&numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_untold_is_gathered_by_owner_and_second_and_forgotten_with_its_window() {
        let mut untold = Untold::default();
        let news = |counts: &[Count]| News { owner: Owner::Key, id: "k".into(), counts: counts.into() };
        untold.add(news(&[Count::admitted(10, 500)]));
        untold.add(news(&[Count::admitted(10, 100)]));
        untold.add(news(&Count::replaced(10, 500, 12, 40)));
        let counts = &untold.0[&(Owner::Key, "k".into())];
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(&10, &(2, 100)), (&12, &(0, 40))]);
        untold.forget_before(11);
        assert_eq!(untold.0[&(Owner::Key, "k".into())].len(), 1);
        untold.forget_before(13);
        assert!(untold.0[&(Owner::Key, "k".into())].is_empty(), "its owner is told of all the same");
    }
}
