//! A share of traffic. Integers inside, percent outside, so that 0.1 % + 0.2 % is 0.3 % on every node.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{BUCKETS, Bucket, Error};

const PARTS_PER_PERCENT: u32 = BUCKETS / 100;

/// A share of traffic in 1/100 000, from nothing to everything.
///
/// Written as `"5%"` or `"0.5%"`; read as such text or as a number meaning percent (`5`, `0.5`).
///
/// ```
/// use liftgate_evaluator::Share;
///
/// assert_eq!("2.5%".parse::<Share>()?.parts(), 2_500);
/// assert_eq!(Share::from_percent(25.0)?.to_string(), "25%");
/// # Ok::<(), liftgate_evaluator::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const FULL: Self = Self(BUCKETS);

    /// From percent, 0.0 to 100.0 in steps of 0.001; [`Error::Share`] otherwise.
    pub fn from_percent(percent: f64) -> Result<Self, Error> {
        // Larger than any rounding of a decimal with three places, far smaller than a step.
        const STEP_TOLERANCE: f64 = 1e-6;
        let parts = percent * f64::from(PARTS_PER_PERCENT);
        let whole = parts.round();
        let is_a_step = (parts - whole).abs() < STEP_TOLERANCE;
        if is_a_step && (0.0..=f64::from(BUCKETS)).contains(&whole) {
            Ok(Self(whole as u32))
        } else {
            Err(Error::Share(format!("{percent}%")))
        }
    }

    /// From parts per 100 000; [`Error::Share`] above 100 000.
    pub fn from_ppc(parts: u32) -> Result<Self, Error> {
        if parts <= BUCKETS { Ok(Self(parts)) } else { Err(Error::Share(format!("{parts}/{BUCKETS}"))) }
    }

    /// Parts per 100 000.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// Percent, 0.0 to 100.0.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(PARTS_PER_PERCENT)
    }

    /// Whether a unit at `bucket` is inside: the first `parts` buckets are, so a larger share only adds.
    pub const fn contains(self, bucket: Bucket) -> bool {
        bucket < self.0
    }

    /// What is left of everything.
    pub const fn complement(self) -> Self {
        Self(BUCKETS - self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / PARTS_PER_PERCENT, self.0 % PARTS_PER_PERCENT);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{rest:03}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Share(text.to_owned());
        let number = text.trim().strip_suffix('%').ok_or_else(refused)?;
        let percent: f64 = number.trim_end().parse().map_err(|_| refused())?;
        Self::from_percent(percent).map_err(|_| refused())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }
}

struct ShareVisitor;

impl Visitor<'_> for ShareVisitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share such as \"5%\", or a number meaning percent")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, percent: f64) -> Result<Share, E> {
        Share::from_percent(percent).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, percent: u64) -> Result<Share, E> {
        self.visit_f64(percent as f64)
    }

    fn visit_i64<E: de::Error>(self, percent: i64) -> Result<Share, E> {
        self.visit_f64(percent as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_percent_as_text_or_number() {
        for (wire, parts, written) in [
            (r#""5%""#, 5_000, "5%"),
            ("5", 5_000, "5%"),
            ("0.5", 500, "0.5%"),
            (r#""0.001 %""#, 1, "0.001%"),
            (r#""33.333%""#, 33_333, "33.333%"),
            ("0.07", 70, "0.07%"),
            ("0", 0, "0%"),
            (r#""100%""#, 100_000, "100%"),
        ] {
            let share: Share = serde_json::from_str(wire).unwrap();
            assert_eq!(share.parts(), parts, "{wire}");
            assert_eq!(share.to_string(), written);
            assert_eq!(serde_json::to_string(&share).unwrap(), format!("\"{written}\""));
        }
    }

    #[test]
    fn every_share_survives_text_and_percent() {
        for parts in 0..=BUCKETS {
            let share = Share::from_ppc(parts).unwrap();
            assert_eq!(share.to_string().parse(), Ok(share));
            assert_eq!(Share::from_percent(share.percent()), Ok(share));
        }
    }

    #[test]
    fn refuses_what_is_not_a_share() {
        for wire in ["101", "-1", "0.0005", r#""5""#, r#""%""#, r#""NaN%""#, r#""inf%""#, "true"] {
            assert!(serde_json::from_str::<Share>(wire).is_err(), "{wire}");
        }
        assert!(Share::from_ppc(BUCKETS + 1).is_err());
        assert!(Share::from_percent(f64::NAN).is_err());
    }
}
