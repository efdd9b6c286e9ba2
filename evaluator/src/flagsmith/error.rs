//! What is refused of a context or document, and where.

/// Text that cannot be read. Correct the field that `path` names and try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Error {
    /// The field, such as `segments.4267.rules[0].type`; `.` is the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}
