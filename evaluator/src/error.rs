//! What the constructors and the wire form refuse. Problems of a whole flag are [`crate::Problem`]s instead,
//! because an editor wants all of them at once.

/// A value that this crate does not accept. Every variant means: correct the input and try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that is not a key.
    #[error("`{0}` is not a key: use 1 to 128 of a-z, 0-9, `_`, `.` and `-`, beginning with a letter or a digit")]
    Key(String),
    /// A share outside 0 % to 100 %, finer than 0.001 %, or not a percentage at all.
    #[error("`{0}` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`")]
    Share(String),
    /// Text that is not an RFC 3339 time.
    #[error("`{0}` is not a time: use RFC 3339, such as `2026-03-01T09:00:00Z`")]
    Timestamp(String),
    /// Weights that cannot be turned into ranges.
    #[error("weights are not usable: {0}")]
    Weights(String),
    /// Ranges that do not tile the bucket line.
    #[error("ranges are not usable: {0}")]
    Ranges(String),
    /// A condition whose form is not one of the known ones.
    #[error("condition is not usable: {0}")]
    Condition(String),
    /// A prerequisite whose form is not one of the known ones.
    #[error("prerequisite is not usable: {0}")]
    Prerequisite(String),
    /// A `serve` whose form is not one of the known ones.
    #[error("serve is not usable: {0}")]
    Serve(String),
    /// Text that is not a ruleset: its JSON is broken, or a part that no flag can do without.
    #[error("the ruleset cannot be read at `{path}`, line {line}, column {column}: {message}")]
    Ruleset {
        /// The field, such as `flags[3].flag.key`; `.` is the whole.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in bytes; 0 at the very beginning of a line.
        column: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A variation that cannot be forced.
    #[error("flag `{flag}` cannot be forced: {message}")]
    Forced {
        /// The key of the flag.
        flag: String,
        /// Why, and what would do.
        message: String,
    },
}
