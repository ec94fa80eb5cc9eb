//! How much the spool may hold, how full it is, and what was served without being booked.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use proto::v1::UsageEvent;

use crate::settings::SpoolFull;
use crate::telemetry::metrics;

/// What the spool may hold, and what becomes of calls when it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) max_bytes: u64,
    pub(crate) when_full: SpoolFull,
}

/// How full the spool is. Between the last two, an operator has time to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(super) enum Level {
    Calm,
    /// From 70 % on, until it is below 60 % again: a warning said each time something crosses one line would be noise.
    Filling,
    Full,
}

/// The measured side of a [`Room`].
#[derive(Default)]
pub(super) struct Fill {
    bytes: AtomicU64,
    level: AtomicU8,
    unbooked_calls: AtomicU64,
    unbooked_nano_usd: AtomicU64,
}

/// Calls that were served without being booked, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unbooked {
    pub(crate) calls: u64,
    pub(crate) nano_usd: u64,
}

impl Fill {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.level.load(Ordering::Relaxed) == Level::Full as u8
    }

    pub(super) fn unbooked(&self) -> Unbooked {
        Unbooked {
            calls: self.unbooked_calls.load(Ordering::Relaxed),
            nano_usd: self.unbooked_nano_usd.load(Ordering::Relaxed),
        }
    }

    /// A call ended that no record tells of.
    pub(super) fn count_unbooked(&self, event: &UsageEvent) {
        let nano_usd = u64::try_from(event.cost_nano_usd).unwrap_or(0);
        self.unbooked_calls.fetch_add(1, Ordering::Relaxed);
        self.unbooked_nano_usd.fetch_add(nano_usd, Ordering::Relaxed);
        metrics::unbooked_call(nano_usd);
    }

    /// Takes a measurement in, and says where it crosses a line.
    pub(super) fn measured(&self, bytes: u64, room: Room) {
        self.bytes.store(bytes, Ordering::Relaxed);
        let before = self.level.load(Ordering::Relaxed);
        let now = level(bytes, room.max_bytes, before == Level::Calm as u8);
        if self.level.swap(now as u8, Ordering::Relaxed) == now as u8 {
            return;
        }
        let max_bytes = room.max_bytes;
        let unbooked = self.unbooked();
        match (now, room.when_full) {
            (Level::Calm, _) => tracing::info!(bytes, max_bytes, "the spool has room again"),
            (Level::Filling, _) if before == Level::Full as u8 => tracing::warn!(
                bytes,
                max_bytes,
                unbooked_calls = unbooked.calls,
                unbooked_nano_usd = unbooked.nano_usd,
                "the spool takes usage again"
            ),
            (Level::Filling, SpoolFull::Refuse) => tracing::warn!(
                bytes,
                max_bytes,
                "the spool is filling: the control plane takes no usage. When it is full, calls are refused with 503"
            ),
            (Level::Filling, SpoolFull::ServeAndCount) => tracing::warn!(
                bytes,
                max_bytes,
                "the spool is filling: the control plane takes no usage. When it is full, calls are served unbooked"
            ),
            (Level::Full, SpoolFull::Refuse) => {
                tracing::error!(
                    bytes,
                    max_bytes,
                    "the spool is full: calls are refused until the control plane takes usage"
                );
            }
            (Level::Full, SpoolFull::ServeAndCount) => tracing::error!(
                bytes,
                max_bytes,
                "the spool is full: calls are served WITHOUT BEING BOOKED until the control plane takes usage"
            ),
        }
    }
}

fn level(bytes: u64, max_bytes: u64, was_calm: bool) -> Level {
    let tenths = if was_calm { 7 } else { 6 };
    if bytes >= max_bytes {
        Level::Full
    } else if u128::from(bytes) * 10 >= u128::from(max_bytes) * tenths {
        Level::Filling
    } else {
        Level::Calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_at_seventy_percent_and_is_calm_again_below_sixty() {
        assert_eq!(level(699, 1_000, true), Level::Calm);
        assert_eq!(level(700, 1_000, true), Level::Filling);
        assert_eq!(level(600, 1_000, false), Level::Filling);
        assert_eq!(level(599, 1_000, false), Level::Calm);
        assert_eq!(level(1_000, 1_000, false), Level::Full);
        assert_eq!(level(u64::MAX - 1, u64::MAX, true), Level::Filling);
    }
}
