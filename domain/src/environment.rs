//! The body of an environment: what an evaluation there needs beside flags.

use liftgate_evaluator::UnitType;
use serde::{Deserialize, Serialize};

use crate::Span;

/// An environment's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Types of units beside `user`, and the attribute each is read from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_types: Vec<UnitType>,
    /// How long after a window closes an event may still arrive and count in a decision.
    #[serde(default = "default_lateness")]
    pub lateness: Span,
    /// Whether a bulk evaluation emits exposures, as a single one does.
    #[serde(default)]
    pub bulk_exposures: bool,
    /// What identity keys are hashed with; set once when the environment is created and never changed.
    #[serde(default)]
    pub hash_key: String,
}

/// Fifteen minutes unless the environment says otherwise.
fn default_lateness() -> Span {
    Span::from_ms(15 * 60 * 1_000)
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            name: None,
            unit_types: Vec::new(),
            lateness: default_lateness(),
            bulk_exposures: false,
            hash_key: String::new(),
        }
    }
}
