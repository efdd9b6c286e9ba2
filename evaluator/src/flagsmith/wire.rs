//! From JSON text to types, with the path of what is wrong.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Error;

/// Reads the whole text.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Error { path: error.path().to_string(), message: error.inner().to_string() })?;
    deserializer.end().map_err(|error| Error { path: ".".to_owned(), message: error.to_string() })?;
    Ok(value)
}

/// A text, number, truth value or null; values of features and traits are nothing else.
pub(super) fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Array(_) | Value::Object(_) => Err(D::Error::custom("expected text, a number, true, false or null")),
        value => Ok(value),
    }
}

/// Null is as good as absent.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
