//! Decimal numbers as whole numbers of a smaller unit, without a float in between.

use serde_json::Value;

/// What a float can hold of a decimal number without doubt. Digits beyond are its noise: 8.900000000000001e-07 is 8.9e-07.
const SIGNIFICANT_DIGITS: u32 = 15;

/// Femto-dollars (10⁻¹⁵) in a dollar, as a power of ten.
const FEMTO: i32 = 15;

/// A price in femto-dollars, from a JSON number of dollars or the text of one. `None` where it is negative, not a number,
/// or above 18,446 USD. What lies between two femto-dollars becomes the nearer one, but what is not zero never becomes zero.
pub(super) fn femto_usd(value: &Value) -> Option<u64> {
    scaled(value, FEMTO)
}

/// A number of tokens, also where it is written as `256000.0` or `2.56e5`. `None` where it is negative or not a number.
pub(super) fn tokens(value: &Value) -> Option<u64> {
    scaled(value, 0)
}

fn scaled(value: &Value, power: i32) -> Option<u64> {
    match value {
        Value::Number(number) => parse(&number.to_string(), power),
        Value::String(text) => parse(text.trim(), power),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The decimal number that `text` spells, times 10^`power`, as a whole number.
fn parse(text: &str, power: i32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.strip_prefix('+').unwrap_or(whole);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }

    let mut digits = Digits::default();
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits.push(digit)?;
    }
    let after_the_point = i32::try_from(fraction.len()).ok()?;
    let power = exponent.checked_sub(after_the_point)?.checked_add(digits.dropped)?.checked_add(power)?;
    shift(digits.value, power)
}

/// The first significant digits of a number.
#[derive(Default)]
struct Digits {
    value: u128,
    count: u32,
    /// How many digits were left out at the end.
    dropped: i32,
}

impl Digits {
    fn push(&mut self, digit: u8) -> Option<()> {
        let digit = u128::from(char::from(digit).to_digit(10)?);
        if self.count < SIGNIFICANT_DIGITS {
            self.value = self.value * 10 + digit;
            self.count += u32::from(self.value > 0);
            return Some(());
        }
        if self.dropped == 0 && digit >= 5 {
            self.value += 1;
        }
        self.dropped = self.dropped.checked_add(1)?;
        Some(())
    }
}

/// `value` · 10^`power`, to the nearest whole number, and at least 1 unless `value` is 0.
fn shift(value: u128, power: i32) -> Option<u64> {
    let ten = 10_u128.checked_pow(power.unsigned_abs());
    let shifted = match (value, ten) {
        (0, _) => 0,
        (value, Some(ten)) if power >= 0 => value.checked_mul(ten)?,
        (value, Some(ten)) => ((value + ten / 2) / ten).max(1),
        (_, None) if power >= 0 => return None,
        (_, None) => 1,
    };
    u64::try_from(shifted).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prices_are_read_without_rounding() {
        assert_eq!(femto_usd(&json!(2.5e-06)), Some(2_500_000_000));
        assert_eq!(femto_usd(&json!(0.1)), Some(100_000_000_000_000));
        assert_eq!(femto_usd(&json!(1e-15)), Some(1));
        assert_eq!(femto_usd(&json!(3)), Some(3_000_000_000_000_000));
        assert_eq!(femto_usd(&json!(0.00028333333333333)), Some(283_333_333_333));
        assert_eq!(femto_usd(&json!(0)), Some(0));
        assert_eq!(femto_usd(&json!(-0.0)), None);
    }

    #[test]
    fn the_text_of_a_number_is_one_too() {
        assert_eq!(femto_usd(&json!(" 1e-06 ")), Some(1_000_000_000));
        assert_eq!(femto_usd(&json!("+0.000001")), Some(1_000_000_000));
        assert_eq!(femto_usd(&json!("1.E-6")), Some(1_000_000_000));
    }

    #[test]
    fn the_noise_of_floats_is_dropped() {
        assert_eq!(femto_usd(&json!(8.900000000000001e-07)), Some(890_000_000));
        assert_eq!(femto_usd(&json!(3.0001999999999996e-07)), Some(300_020_000));
        assert_eq!(femto_usd(&json!(0.1 + 0.2)), Some(300_000_000_000_000));
    }

    #[test]
    fn what_is_not_nothing_never_becomes_free() {
        assert_eq!(femto_usd(&json!(1e-16)), Some(1));
        assert_eq!(femto_usd(&json!(1e-300)), Some(1));
        assert_eq!(femto_usd(&json!("1e-2000000000")), Some(1));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let no_prices = [json!(-1e-6), json!(20_000), json!(1e300), json!(null), json!(true), json!([1]), json!({})];
        for value in no_prices {
            assert_eq!(femto_usd(&value), None, "{value}");
        }
        for text in ["", ".", "e", "-1", "NaN", "inf", "1e", "1e99999999999", "1,5", "1 2", "0x1", "$1", "++1", "1.-5"]
        {
            assert_eq!(femto_usd(&json!(text)), None, "{text:?}");
        }
    }

    #[test]
    fn tokens_may_be_written_as_floats() {
        assert_eq!(tokens(&json!(256_000.0)), Some(256_000));
        assert_eq!(tokens(&json!(0)), Some(0));
        assert_eq!(tokens(&json!("1e6")), Some(1_000_000));
        assert_eq!(tokens(&json!(-1)), None);
    }
}
