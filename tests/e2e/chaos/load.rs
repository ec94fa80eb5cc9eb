//! Clients that call without end and note what came of each call.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acceptance::client::Client;
use acceptance::planes::{Fleet, Key, chat, streamed_chat};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::dice::Dice;
use crate::world::MODEL;

const CLIENTS: u64 = 6;

/// One client begins no two calls within this time: refused connections come back at once.
const PACE: Duration = Duration::from_millis(20);

/// Some calls end within this time, whatever is broken: one data plane at least is up.
const GOES_ON_WITHIN: Duration = Duration::from_secs(30);

/// A full spool refuses within this time, when it is filled on purpose.
const FILLS_WITHIN: Duration = Duration::from_secs(40);

const CHAT: &str = "/v1/chat/completions";

/// A call, as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) outcome: Outcome,
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The whole answer, to its last byte.
    Whole,
    /// No connection, or one that broke.
    Broken,
    /// The client hung up itself.
    HungUp,
    /// 503: the spool is full.
    Refused,
    /// Something that no fault explains.
    Odd(String),
}

/// The clients. Dropped without [`Load::end`], they stop soon.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    name: String,
    /// A client for each data plane and key.
    places: Vec<Vec<Client>>,
    calls: Mutex<Vec<Call>>,
    begun: AtomicU64,
    whole: AtomicUsize,
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    pub(super) fn begin(fleet: &Fleet, keys: &[Key], seed: u64) -> Self {
        let at = |base: &str| keys.iter().map(|key| Client::of(base).with_key(&key.secret)).collect();
        let shared = Arc::new(Shared {
            name: format!("chaos-{seed}"),
            places: fleet.data.iter().map(|plane| at(plane.base())).collect(),
            calls: Mutex::default(),
            begun: AtomicU64::new(0),
            whole: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let dice = Dice::of(seed);
        let clients = (0..CLIENTS).map(|number| tokio::spawn(without_end(shared.clone(), dice.another(number))));
        Self { clients: clients.collect(), shared }
    }

    /// Waits until so many more calls are answered.
    pub(super) async fn goes_on(&self, calls: usize) -> anyhow::Result<()> {
        more("calls are answered", calls, || self.shared.whole.load(Ordering::Relaxed)).await
    }

    /// Waits until so many more calls are answered, or refused because there is no room to book them: where nothing can be
    /// delivered, the spools may all be full.
    pub(super) async fn is_met(&self, calls: usize) -> anyhow::Result<()> {
        let met = || self.shared.whole.load(Ordering::Relaxed) + self.shared.refused.load(Ordering::Relaxed);
        more("calls are answered or refused", calls, met).await
    }

    /// Calls one data plane until its spool is full.
    pub(super) async fn fill(&self, data_plane: usize, dice: &mut Dice) -> anyhow::Result<()> {
        let filled = async {
            loop {
                let mut fillers = Vec::new();
                for _ in 0..16 {
                    let (shared, mut dice) =
                        (self.shared.clone(), dice.another(self.shared.begun.load(Ordering::Relaxed)));
                    dice.below(2);
                    fillers.push(tokio::spawn(async move { shared.call(data_plane, &mut dice, Haste::Now).await }));
                }
                let mut is_full = false;
                for filler in fillers {
                    is_full |= filler.await? == Outcome::Refused;
                }
                if is_full {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(FILLS_WITHIN, filled).await.context("the spool does not fill up")?
    }

    /// Lets running calls end, and gives all of them.
    pub(super) async fn end(mut self) -> anyhow::Result<Vec<Call>> {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in std::mem::take(&mut self.clients) {
            client.await.context("a client panicked")?;
        }
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let odd = calls.iter().find(|call| matches!(call.outcome, Outcome::Odd(_)));
        ensure!(odd.is_none(), "{odd:?}");
        Ok(calls)
    }
}

async fn more(what: &str, calls: usize, count: impl Fn() -> usize) -> anyhow::Result<()> {
    let wanted = count() + calls;
    eventually(what, GOES_ON_WITHIN, async || {
        ensure!(count() >= wanted, "{} are, and {wanted} were to be", count());
        Ok(Some(()))
    })
    .await
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

async fn without_end(shared: Arc<Shared>, mut dice: Dice) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.over.load(Ordering::Relaxed) {
        pace.tick().await;
        let data_plane = dice.below(shared.places.len());
        shared.call(data_plane, &mut dice, Haste::Unhurried).await;
    }
}

/// How long the provider takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    Now,
    /// Up to some 80 ms, so that faults find calls under way.
    Unhurried,
}

impl Shared {
    async fn call(&self, data_plane: usize, dice: &mut Dice, haste: Haste) -> Outcome {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.name);
        let outcome = match self.places.get(data_plane) {
            Some(keys) => match keys.get(dice.below(keys.len())) {
                Some(client) => make(&client.with_header("x-litellm-call-id", &id), &id, dice, haste).await,
                None => Outcome::Odd("no key".to_owned()),
            },
            None => Outcome::Odd("no such data plane".to_owned()),
        };
        match outcome {
            Outcome::Whole => self.whole.fetch_add(1, Ordering::Relaxed),
            Outcome::Refused => self.refused.fetch_add(1, Ordering::Relaxed),
            Outcome::Broken | Outcome::HungUp | Outcome::Odd(_) => 0,
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Call { id, outcome: outcome.clone() });
        outcome
    }
}

async fn make(client: &Client, id: &str, dice: &mut Dice, haste: Haste) -> Outcome {
    let (prompt, completion) = (dice.between(1, 900), dice.between(1, 400));
    let (cached, reasoning) = (dice.below(prompt), dice.below(completion));
    let time = match haste {
        Haste::Now => String::new(),
        Haste::Unhurried => format!("latency_ms={} gap_ms={}", dice.below(40), dice.below(8)),
    };
    let chunks = dice.between(1, 6);
    let words = format!(
        "{id} [[fake prompt={prompt} completion={completion} cached={cached} reasoning={reasoning} chunks={chunks} {time}]]"
    );
    if dice.percent(50) {
        return match client.post(CHAT, &chat(MODEL, &words)).await {
            Err(_broken) => Outcome::Broken,
            Ok(reply) if reply.status == 200 => Outcome::Whole,
            Ok(reply) => refused(reply.status, &reply.to_string()),
        };
    }
    let hang_up_after = if dice.percent(10) { Some(dice.below(3)) } else { None };
    let Ok(mut events) = client.stream(CHAT, &streamed_chat(MODEL, &words)).await else { return Outcome::Broken };
    if events.status != 200 {
        let said = events.rest().await.unwrap_or_default().join(" ");
        return refused(events.status, &said);
    }
    let mut seen = 0;
    loop {
        if hang_up_after == Some(seen) {
            return Outcome::HungUp;
        }
        match events.next().await {
            // The connection's orderly end belongs to the whole answer too.
            Ok(Some(event)) if event == "[DONE]" => {
                return if matches!(events.next().await, Ok(None)) { Outcome::Whole } else { Outcome::Broken };
            }
            Ok(Some(_)) => seen += 1,
            Ok(None) | Err(_) => return Outcome::Broken,
        }
    }
}

fn refused(status: u16, said: &str) -> Outcome {
    match status {
        503 => Outcome::Refused,
        _ => Outcome::Odd(format!("{status}: {said}")),
    }
}
