//! What the provider was asked and what it gave. Entries are only added, and filled in as bytes go out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::price::{Price, Tokens};
use crate::wait::eventually;

/// One call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts from 0.
    pub number: usize,
    pub arrived: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The id in the answer; unique among all fake providers of a process.
    pub answer_id: String,
    pub status: u16,
    /// What the provider counted for it, told or not. Nothing for a call that it refused.
    pub tokens: Option<Tokens>,
    /// Whether the answer told these tokens, or was meant to.
    pub usage_told: bool,
    pub bytes_sent: usize,
    pub sent: Sent,
}

/// How far an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Its last byte is not out yet.
    Underway,
    /// Its last byte went to the gateway.
    Whole,
    /// The provider broke off on purpose.
    BrokenOff,
    /// The gateway hung up before the last byte.
    HungUpOn,
}

impl Entry {
    /// The call's body, or null where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header of the call, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The provider's own books, shared with the story.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Entry>>>);

impl Ledger {
    /// Everything so far, in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Everything so far, which is forgotten: for stories of very many calls. Only between calls.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.lock())
    }

    /// How many calls came.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no call came.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// What all calls with tokens cost at `price`, in billionths of a dollar.
    pub fn owed(&self, price: &Price) -> u64 {
        self.lock().iter().filter_map(|entry| entry.tokens.as_ref()).map(|tokens| price.of(tokens)).sum()
    }

    /// The last call, which must have come.
    pub fn last(&self) -> anyhow::Result<Entry> {
        self.lock().last().cloned().ok_or_else(|| anyhow::anyhow!("the provider was never called"))
    }

    /// Waits until `count` calls have arrived.
    pub async fn reaches(&self, count: usize, within: Duration) -> anyhow::Result<()> {
        let what = format!("the provider gets {count} calls");
        eventually(&what, within, async || {
            let arrived = self.len();
            anyhow::ensure!(arrived >= count, "{arrived} arrived");
            Ok(Some(()))
        })
        .await
    }

    pub(super) fn open(&self, entry: impl FnOnce(usize) -> Entry) -> usize {
        let mut entries = self.lock();
        let number = entries.len();
        entries.push(entry(number));
        number
    }

    pub(super) fn amend(&self, number: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().get_mut(number) {
            change(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
