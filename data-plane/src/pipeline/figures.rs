//! Numbers as header values, written digit by digit: every answer carries several.

use std::time::Duration;

use http::HeaderValue;
use proto::money::NanoUsd;

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
fn decimal(units: u64, decimals: usize, zeros: Zeros) -> HeaderValue {
    let mut text = [b'0'; 24];
    let mut end = text.len();
    let mut left = units;
    // From the last digit to the first; there is always one before the point.
    let mut written = 0;
    let mut at = text.len();
    while left > 0 || written <= decimals {
        if written == decimals && decimals > 0 {
            at -= 1;
            put(&mut text, at, b'.');
        }
        let digit = u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        written += 1;
        if digit == 0 && written <= decimals && at == end && zeros == Zeros::Dropped {
            end -= 1;
            at -= 1;
            continue;
        }
        at -= 1;
        put(&mut text, at, b'0' + digit);
    }
    let shown = text.get(at..end).unwrap_or_default();
    let shown = shown.strip_suffix(b".").unwrap_or(shown);
    HeaderValue::from_bytes(shown).unwrap_or_else(|_not_text| HeaderValue::from_static("0"))
}

fn put(text: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = text.get_mut(at) {
        *place = byte;
    }
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
