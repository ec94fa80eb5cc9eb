//! Money, in whole billionths of a US dollar.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// An amount of money in billionths of a US dollar. Sums saturate at about nine billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount given in billionths.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The amount in billionths.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// An amount as the JSON API gives it, in dollars. `None` where it is not finite or out of range.
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * 1e9).round();
        let in_range = nanos.is_finite() && nanos.abs() < 9.2e18;
        #[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
        in_range.then_some(Self(nanos as i64))
    }

    /// The amount as the JSON API shows it, in dollars.
    #[allow(clippy::cast_precision_loss, reason = "the API shows floats; money is counted in whole nanos")]
    pub fn to_usd(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for NanoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::add)
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_usd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_round_trip_to_the_nano() {
        for nanos in [0, 1, 28_500, 1_000_000_000, -5, 123_456_789_012_345] {
            assert_eq!(NanoUsd::from_usd(NanoUsd::from_nanos(nanos).to_usd()), Some(NanoUsd::from_nanos(nanos)));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        assert_eq!(NanoUsd::from_usd(f64::NAN), None);
        assert_eq!(NanoUsd::from_usd(f64::INFINITY), None);
        assert_eq!(NanoUsd::from_usd(1e12), None);
    }
}
