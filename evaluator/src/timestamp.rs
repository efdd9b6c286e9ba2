//! A moment, as the number of microseconds since the Unix epoch. There is no clock here: `now` is always passed in.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::Error;

const MICROS_PER_MILLI: i64 = 1_000;

/// Microseconds since the Unix epoch, UTC.
///
/// Written as RFC 3339; read as RFC 3339 (any offset, digits past the microsecond dropped) or as integer
/// microseconds. Times outside the years -9999 to 9999 cannot be written and show as the nearest one that can.
///
/// ```
/// use liftgate_evaluator::Timestamp;
///
/// let start: Timestamp = "2026-03-01T10:00:00+01:00".parse()?;
/// assert_eq!(start.plus_millis(1_500).to_string(), "2026-03-01T09:00:01.5Z");
/// # Ok::<(), liftgate_evaluator::Error>(())
/// ```
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This time moved by `millis` milliseconds (backwards when negative), stopping at the ends of the type.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(MICROS_PER_MILLI)))
    }

    /// Microseconds from `earlier` to this time, negative when `earlier` is in fact later.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        fmt::Display::fmt(&time, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::Timestamp = text.parse().map_err(|_| Error::Timestamp(text.to_owned()))?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time, or microseconds since the epoch")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(micros))
    }

    fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Timestamp, E> {
        i64::try_from(micros).map(Timestamp).map_err(|_| E::custom(Error::Timestamp(micros.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339_and_microseconds_and_writes_rfc_3339() {
        for (wire, micros, written) in [
            (r#""1970-01-01T00:00:00Z""#, 0, "1970-01-01T00:00:00Z"),
            ("1500000", 1_500_000, "1970-01-01T00:00:01.5Z"),
            ("-1", -1, "1969-12-31T23:59:59.999999Z"),
            (r#""2026-02-28T23:30:00.123456-02:00""#, 1_772_328_600_123_456, "2026-03-01T01:30:00.123456Z"),
        ] {
            let time: Timestamp = serde_json::from_str(wire).unwrap();
            assert_eq!(time.as_micros(), micros, "{wire}");
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{written}\""));
            assert_eq!(written.parse::<Timestamp>().unwrap(), time);
        }
    }

    #[test]
    fn refuses_text_without_an_offset() {
        let error = "2026-03-01T09:00:00".parse::<Timestamp>().unwrap_err();
        assert!(error.to_string().starts_with("`2026-03-01T09:00:00` is not a time"));
        assert!(serde_json::from_str::<Timestamp>("18446744073709551615").is_err());
    }

    #[test]
    fn stops_at_the_ends_of_the_type() {
        assert_eq!(Timestamp(i64::MAX).plus_millis(i64::MAX).as_micros(), i64::MAX);
        assert_eq!(Timestamp(i64::MIN).plus_millis(-1).as_micros(), i64::MIN);
        assert!(Timestamp(i64::MAX).to_string().starts_with("9999-"));
        assert_eq!(Timestamp(5).micros_since(Timestamp(7)), -2);
    }
}
