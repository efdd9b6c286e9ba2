//! A margin as people write it: `10%` is relative to the control, a plain number is absolute, in the metric's own unit.

use std::{fmt, str::FromStr};

use liftgate_stats::Margin;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A margin with the text it was written as, so that it is shown and hashed as written.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginText {
    text: String,
    margin: Margin,
}

impl MarginText {
    /// What the statistics read: `10%` is `Relative(0.1)`, `25` and `25ms` are `Absolute(25.0)`.
    pub fn margin(&self) -> Margin {
        self.margin
    }

    /// The number alone, a fraction when relative.
    pub fn size(&self) -> f64 {
        match self.margin {
            Margin::Relative(size) | Margin::Absolute(size) => size,
        }
    }

    /// Whether it is relative to the control.
    pub fn is_relative(&self) -> bool {
        matches!(self.margin, Margin::Relative(_))
    }
}

impl FromStr for MarginText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a margin; write one like `10%`, `0.5`, `25` or `25ms`");
        let written = text.trim();
        let (number, relative) = match written.strip_suffix('%') {
            Some(number) => (number, true),
            None => (written.strip_suffix("ms").unwrap_or(written), false),
        };
        let number = number.trim_end();
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.contains(['e', 'E']) {
            return Err(bad());
        }
        let size: f64 = number.parse().map_err(|_| bad())?;
        if !size.is_finite() {
            return Err(bad());
        }
        let margin = if relative { Margin::Relative(size / 100.0) } else { Margin::Absolute(size) };
        Ok(Self { text: written.to_owned(), margin })
    }
}

impl fmt::Display for MarginText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for MarginText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for MarginText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = MarginText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a margin such as `10%` or `25`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MarginText, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<MarginText, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<MarginText, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<MarginText, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, expected) in [
            ("10%", Margin::Relative(0.1)),
            ("2.5%", Margin::Relative(0.025)),
            ("0%", Margin::Relative(0.0)),
            ("25", Margin::Absolute(25.0)),
            ("25ms", Margin::Absolute(25.0)),
            ("0.01", Margin::Absolute(0.01)),
        ] {
            let margin: MarginText = text.parse().unwrap();
            assert_eq!(margin.margin(), expected, "{text}");
            assert_eq!(margin.to_string(), text);
        }
        for bad in ["", "%", "-5%", "ten", "25k", "1e3", "inf", "NaN", "+4"] {
            assert!(bad.parse::<MarginText>().unwrap_err().contains("not a margin"), "{bad}");
        }
    }

    #[test]
    fn numbers_are_absolute() {
        let margin: MarginText = serde_json::from_str("25").unwrap();
        assert_eq!(margin.margin(), Margin::Absolute(25.0));
        assert_eq!(serde_json::to_string(&margin).unwrap(), r#""25""#);
        assert!(serde_json::from_str::<MarginText>("-1").is_err());
    }
}
