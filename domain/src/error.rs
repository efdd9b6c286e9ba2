//! What a port can answer instead of a result; each variant says what the caller can do about it.

use thiserror::Error;

/// An error of a catalog or a warehouse.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else wrote first: read again and decide again.
    #[error("{what} was changed by somebody else; read it again and retry")]
    Conflict {
        /// The thing, such as "flag state `new-checkout`".
        what: String,
    },
    /// A thing that must exist does not.
    #[error("{what} not found")]
    NotFound {
        /// The thing, such as "project `shop`".
        what: String,
    },
    /// A thing with this name exists already.
    #[error("{what} exists already")]
    Exists {
        /// The thing, such as "project `shop`".
        what: String,
    },
    /// The request can never succeed as it is.
    #[error("{0}")]
    Invalid(String),
    /// The engine is away or out of room; try again later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read back; an operator must look.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
}
