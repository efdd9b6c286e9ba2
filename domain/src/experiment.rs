//! The body of an experiment: a split of one flag, what it hopes to move and what it must not harm.

use std::collections::BTreeMap;

use liftgate_evaluator::{Key, Share, Timestamp};
use serde::{Deserialize, Serialize};

/// An experiment's definition and, once started, its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The flag that it splits.
    pub flag: Key,
    /// The unit that is randomized and analysed.
    #[serde(default = "default_unit")]
    pub unit: String,
    /// The share of units that take part.
    #[serde(default = "full")]
    pub coverage: Share,
    /// Whole weights by variation key.
    pub arms: BTreeMap<String, u32>,
    /// The arm that the others are compared with.
    pub control: String,
    /// Metrics that decide success.
    pub success: Vec<Key>,
    /// Metrics that are shown beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<Key>,
    /// Two-sided error of the readout's intervals.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The run's number, once started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
}

fn default_unit() -> String {
    "user".to_owned()
}

fn full() -> Share {
    Share::FULL
}

fn default_alpha() -> f64 {
    0.05
}
