//! What is wrong with a request, and where.

/// A field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {message}")]
pub struct FieldError {
    /// Its path, such as `arms[1].variance`; `.` for the request as a whole.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl FieldError {
    /// A fault of this field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same fault of a field that lies deeper.
    #[must_use]
    pub fn inside(mut self, parent: &str) -> Self {
        self.field = if self.field == "." { parent.to_owned() } else { format!("{parent}.{}", self.field) };
        self
    }
}
