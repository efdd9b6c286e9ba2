//! YAML as JSON values, with a bound on what it may expand to: an alias repeats what it points at, so a small document
//! can describe an enormous one.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The most bytes that one document may expand to, counting some for every node.
const EXPANDED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a node counts for beside its text.
const NODE_BYTES: usize = 32;

/// Reads one document.
pub fn bounded<'de, D: Deserializer<'de>>(document: D) -> Result<Value, D::Error> {
    let left = Cell::new(EXPANDED_BYTES_MAX);
    Bounded { left: &left }.deserialize(document)
}

#[derive(Clone, Copy)]
struct Bounded<'a> {
    left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn spend<E: Error>(self, text_bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(text_bytes.saturating_add(NODE_BYTES));
        self.left.set(left.ok_or_else(|| E::custom(format!("expands to more than {EXPANDED_BYTES_MAX} bytes")))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value that JSON can express")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.spend(0)?;
        let number = Number::from_f64(value).ok_or_else(|| E::custom("`.nan` and `.inf` are no values here"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.spend(text.len()).map(|()| text.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut map = Map::new();
        while let Some(name) = fields.next_key_seed(self)? {
            let name = match name {
                Value::String(name) => name,
                Value::Number(number) => number.to_string(),
                Value::Bool(yes) => yes.to_string(),
                _ => return Err(A::Error::custom("a field's name must be a text")),
            };
            let value = fields.next_value_seed(self)?;
            if map.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("field `{name}` stands twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, serde_yaml_ng::Error> {
        bounded(serde_yaml_ng::Deserializer::from_str(text))
    }

    #[test]
    fn documents_become_json_and_aliases_are_followed() {
        let value = read("a: &x {n: 1, t: [yes, 2.5, null]}\nb: *x\n1: one").unwrap();
        assert_eq!(value["a"], value["b"]);
        assert_eq!((&value["a"]["n"], &value["1"]), (&Value::from(1), &Value::from("one")));
        assert!(read("a: 1\na: 2").is_err());
        assert!(read("a: .nan").is_err());
    }

    #[test]
    fn a_document_that_expands_beyond_the_bound_is_refused() {
        let text = format!("a: &a \"{}\"\nb: [{}]", "x".repeat(1 << 20), vec!["*a"; 500].join(","));
        assert!(read(&text).unwrap_err().to_string().contains("expands to more"));
    }
}
