//! The body of a metric: which events it reads and what it makes of them, unit by unit.

use liftgate_stats::{Direction, Outcome};
use serde::{Deserialize, Serialize};

use crate::Span;

/// How the events of one unit become one value.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// 1 when the unit has at least one event in its window, else 0.
    Proportion,
    /// The sum of the value over the unit's events in its window; 0 without any.
    Mean,
    /// How many events the unit has in its window.
    Count,
}

impl MetricKind {
    /// How the statistics treat the unit values.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Proportion => Outcome::Binary,
            Self::Mean | Self::Count => Outcome::Mean,
        }
    }
}

/// A metric's definition. Immutable once a run has pinned it: an edit makes a new revision for later runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How events become a value.
    pub kind: MetricKind,
    /// The event it reads.
    pub event: String,
    /// The numeric property that is summed; the event's own `value` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Attribution window, from a unit's first exposure (inclusive).
    pub window: Span,
    /// Which way is better.
    pub direction: Direction,
}
