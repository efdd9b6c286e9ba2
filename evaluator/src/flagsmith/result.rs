//! What comes out: every flag, and the segments that the context is in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Entries;

/// The answer to a context.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationResult {
    /// One for each feature, by name, in the order of the context.
    pub flags: Entries<FlagResult>,
    /// In the order of the context.
    pub segments: Vec<SegmentResult>,
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagResult {
    /// The feature.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Text, a number, a truth value or null.
    pub value: Value,
    /// Why: `STATIC`, `DEFAULT`, `TARGETING_MATCH; segment=x`, `SPLIT; weight=w`, or `ERROR; code=c`.
    pub reason: String,
    /// The key of the variant; `control` for an identity in none of the variants; null when nothing was split, or the
    /// variant has no key.
    pub variant: Option<String>,
    /// From the feature or the override that won.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// One segment that the context is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentResult {
    /// Its name.
    pub name: String,
    /// As in the context.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}
