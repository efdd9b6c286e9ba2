//! Why a rollout could not be looked at, or a command not be carried out.

use liftgate_domain::StoreError;
use thiserror::Error;

/// An error of the scheduler.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The catalog answered with an error; a conflict is somebody else's step and is decided again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The frozen policy cannot be read; an operator must look.
    #[error("policy of rollout `{rollout}` cannot be read: {message}")]
    Policy {
        /// The rollout's key.
        rollout: String,
        /// What the reader said.
        message: String,
    },
    /// The rule that a rollout owns is not there, or is not its ramp any more.
    #[error("flag `{flag}` has no rule `{rule}` that ramps this rollout")]
    RuleGone {
        /// The flag.
        flag: String,
        /// The rule.
        rule: String,
    },
    /// A row that must exist does not.
    #[error("{0} is missing from the catalog")]
    Missing(String),
}

/// Why a command was not carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The thing named is not there.
    #[error("{what} not found")]
    NotFound {
        /// The thing, such as "rollout `checkout`".
        what: String,
    },
    /// The present state does not allow it.
    #[error("{what}")]
    Conflict {
        /// Why, and what would allow it.
        what: String,
    },
    /// The request can never succeed as it is.
    #[error("`{field}`: {message}")]
    Invalid {
        /// The field, such as `policy.stages[2].share`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The catalog or warehouse answered with an error.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what } => {
                Self::Conflict { what: format!("{what} was changed by somebody else; read it again and retry") }
            }
            StoreError::NotFound { what } => Self::NotFound { what },
            other => Self::Store(other),
        }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Policy { .. } => Self::Invalid { field: "policy".to_owned(), message: error.to_string() },
            Error::RuleGone { .. } => Self::Conflict { what: error.to_string() },
            Error::Missing(what) => Self::NotFound { what },
        }
    }
}
