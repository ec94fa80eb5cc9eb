//! When a budget's window ends: at moments of the calendar, in a time zone (admin_api.md 4.11.2). Pure.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use time::OffsetDateTime;

/// Where it is midnight when, and at which time of day days, weeks and months of budgets begin.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: TimeZone,
    begins: Time,
}

/// A window as the admin wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Seconds(i64),
    Minutes(i64),
    Hours(i64),
    Days(i64),
    Month,
}

impl Window {
    fn read(text: &str) -> Option<Self> {
        match text {
            "hourly" => return Some(Self::Hours(1)),
            "daily" => return Some(Self::Hours(24)),
            "weekly" => return Some(Self::Days(7)),
            "monthly" => return Some(Self::Days(30)),
            _ => {}
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: i64 = number.parse().ok().filter(|number| *number > 0)?;
        Some(match unit.as_bytes() {
            [b'm', b'o', ..] => Self::Month,
            [b's', ..] => Self::Seconds(number),
            [b'm', ..] => Self::Minutes(number),
            [b'h', ..] => Self::Hours(number),
            [b'd', ..] => Self::Days(number),
            [b'w', ..] => Self::Days(number.checked_mul(7)?),
            _ => return None,
        })
    }
}

impl Calendar {
    /// A calendar from `litellm_settings.timezone` and `budget_reset_time` (`HH:MM`). What is not known of them is UTC
    /// and midnight, as in LiteLLM.
    pub(crate) fn new(zone: Option<&str>, begins: Option<&str>) -> Self {
        let zone = zone.and_then(|name| TimeZone::get(name.trim()).ok()).unwrap_or(TimeZone::UTC);
        let begins = begins.and_then(|text| {
            let (hour, minute) = text.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        });
        Self { zone, begins: begins.unwrap_or(Time::midnight()) }
    }

    /// The first end of a window of this length after `now`; `None` if the text is no length or the end is beyond the
    /// year 9999.
    pub(crate) fn next_end(&self, window: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let now = Timestamp::from_nanosecond(now.unix_timestamp_nanos()).ok()?.to_zoned(self.zone.clone());
        let end = self.end(Window::read(window)?, &now)?;
        OffsetDateTime::from_unix_timestamp_nanos(end.timestamp().as_nanosecond()).ok()
    }

    fn end(&self, window: Window, now: &Zoned) -> Option<Zoned> {
        let today = now.start_of_day().ok()?;
        // Parts of an hour and a minute are counted from the last whole one.
        let steps = |passed: i64, step: i64| (passed / step).checked_add(1)?.checked_mul(step);
        match window {
            Window::Seconds(step) => {
                let minute = now.with().second(0).subsec_nanosecond(0).build().ok()?;
                minute.checked_add(SignedDuration::from_secs(steps(now.second().into(), step)?)).ok()
            }
            Window::Minutes(step) => {
                let hour = now.with().minute(0).second(0).subsec_nanosecond(0).build().ok()?;
                let seconds = steps(now.minute().into(), step)?.checked_mul(60)?;
                hour.checked_add(SignedDuration::from_secs(seconds)).ok()
            }
            Window::Hours(step) => {
                let hour = steps(now.hour().into(), step)?;
                let day = if hour < 24 { today } else { today.tomorrow().ok()? };
                day.with().hour(i8::try_from(hour % 24).ok()?).build().ok()
            }
            Window::Days(1) => self.first_after(now, today, |day| day.tomorrow().ok()),
            Window::Days(7) => {
                let since = now.weekday().since(Weekday::Monday);
                let monday = today.checked_sub(Span::new().days(since)).ok()?;
                self.first_after(now, monday, |day| day.checked_add(Span::new().weeks(1)).ok())
            }
            Window::Days(30) | Window::Month => {
                let first = today.first_of_month().ok()?;
                self.first_after(now, first, |day| day.checked_add(Span::new().months(1)).ok())
            }
            Window::Days(days) => today.checked_add(Span::new().try_days(days).ok()?).ok(),
        }
    }

    /// The first day after `now` that begins, of `day` and those that follow it.
    fn first_after(&self, now: &Zoned, mut day: Zoned, next: impl Fn(&Zoned) -> Option<Zoned>) -> Option<Zoned> {
        loop {
            let begins = day.with().time(self.begins).build().ok()?;
            if begins > *now {
                return Some(begins);
            }
            day = next(&day)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2025-01-15 10:37:12 UTC); // a Wednesday

    fn utc() -> Calendar {
        Calendar::new(None, None)
    }

    #[test]
    fn windows_end_when_litellms_do() {
        let expected = [
            ("30s", datetime!(2025-01-15 10:37:30 UTC)),
            ("45s", datetime!(2025-01-15 10:37:45 UTC)),
            ("7s", datetime!(2025-01-15 10:37:14 UTC)),
            ("5m", datetime!(2025-01-15 10:40 UTC)),
            ("45m", datetime!(2025-01-15 10:45 UTC)),
            ("90m", datetime!(2025-01-15 11:30 UTC)),
            ("1h", datetime!(2025-01-15 11:00 UTC)),
            ("5h", datetime!(2025-01-15 15:00 UTC)),
            ("12h", datetime!(2025-01-15 12:00 UTC)),
            ("24h", datetime!(2025-01-16 00:00 UTC)),
            ("daily", datetime!(2025-01-16 00:00 UTC)),
            ("30h", datetime!(2025-01-16 06:00 UTC)),
            ("36h", datetime!(2025-01-16 12:00 UTC)),
            ("48h", datetime!(2025-01-16 00:00 UTC)),
            ("1d", datetime!(2025-01-16 00:00 UTC)),
            ("2d", datetime!(2025-01-17 00:00 UTC)),
            ("3d", datetime!(2025-01-18 00:00 UTC)),
            ("7d", datetime!(2025-01-20 00:00 UTC)),
            ("1w", datetime!(2025-01-20 00:00 UTC)),
            ("10d", datetime!(2025-01-25 00:00 UTC)),
            ("14d", datetime!(2025-01-29 00:00 UTC)),
            ("30d", datetime!(2025-02-01 00:00 UTC)),
            ("31d", datetime!(2025-02-15 00:00 UTC)),
            ("60d", datetime!(2025-03-16 00:00 UTC)),
            ("90d", datetime!(2025-04-15 00:00 UTC)),
            ("2w", datetime!(2025-01-29 00:00 UTC)),
            ("1mo", datetime!(2025-02-01 00:00 UTC)),
        ];
        for (window, end) in expected {
            assert_eq!(utc().next_end(window, NOW), Some(end), "{window}");
        }
    }

    #[test]
    fn a_day_begins_where_the_zone_says_and_when_the_setting_says() {
        let eastern = Calendar::new(Some("US/Eastern"), None);
        assert_eq!(eastern.next_end("1d", NOW), Some(datetime!(2025-01-16 05:00 UTC)));
        let morning = Calendar::new(None, Some("09:00"));
        assert_eq!(morning.next_end("1d", datetime!(2025-01-15 07:05 UTC)), Some(datetime!(2025-01-15 09:00 UTC)));
        assert_eq!(morning.next_end("1d", datetime!(2025-01-15 09:00 UTC)), Some(datetime!(2025-01-16 09:00 UTC)));
        assert_eq!(morning.next_end("7d", NOW), Some(datetime!(2025-01-20 09:00 UTC)));
        assert_eq!(morning.next_end("1mo", NOW), Some(datetime!(2025-02-01 09:00 UTC)));
        let unknown = Calendar::new(Some("Mars/Olympus"), Some("25:99"));
        assert_eq!(unknown.next_end("1d", NOW), utc().next_end("1d", NOW));
    }

    #[test]
    fn a_day_of_23_hours_ends_at_midnight_too() {
        let berlin = Calendar::new(Some("Europe/Berlin"), None);
        let before = datetime!(2025-03-30 00:30 UTC); // half an hour before the clocks go forward
        assert_eq!(berlin.next_end("1d", before), Some(datetime!(2025-03-30 22:00 UTC)));
    }

    proptest! {
        #[test]
        fn a_window_ends_after_now(
            number in 1_u32..5_000, unit in prop::sample::select(vec!["s", "m", "h", "d", "w"]), at in 0_i64..4_000_000_000,
            zone in prop::sample::select(vec!["UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"]),
        ) {
            let now = OffsetDateTime::from_unix_timestamp(at).unwrap();
            let calendar = Calendar::new(Some(zone), Some("03:30"));
            let end = calendar.next_end(&format!("{number}{unit}"), now).unwrap();
            prop_assert!(end > now);
        }
    }
}
