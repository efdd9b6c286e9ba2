//! Values on their way into a statement and rows on their way out: BIGINT and TEXT, all that the tables hold.

use liftgate_domain::{Id, Key, Scope, StoreError, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// A value for a placeholder.
#[derive(Clone, Debug)]
pub(super) enum Bind {
    Int(Option<i64>),
    Text(Option<String>),
}

/// The values for a statement's `$1`, `$2` ...
macro_rules! binds {
    ($($value:expr),* $(,)?) => { vec![$($crate::catalog::sql::row::Bind::from($value)),*] };
}
pub(super) use binds;

/// A column of a row.
#[derive(Debug)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// A row, read from left to right.
#[derive(Debug)]
pub(super) struct Row(pub std::vec::IntoIter<Cell>);

impl Row {
    pub fn int(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Cell::Int(value)) => Ok(value),
            other => Err(unexpected("a number", other.as_ref())),
        }
    }

    pub fn optional_int(&mut self) -> Result<Option<i64>, StoreError> {
        match self.0.next() {
            Some(Cell::Int(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            other => Err(unexpected("a number", other.as_ref())),
        }
    }

    pub fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?.ok_or_else(|| unexpected("text", Some(&Cell::Null)))
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Cell::Text(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            other => Err(unexpected("text", other.as_ref())),
        }
    }

    /// A count, number or revision.
    pub fn number(&mut self) -> Result<u64, StoreError> {
        let value = self.int()?;
        u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("`{value}` stands where a count belongs")))
    }

    pub fn timestamp(&mut self) -> Result<Timestamp, StoreError> {
        self.int().map(Timestamp)
    }

    pub fn key(&mut self) -> Result<Key, StoreError> {
        Key::try_from(self.text()?).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// Organization, project and environment.
    pub fn scope(&mut self) -> Result<Scope, StoreError> {
        let organization = self.key()?;
        let project = self.optional_key()?;
        let environment = self.optional_key()?;
        Ok(Scope { organization, project, environment })
    }

    fn optional_key(&mut self) -> Result<Option<Key>, StoreError> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        Key::try_from(text).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// A JSON body.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        read_json(&self.text()?)
    }
}

/// The JSON text that is stored for a body.
pub(super) fn json(body: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(body).map_err(|error| StoreError::Invalid(format!("this cannot be written as JSON: {error}")))
}

/// The body that a JSON text holds.
pub(super) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn unexpected(wanted: &str, found: Option<&Cell>) -> StoreError {
    let found = match found {
        None => "no column",
        Some(Cell::Null) => "nothing",
        Some(Cell::Int(_)) => "a number",
        Some(Cell::Text(_)) => "text",
    };
    StoreError::Corrupt(format!("the catalog's tables hold {found} where {wanted} belongs"))
}

impl From<i64> for Bind {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

/// Callers may compare with any number; none that is stored is larger than the column.
impl From<u64> for Bind {
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<usize> for Bind {
    fn from(value: usize) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Bind {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.0))
    }
}

impl From<Option<Timestamp>> for Bind {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(|instant| instant.0))
    }
}

impl From<Option<u16>> for Bind {
    fn from(value: Option<u16>) -> Self {
        Self::Int(value.map(i64::from))
    }
}

impl From<&str> for Bind {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Bind {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Bind {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<&Key> for Bind {
    fn from(value: &Key) -> Self {
        Self::from(value.as_str())
    }
}

impl From<&Id> for Bind {
    fn from(value: &Id) -> Self {
        Self::from(value.as_str())
    }
}
