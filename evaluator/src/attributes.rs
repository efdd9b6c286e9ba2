//! What a context says beside the unit's own key: values by name, made to be read. A few are walked, comparing integers;
//! many are found by halving.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::name::{Head, Name};

/// Up to this many, walking is faster than halving.
const WALKED_MAX: usize = 16;

/// The attributes of a context. Each name is there once: a later value replaces an earlier one.
///
/// ```
/// use liftgate_evaluator::context::Attributes;
///
/// let attributes: Attributes = [("plan", "free"), ("seats", "5"), ("plan", "pro")].into_iter().collect();
/// assert_eq!(attributes.get("plan"), Some(&"pro".into()));
/// assert_eq!(attributes.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Ascending by name, which is not the order of the alphabet.
    entries: Vec<(Name, Value)>,
}

impl Attributes {
    /// No attributes.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.find(Head::of(name), name)
    }

    /// The value of a name that is made ready.
    #[inline]
    pub(crate) fn named(&self, name: &Name) -> Option<&Value> {
        self.find(name.head(), name.as_str())
    }

    #[inline]
    fn find(&self, head: Head, name: &str) -> Option<&Value> {
        if self.entries.len() <= WALKED_MAX {
            // A loop by hand: it is half as many instructions as `find`.
            for (known, value) in &self.entries {
                if known.is(head, name) {
                    return Some(value);
                }
            }
            return None;
        }
        let place = self.entries.binary_search_by(|(known, _)| known.compare(head, name)).ok()?;
        Some(&self.entries[place].1)
    }

    /// Adds a value; answers the one that it replaces.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (Name::from(name.into()), value.into());
        match self.entries.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(place) => Some(std::mem::replace(&mut self.entries[place].1, value)),
            Err(place) => {
                self.entries.insert(place, (name, value));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.entries.binary_search_by(|(known, _)| known.compare(Head::of(name), name)).ok()?;
        Some(self.entries.remove(place).1)
    }

    /// Names and values, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn from_entries(mut entries: Vec<(Name, Value)>) -> Self {
        // Not all at once for each: ten thousand that are sent take a moment only.
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        // The later one of two stands second and takes the first one's place.
        entries.dedup_by(|later, earlier| {
            let is_again = later.0.is_same(&earlier.0);
            if is_again {
                std::mem::swap(later, earlier);
            }
            is_again
        });
        Self { entries }
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().map(|(name, value)| (name.into().into(), value.into())).collect())
    }
}

impl From<Map<String, Value>> for Attributes {
    fn from(map: Map<String, Value>) -> Self {
        map.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    entries.push((Name::from(name), value));
                }
                Ok(Attributes::from_entries(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(&str, &Value)> = self.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        serializer.collect_map(entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn attributes_are_a_map(
            pairs in prop::collection::vec(("[a-c\\x00]{0,9}", 0..100_i32), 0..60),
            more in prop::collection::vec(("[a-c\\x00]{0,9}", 0..100_i32), 0..9),
            gone in "[a-c]{0,2}",
        ) {
            let mut map: Map<String, Value> = pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let mut attributes: Attributes = pairs.iter().cloned().collect();
            for (name, value) in more {
                prop_assert_eq!(attributes.insert(name.as_str(), value), map.insert(name.clone(), json!(value)));
                prop_assert_eq!(attributes.get(&name), map.get(&name));
            }
            prop_assert_eq!(attributes.remove(&gone), map.remove(&gone));
            for (name, _) in &pairs {
                prop_assert_eq!(attributes.get(name), map.get(name));
                prop_assert_eq!(attributes.named(&Name::from(name.as_str())), map.get(name));
            }
            prop_assert_eq!(attributes.len(), map.len());
            prop_assert_eq!(serde_json::to_string(&attributes).unwrap(), serde_json::to_string(&map).unwrap());
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Attributes>(&text).unwrap(), &attributes);
            prop_assert_eq!(Attributes::from(map), attributes);
        }
    }

    #[test]
    fn of_a_name_that_is_sent_twice_the_later_value_counts() {
        let attributes: Attributes = serde_json::from_str(r#"{"a": 1, "b": 2, "a": 3, "a": 4}"#).unwrap();
        assert_eq!((attributes.len(), attributes.get("a")), (2, Some(&json!(4))));
        let error = serde_json::from_str::<Attributes>("[1]").unwrap_err();
        assert!(error.to_string().contains("an object of attributes"), "{error}");
    }
}
