//! Lifetimes as text: `30s`, `2w`, `1mo`, `daily`. Pure.
//!
//! The forms are LiteLLM's, with one of its habits that documents rely on: what follows a number and a unit is ignored,
//! so that `30min` is thirty minutes.

use time::{Date, Month, OffsetDateTime};

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Seconds(u64),
    /// Calendar months: the same day of the month, or its last one.
    Months(u32),
}

/// The text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("Unsupported duration unit, passed duration: {0}. Use s, m, h, d, w or mo, as in 30d")]
    Unit(String),
    #[error("Invalid duration format, passed duration: {0}. Write a number and a unit, as in 30d")]
    Format(String),
    #[error("The duration {0} ends beyond the year 9999")]
    TooLong(String),
    #[error("The duration {0} must be positive")]
    Zero(String),
}

impl Span {
    /// Reads a length of time; it may be zero.
    pub(crate) fn parse(text: &str) -> Result<Self, DurationError> {
        let words = [("hourly", 3_600), ("daily", 86_400), ("weekly", 604_800), ("monthly", 2_592_000)];
        if let Some((_, seconds)) = words.iter().find(|(word, _)| text == *word) {
            return Ok(Self::Seconds(*seconds));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::Format(text.to_owned()));
        }
        let number: u64 = number.parse().map_err(|_too_many_digits| DurationError::TooLong(text.to_owned()))?;
        if unit.starts_with("mo") {
            let months = u32::try_from(number).map_err(|_too_many| DurationError::TooLong(text.to_owned()))?;
            return Ok(Self::Months(months));
        }
        let seconds = match unit.bytes().next() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            Some(b'w') => 604_800,
            Some(_) | None => return Err(DurationError::Unit(text.to_owned())),
        };
        let total = number.checked_mul(seconds).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        Ok(Self::Seconds(total))
    }

    /// Checks a budget's window: positive, and of calendar months only one.
    pub(crate) fn check_window(text: &str) -> Result<(), DurationError> {
        match Self::parse(text)? {
            Self::Seconds(0) | Self::Months(0) => Err(DurationError::Zero(text.to_owned())),
            Self::Months(2..) => Err(DurationError::Unit(text.to_owned())),
            Self::Seconds(_) | Self::Months(1) => Ok(()),
        }
    }

    /// When it ends that begins at `start`; `None` beyond the year 9999.
    pub(crate) fn after(self, start: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::Seconds(seconds) => start.checked_add(time::Duration::seconds(i64::try_from(seconds).ok()?)),
            Self::Months(months) => {
                let index = i64::from(u8::from(start.month()) - 1) + i64::from(months);
                let year = start.year().checked_add(i32::try_from(index / 12).ok()?)?;
                let month = Month::try_from(u8::try_from(index % 12 + 1).ok()?).ok()?;
                let day = start.day().min(month.length(year));
                (year <= 9_999)
                    .then(|| Date::from_calendar_date(year, month, day).ok())
                    .flatten()
                    .map(|date| start.replace_date(date))
            }
        }
    }
}

/// When something ends that begins at `start` and lasts as long as `text` says.
pub(crate) fn end(text: &str, start: OffsetDateTime) -> Result<OffsetDateTime, DurationError> {
    Span::parse(text)?.after(start).ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_form_means_what_litellm_means() {
        let seconds = [
            ("30s", 30),
            ("30m", 1_800),
            ("30min", 1_800),
            ("30h", 108_000),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("hourly", 3_600),
            ("daily", 86_400),
            ("weekly", 604_800),
            ("monthly", 2_592_000),
            ("0s", 0),
        ];
        for (text, seconds) in seconds {
            assert_eq!(Span::parse(text), Ok(Span::Seconds(seconds)), "{text}");
        }
        assert_eq!(Span::parse("1mo"), Ok(Span::Months(1)));
    }

    #[test]
    fn what_is_no_duration_is_said_to_be_none() {
        assert_eq!(Span::parse("30"), Err(DurationError::Unit("30".into())));
        assert_eq!(Span::parse("30x"), Err(DurationError::Unit("30x".into())));
        assert_eq!(Span::parse("abc"), Err(DurationError::Format("abc".into())));
        assert_eq!(Span::parse("-5d"), Err(DurationError::Format("-5d".into())));
        assert_eq!(Span::parse(""), Err(DurationError::Format(String::new())));
        let long = "99999999999999999999d";
        assert_eq!(Span::parse(long), Err(DurationError::TooLong(long.into())));
    }

    #[test]
    fn a_budget_window_is_positive_and_at_most_one_month_long_in_months() {
        assert_eq!(Span::check_window("30d"), Ok(()));
        assert_eq!(Span::check_window("1mo"), Ok(()));
        assert_eq!(Span::check_window("2mo"), Err(DurationError::Unit("2mo".into())));
        assert_eq!(Span::check_window("0d"), Err(DurationError::Zero("0d".into())));
    }

    #[test]
    fn a_month_keeps_the_day_or_takes_the_last() {
        let end = |start| Span::Months(1).after(start);
        assert_eq!(end(datetime!(2025-01-15 10:00 UTC)), Some(datetime!(2025-02-15 10:00 UTC)));
        assert_eq!(end(datetime!(2025-01-31 10:00 UTC)), Some(datetime!(2025-02-28 10:00 UTC)));
        assert_eq!(end(datetime!(2024-01-31 10:00 UTC)), Some(datetime!(2024-02-29 10:00 UTC)));
        assert_eq!(end(datetime!(2025-12-31 10:00 UTC)), Some(datetime!(2026-01-31 10:00 UTC)));
        assert_eq!(end(datetime!(9999-12-31 10:00 UTC)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_an_error(text in ".{0,40}") {
            let start = datetime!(2025-01-31 00:00 UTC);
            if let Ok(at) = end(&text, start) {
                prop_assert!(at >= start);
            }
        }

        #[test]
        fn a_longer_time_ends_later(number in 0_u32..100_000, unit in prop::sample::select(vec!["s", "m", "h", "d", "mo"])) {
            let start = datetime!(2025-01-31 00:00 UTC);
            let (this, next) = (format!("{number}{unit}"), format!("{}{unit}", number + 1));
            if let (Ok(this), Ok(next)) = (end(&this, start), end(&next, start)) {
                prop_assert!(this < next);
            }
        }

        #[test]
        fn what_follows_the_unit_changes_nothing(number in 1_u32..1_000, rest in "[a-np-z]{0,5}") {
            prop_assert_eq!(Span::parse(&format!("{number}m{rest}")), Span::parse(&format!("{number}m")));
        }
    }
}
