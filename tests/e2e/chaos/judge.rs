//! Compares what clients saw, what the provider noted and what is booked, call by call.

use std::collections::HashMap;
use std::fmt;

use acceptance::database::Booked;
use acceptance::price::STORY;
use acceptance::provider::{Entry, FakeProvider};
use anyhow::{Context, bail, ensure};

use super::load::{Call, Outcome};

/// What a round came to.
#[derive(Default)]
pub(super) struct Verdict {
    calls: usize,
    answered: usize,
    refused: usize,
    rows: usize,
    interrupted: usize,
    answered_nano_usd: u64,
    all_nano_usd: u64,
}

impl Verdict {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.refused += other.refused;
        self.rows += other.rows;
        self.interrupted += other.interrupted;
        self.answered_nano_usd += other.answered_nano_usd;
        self.all_nano_usd += other.all_nano_usd;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls, {} answered whole and booked once with {} nano-dollars as the provider's ledger says, {} refused; \
             {} rows with {} nano-dollars, {} of them interrupted",
            self.calls,
            self.answered,
            self.answered_nano_usd,
            self.refused,
            self.rows,
            self.all_nano_usd,
            self.interrupted,
        )
    }
}

/// The three accounts of each call.
struct Accounts<'a> {
    entries: HashMap<String, Entry>,
    rows: HashMap<&'a str, Vec<&'a Booked>>,
}

impl<'a> Accounts<'a> {
    fn of(provider: &FakeProvider, booked: &'a [Booked]) -> anyhow::Result<Self> {
        let mut entries = HashMap::new();
        for entry in provider.ledger().entries() {
            let id = id_of(&entry)?;
            ensure!(entries.insert(id.clone(), entry).is_none(), "the provider was called twice for {id}");
        }
        let mut rows: HashMap<_, Vec<_>> = HashMap::new();
        for row in booked {
            rows.entry(row.call_id.as_str()).or_default().push(row);
        }
        Ok(Self { entries, rows })
    }

    fn rows(&self, call: &Call) -> &[&'a Booked] {
        self.rows.get(call.id.as_str()).map_or(&[], Vec::as_slice)
    }
}

/// The text of each call begins with its id.
fn id_of(entry: &Entry) -> anyhow::Result<String> {
    let call = entry.json();
    let text = call["messages"][0]["content"].as_str().context("a call without text")?;
    Ok(text.split_whitespace().next().context("a call without an id")?.to_owned())
}

/// Whether everything is booked that must be: what was answered, and what the provider worked on.
pub(super) fn arrived(calls: &[Call], provider: &FakeProvider, booked: &[Booked]) -> anyhow::Result<()> {
    let accounts = Accounts::of(provider, booked)?;
    let missing = calls.iter().filter(|call| {
        let must_be = call.outcome == Outcome::Whole || accounts.entries.contains_key(&call.id);
        must_be && accounts.rows(call).is_empty()
    });
    let missing: Vec<&Call> = missing.collect();
    ensure!(
        missing.is_empty(),
        "{} of {} calls are not booked, such as {:?}",
        missing.len(),
        calls.len(),
        missing.first()
    );
    Ok(())
}

/// Judges every call and every row.
pub(super) fn judge(calls: &[Call], provider: &FakeProvider, booked: &[Booked]) -> anyhow::Result<Verdict> {
    let accounts = Accounts::of(provider, booked)?;
    let mut verdict = Verdict { calls: calls.len(), rows: booked.len(), ..Verdict::default() };
    let mut of_calls = 0;
    for call in calls {
        let (entry, rows) = (accounts.entries.get(&call.id), accounts.rows(call));
        one(call, entry, rows, &mut verdict)
            .with_context(|| format!("{call:?}\nledger: {entry:#?}\nrows: {rows:#?}"))?;
        of_calls += rows.len();
    }
    ensure!(of_calls == booked.len(), "{} rows belong to no call", booked.len() - of_calls);
    ensure!(
        accounts.entries.keys().all(|id| accounts.rows.contains_key(id.as_str())),
        "a call of the ledger has no row"
    );
    verdict.all_nano_usd = acceptance::database::sum(booked);
    Ok(verdict)
}

fn one(call: &Call, entry: Option<&Entry>, rows: &[&Booked], verdict: &mut Verdict) -> anyhow::Result<()> {
    let row = match rows {
        [] => None,
        [row] => Some(*row),
        several => bail!("it is booked {} times", several.len()),
    };
    let owed = entry.and_then(|entry| entry.tokens.as_ref()).map(|tokens| STORY.of(tokens));
    let cost = row.map(|row| u64::try_from(row.cost_nano_usd)).transpose()?;
    let is_exact = row.is_some_and(|row| row.usage_source == "reported") && cost == owed;
    match (&call.outcome, row) {
        (Outcome::Whole, Some(row)) => {
            ensure!(is_exact && row.ending == "complete", "an answered call is booked otherwise");
            verdict.answered += 1;
            verdict.answered_nano_usd += cost.unwrap_or_default();
        }
        (Outcome::Whole, None) => bail!("an answered call is not booked"),
        (Outcome::Refused, row) => {
            ensure!(row.is_none() && entry.is_none(), "a refused call was sent, or booked");
            verdict.refused += 1;
        }
        // Killed before it was opened: the provider never heard of it.
        (Outcome::Broken | Outcome::HungUp, None) => ensure!(entry.is_none(), "a call that was sent is not booked"),
        (Outcome::Broken | Outcome::HungUp, Some(row)) if row.ending == "interrupted" => {
            let flagged = row.usage_source == "estimated" && row.estimate_method.is_some() && !row.success;
            ensure!(flagged && cost > Some(0), "an interrupted call is not an estimate that costs something");
            verdict.interrupted += 1;
        }
        // Its data plane lived to close it.
        (Outcome::Broken | Outcome::HungUp, Some(row)) => {
            let is_estimate = row.usage_source == "estimated" && cost > Some(0);
            ensure!(is_exact || is_estimate, "a call that ended early is neither exact nor an estimate");
            ensure!(
                ["complete", "client_left", "drained"].contains(&row.ending.as_str()),
                "an ending that no fault explains"
            );
        }
        (Outcome::Odd(said), _) => bail!("{said}"),
    }
    Ok(())
}
