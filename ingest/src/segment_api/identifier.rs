//! An id as these clients write it: text, or a number that stands for its digits.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// The id as text, perhaps empty.
pub(super) struct Identifier(pub(super) String);

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdentifierVisitor)
    }
}

struct IdentifierVisitor;

impl Visitor<'_> for IdentifierVisitor {
    type Value = Identifier;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Identifier, E> {
        Ok(Identifier(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Identifier, E> {
        Ok(Identifier(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Identifier, E> {
        Ok(Identifier(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Identifier, E> {
        Ok(Identifier(number.to_string()))
    }
}
