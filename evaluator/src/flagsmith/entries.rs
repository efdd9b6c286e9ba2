//! A map of JSON that keeps the order it was written in: the first segment wins a tie, so order is meaning here.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text_hash::TextHasher;

/// Names with values, in order. A name that comes again replaces the earlier value in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T> {
    list: Vec<(String, T)>,
    positions: HashMap<String, usize, BuildHasherDefault<TextHasher>>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { list: Vec::new(), positions: HashMap::default() }
    }
}

impl<T> Entries<T> {
    /// Adds at the end, or replaces in place.
    pub fn insert(&mut self, name: impl Into<String>, value: T) {
        let name = name.into();
        match self.positions.get(&name).and_then(|&position| self.list.get_mut(position)) {
            Some(entry) => entry.1 = value,
            None => {
                self.positions.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.get_entry(name).map(|(_, value)| value)
    }

    /// The value of a name, with the name as it is kept here.
    pub fn get_entry(&self, name: &str) -> Option<(&str, &T)> {
        let (name, value) = self.list.get(*self.positions.get(name)?)?;
        Some((name, value))
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Values in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.list.iter().map(|(_, value)| value)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl<T> FromIterator<(String, T)> for Entries<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        let mut entries = Self::default();
        for (name, value) in pairs {
            entries.insert(name, value);
        }
        entries
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Entries::default();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            entries.insert(name, value);
        }
        Ok(entries)
    }
}
