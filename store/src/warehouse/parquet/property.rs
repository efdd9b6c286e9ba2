//! Numbers out of a row's properties, without building the other values.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The numbers under `wanted` (sorted names) in the JSON object `text`, by position; `None` where there is no number.
/// Of a name that comes twice the last counts.
pub(super) fn numbers(text: &str, wanted: &[&str]) -> Result<Vec<Option<f64>>, serde_json::Error> {
    let mut found = vec![None; wanted.len()];
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Object { wanted, found: &mut found })?;
    reader.end()?;
    Ok(found)
}

struct Object<'a> {
    wanted: &'a [&'a str],
    found: &'a mut [Option<f64>],
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(position) = map.next_key_seed(Position(self.wanted))? {
            match position {
                Some(position) => self.found[position] = map.next_value_seed(Number)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A name, as its position among the wanted ones.
struct Position<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.binary_search(&name).ok())
    }
}

/// A number, or `None` for anything else.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_only_numbers() {
        let wanted = ["a", "amount"];
        for (text, found) in [
            ("{}", [None, None]),
            (r#"{"amount": 2.5, "a": -3}"#, [Some(-3.0), Some(2.5)]),
            (r#"{"a": "1", "amount": true}"#, [None, None]),
            (
                r#"{"a": {"amount": 1}, "b": [1, {"a": 2}], "amount": 18446744073709551615}"#,
                [None, Some(2_f64.powi(64))],
            ),
            (r#"{"a": [1], "amount": null}"#, [None, None]),
            (r#"{"\u0061": 1, "amount": 1, "amount": 2}"#, [Some(1.0), Some(2.0)]),
        ] {
            assert_eq!(numbers(text, &wanted).unwrap(), found, "{text}");
        }
        assert!(numbers("[1]", &wanted).is_err());
        assert!(numbers("{} x", &wanted).is_err());
    }
}
