//! What is wrong with a flag or segment, and where: all of it at once, for an editor to show beside the fields.

use serde::{Deserialize, Serialize};

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The field, such as `rules[0].serve.split.ranges`; empty when it is about the whole.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// The path of a field within what is at `place`.
pub(crate) fn below(place: &str, path: &str) -> String {
    if path.is_empty() { place.to_owned() } else { format!("{place}.{path}") }
}

/// Problems in one line, for an error message.
pub(crate) fn one_line(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
