//! Numbers as header values, written digit by digit: every answer carries several.

use std::time::Duration;

use http::HeaderValue;
use proto::money::NanoUsd;
use smallvec::SmallVec;

/// A duration in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> HeaderValue {
    decimal(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), 3, Zeros::Kept)
}

/// An amount in dollars, with no more decimals than it has. Below zero nothing costs.
pub(crate) fn dollars(amount: NanoUsd) -> HeaderValue {
    decimal(u64::try_from(amount.nanos()).unwrap_or(0), 9, Zeros::Dropped)
}

/// Whether zeros at the end of the decimals are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Kept,
    Dropped,
}

/// `units` of which 10 to the power of `decimals` make a whole.
#[inline]
fn decimal(units: u64, decimals: u32, zeros: Zeros) -> HeaderValue {
    let whole = 10_u64.pow(decimals);
    let mut text = SmallVec::<[u8; 32]>::new();
    text.extend_from_slice(itoa::Buffer::new().format(units / whole).as_bytes());
    let part = units % whole;
    if part > 0 || zeros == Zeros::Kept {
        // A one before the part keeps the zeros at its front; the point takes its place.
        let point = text.len();
        text.extend_from_slice(itoa::Buffer::new().format(whole + part).as_bytes());
        if let Some(one) = text.get_mut(point) {
            *one = b'.';
        }
        while zeros == Zeros::Dropped && text.last() == Some(&b'0') {
            text.pop();
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_not_text| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        assert_eq!(milliseconds(Duration::from_micros(1_234_567)), "1234.567");
        assert_eq!(milliseconds(Duration::from_micros(7)), "0.007");
        assert_eq!(milliseconds(Duration::ZERO), "0.000");
    }

    proptest! {
        #[test]
        fn amounts_read_like_the_float_the_api_shows(nanos in prop_oneof![0i64..2_000, 0i64..(1 << 52), Just(1_000_000_000)]) {
            let amount = NanoUsd::from_nanos(nanos);
            let shown = dollars(amount);
            prop_assert_eq!(shown.to_str().unwrap(), amount.to_usd().to_string());
        }
    }

    #[test]
    fn the_largest_amount_fits() {
        assert_eq!(dollars(NanoUsd::from_nanos(i64::MAX)), "9223372036.854775807");
    }
}
