//! Times as attributes and comparands have them: RFC 3339, or a date alone, which is its first moment in UTC.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::Timestamp;

const MICROS_PER_DAY: f64 = 86_400_000_000.0;

/// The length of `2026-01-31`.
const DATE_BYTES: usize = 10;

/// Reads `2026-01-31T09:00:00+01:00` or `2026-01-31`; digits past the microsecond are dropped.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let time = if text.len() == DATE_BYTES {
        // The parser takes the date out of longer text, and `20260131`, too: only this length is a date here.
        let date: Date = text.parse().ok()?;
        Offset::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()?
    } else {
        text.parse::<jiff::Timestamp>().ok()?
    };
    Some(Timestamp::from_micros(time.as_microsecond()))
}

/// Days of 24 hours from `time` to `now`, with their fraction; negative when `time` is yet to come.
pub(crate) fn elapsed_days(time: Timestamp, now: Timestamp) -> f64 {
    now.micros_since(time) as f64 / MICROS_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_dates_and_nothing_else() {
        for (text, written) in [
            ("2026-01-31T01:00:00+01:00", Some("2026-01-31T00:00:00Z")),
            ("2026-01-31", Some("2026-01-31T00:00:00Z")),
            ("1969-12-31", Some("1969-12-31T00:00:00Z")),
            ("2024-02-29", Some("2024-02-29T00:00:00Z")),
            ("2026-02-29", None),
            ("20260131", None),
            ("2026-01-31T09:00:00", None),
            ("2026-1-31", None),
            ("yesterday!", None),
            ("", None),
        ] {
            let time = parse_time(text).map(|time| time.to_string());
            assert_eq!(time.as_deref(), written, "{text}");
        }
    }

    #[test]
    fn days_have_fractions_and_a_sign() {
        let at = |text: &str| parse_time(text).unwrap();
        let now = at("2026-03-01T12:00:00Z");
        for (text, days) in [("2026-02-28", 1.5), ("2026-03-01T12:00:00Z", 0.0), ("2026-03-02", -0.5)] {
            assert_eq!(elapsed_days(at(text), now), days, "{text}");
        }
    }
}
