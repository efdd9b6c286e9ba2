//! The short names people write: keys of flags, segments, rules, experiments.
//! Names in any script stand beside a key, never instead of it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest key, in bytes (which are characters: a key is ASCII).
pub const KEY_BYTES_MAX: usize = 128;

/// A name matching `[a-z0-9][a-z0-9_.-]{0,127}`. A `Key` that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Key(Box<str>);

impl Key {
    /// Checks `text` and keeps it; [`Error::Key`] when it is not a key.
    pub fn new(text: &str) -> Result<Self, Error> {
        if is_key(text) { Ok(Self(text.into())) } else { Err(Error::Key(text.to_owned())) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_key(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    starts_well
        && text.len() <= KEY_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-'))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        if is_key(&text) { Ok(Self(text.into_boxed_str())) } else { Err(Error::Key(text)) }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.into_string()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_exactly_the_documented_alphabet() {
        let longest = "a".repeat(KEY_BYTES_MAX);
        for good in ["a", "0", "checkout-v2", "a_b.c-d", longest.as_str()] {
            assert_eq!(Key::new(good).unwrap(), good);
        }
        let too_long = "a".repeat(KEY_BYTES_MAX + 1);
        for bad in ["", "A", "-a", ".a", "_a", "a b", "a/b", "é", "a\n", too_long.as_str()] {
            assert_eq!(Key::new(bad), Err(Error::Key(bad.to_owned())), "{bad:?}");
        }
    }

    #[test]
    fn is_a_checked_string_on_the_wire() {
        let key: Key = serde_json::from_str(r#""checkout""#).unwrap();
        assert_eq!(serde_json::to_string(&key).unwrap(), r#""checkout""#);
        let error = serde_json::from_str::<Key>(r#""Check Out""#).unwrap_err();
        assert!(error.to_string().contains("`Check Out` is not a key"), "{error}");
    }

    #[test]
    fn is_found_in_a_map_by_plain_text() {
        let map = std::collections::HashMap::from([(Key::new("a").unwrap(), 1)]);
        assert_eq!(map.get("a"), Some(&1));
    }
}
