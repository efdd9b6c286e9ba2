//! What is wrong with a question, by field, and what to write instead.

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PowerError {
    /// A field is needed that is not there.
    #[error("`{field}` is missing: {instead}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// A number that makes no sense there.
    #[error("`{field}` is {}: {instead}", shown(*found))]
    Unusable {
        /// The field.
        field: &'static str,
        /// What it says.
        found: f64,
        /// What to write.
        instead: &'static str,
    },
    /// A field that contradicts or does nothing beside the others.
    #[error("`{field}` does not belong here: {instead}")]
    Misplaced {
        /// The field.
        field: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// No experiment of this world is that large.
    #[error("`{field}` is so small that 10^15 units an arm would not show it: write a larger one")]
    OutOfReach {
        /// The field: `effect` or `margin`.
        field: &'static str,
    },
}

impl PowerError {
    /// The field to change.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Missing { field, .. }
            | Self::Unusable { field, .. }
            | Self::Misplaced { field, .. }
            | Self::OutOfReach { field } => field,
        }
    }
}

/// Plain digits for numbers of everyday size, an exponent instead of hundreds of digits for others.
fn shown(number: f64) -> String {
    let is_everyday = number == 0.0 || (1e-6..1e15).contains(&number.abs());
    if is_everyday { number.to_string() } else { format!("{number:e}") }
}
