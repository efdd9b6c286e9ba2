//! The two dialects of reasons: what a flag says that answers the default of its environment.

use serde::{Deserialize, Serialize};

/// Which words a flag uses that got no override and no split.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reasons {
    /// Version 10 of their engine: always `DEFAULT`.
    V10,
    /// Version 11: `STATIC` when no segment overrides the feature, `DEFAULT` when some do and none matched.
    #[default]
    V11,
}

/// The reason of a flag on a cycle of `$.flags` conditions.
pub(crate) const CIRCULAR_DEPENDENCY: &str = "ERROR; code=CIRCULAR_DEPENDENCY";
/// The reason of a flag on a chain of `$.flags` conditions that is longer than this engine follows.
pub(crate) const DEPENDENCY_TOO_DEEP: &str = "ERROR; code=DEPENDENCY_TOO_DEEP";

/// Whether some segment overrides a feature.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Targeting {
    Some,
    None,
}

impl Reasons {
    pub(crate) const fn fallback(self, targeting: Targeting) -> &'static str {
        match (self, targeting) {
            (Self::V11, Targeting::None) => "STATIC",
            _ => "DEFAULT",
        }
    }
}
