//! Lengths of time as people write them: `500ms`, `30s`, `5m`, `24h`, `7d`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A non-negative length of time in whole milliseconds. On the wire a string with one unit, such as `"30m"`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Span(u64);

/// The units that a span may be written in, from the largest, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// A span of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Its length in milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Its length in milliseconds as a signed number, for arithmetic on timestamps.
    pub fn as_ms_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("`{text}` is not a length of time; write one like `500ms`, `30s`, `5m`, `24h` or `7d`");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        number.checked_mul(*length).map(Span).ok_or_else(bad)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, length) = UNITS
            .into_iter()
            .find(|(_, length)| self.0 >= *length && self.0.is_multiple_of(*length))
            .unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.0 / length)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_people_write() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("0s", 0)] {
            assert_eq!(text.parse::<Span>().unwrap().as_ms(), ms, "{text}");
        }
        assert_eq!(Span::from_ms(86_400_000).to_string(), "1d");
        assert_eq!(Span::from_ms(90_000).to_string(), "90s");
        for bad in ["", "5", "s", "-5s", "1.5h", "5 s", "99999999999999999d"] {
            assert!(bad.parse::<Span>().unwrap_err().contains("length of time"), "{bad}");
        }
    }
}
