//! What goes wrong in an engine, and what it means to the caller.

use liftgate_domain::StoreError;
use sqlx::error::DatabaseError;

/// SQLite's primary result codes that have an answer of their own.
mod sqlite_code {
    pub const BUSY: i32 = 5;
    pub const LOCKED: i32 = 6;
    pub const READONLY: i32 = 8;
    pub const CORRUPT: i32 = 11;
    pub const FULL: i32 = 13;
    pub const CANTOPEN: i32 = 14;
    pub const NOTADB: i32 = 26;
}

/// An engine's error, or an answer that was decided above it.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Engine(error) => explain(error),
            Failure::Store(error) => error,
        }
    }
}

impl Failure {
    /// Whether PostgreSQL ended the transaction because of another one, so that the same transaction may now succeed.
    pub fn is_lost_race(&self) -> bool {
        let Self::Engine(sqlx::Error::Database(error)) = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether SQLite found the file locked by another connection, so that trying again may succeed.
    pub fn is_busy(&self) -> bool {
        let Self::Engine(sqlx::Error::Database(error)) = self else {
            return false;
        };
        let code = error.code().unwrap_or_default();
        code.len() < 5
            && code.parse::<i32>().is_ok_and(|code| matches!(code & 0xFF, sqlite_code::BUSY | sqlite_code::LOCKED))
    }
}

/// An engine's error in the words of the port. Statements and values never appear in it.
pub(super) fn explain(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => explain_database(error.as_ref()),
        sqlx::Error::Configuration(error) => StoreError::Invalid(format!("the catalog's URL cannot be used: {error}")),
        sqlx::Error::PoolTimedOut => {
            StoreError::Unavailable("no connection to the catalog became free in time".to_owned())
        }
        error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => StoreError::Corrupt(error.to_string()),
        error => StoreError::Unavailable(error.to_string()),
    }
}

fn explain_database(error: &dyn DatabaseError) -> StoreError {
    if error.is_unique_violation() {
        // The statements look before they write, so only a writer of another organization can have come first.
        return StoreError::Conflict { what: "a name or id in this change".to_owned() };
    }
    let code = error.code().unwrap_or_default();
    match code.parse::<i32>() {
        // PostgreSQL's codes have five characters, SQLite's extended ones at most four digits.
        Ok(number) if code.len() < 5 => explain_sqlite(number & 0xFF, error.message()),
        _ => explain_postgres(&code, error.message()),
    }
}

fn explain_sqlite(code: i32, message: &str) -> StoreError {
    match code {
        sqlite_code::READONLY => StoreError::Unavailable(
            "the catalog's database file cannot be written; give the user that runs liftgate write permission to the \
             file and to its folder"
                .to_owned(),
        ),
        sqlite_code::CANTOPEN => StoreError::Unavailable(
            "the catalog's database file cannot be opened; give the user that runs liftgate read and write permission \
             to the file and to its folder"
                .to_owned(),
        ),
        sqlite_code::FULL => StoreError::Unavailable("the disk of the catalog's database file is full".to_owned()),
        sqlite_code::BUSY | sqlite_code::LOCKED => StoreError::Unavailable(
            "another process keeps the catalog's database file locked; stop it, or use PostgreSQL for several nodes"
                .to_owned(),
        ),
        sqlite_code::CORRUPT | sqlite_code::NOTADB => StoreError::Corrupt(format!(
            "the catalog's database file cannot be read as SQLite ({message}); restore it from a backup"
        )),
        _ => StoreError::Unavailable(format!("SQLite: {message}")),
    }
}

fn explain_postgres(code: &str, message: &str) -> StoreError {
    match code {
        "3D000" => StoreError::Invalid(format!("PostgreSQL: {message}; create it, or name another one in the URL")),
        "42501" => StoreError::Invalid(format!("PostgreSQL: {message}; grant it to the user in the URL")),
        "XX001" | "XX002" => StoreError::Corrupt(format!("PostgreSQL: {message}")),
        _ if code.starts_with("28") => {
            StoreError::Invalid(format!("PostgreSQL: {message}; check user and password in the URL"))
        }
        _ => StoreError::Unavailable(format!("PostgreSQL: {message}")),
    }
}
