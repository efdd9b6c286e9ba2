//! Numbers and texts out of a row's properties, without building the other values.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The numbers under `wanted` (sorted names) in the JSON object `text`, by position; `None` where there is no number.
/// Of a name that comes twice the last counts.
pub(super) fn numbers(text: &str, wanted: &[&str]) -> Result<Vec<Option<f64>>, serde_json::Error> {
    scalars(text, wanted)
}

/// The same of texts as they are, and of numbers and booleans as their JSON.
pub(super) fn texts(text: &str, wanted: &[&str]) -> Result<Vec<Option<String>>, serde_json::Error> {
    scalars(text, wanted)
}

/// What is made of a value that is neither null, nor a list, nor an object.
trait Scalar: Sized {
    fn number(number: Number) -> Option<Self>;
    fn boolean(value: bool) -> Option<Self>;
    fn text(text: &str) -> Option<Self>;
}

impl Scalar for f64 {
    fn number(number: Number) -> Option<Self> {
        number.as_f64()
    }

    fn boolean(_: bool) -> Option<Self> {
        None
    }

    fn text(_: &str) -> Option<Self> {
        None
    }
}

impl Scalar for String {
    fn number(number: Number) -> Option<Self> {
        Some(number.to_string())
    }

    fn boolean(value: bool) -> Option<Self> {
        Some(value.to_string())
    }

    fn text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

fn scalars<T: Scalar>(text: &str, wanted: &[&str]) -> Result<Vec<Option<T>>, serde_json::Error> {
    let mut found: Vec<Option<T>> = std::iter::repeat_with(|| None).take(wanted.len()).collect();
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Object { wanted, found: &mut found })?;
    reader.end()?;
    Ok(found)
}

struct Object<'a, T> {
    wanted: &'a [&'a str],
    found: &'a mut [Option<T>],
}

impl<'de, T: Scalar> Visitor<'de> for Object<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(position) = map.next_key_seed(Position(self.wanted))? {
            match position {
                Some(position) => self.found[position] = map.next_value_seed(ScalarSeed(PhantomData))?,
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

/// A scalar, or `None` for anything else.
struct ScalarSeed<T>(PhantomData<T>);

impl<'de, T: Scalar> DeserializeSeed<'de> for ScalarSeed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Scalar> Visitor<'de> for ScalarSeed<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).and_then(T::number))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(T::number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(T::number(value.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::boolean(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::text(text))
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
        let some = |text: &str| Some(text.to_owned());
        let text =
            r#"{"a": "ü \"x\"", "amount": -0.50, "b": true, "c": 18446744073709551615, "d": null, "e": [], "f": {}}"#;
        assert_eq!(
            texts(text, &["a", "amount", "b", "c", "d", "e", "f", "g"]).unwrap(),
            [some("ü \"x\""), some("-0.5"), some("true"), some("18446744073709551615"), None, None, None, None]
        );
        assert!(numbers("[1]", &wanted).is_err());
        assert!(numbers("{} x", &wanted).is_err());
    }
}
