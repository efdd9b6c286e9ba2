//! One start of a rollout or experiment. Its history alone says which arm any unit was in at any instant.

use liftgate_evaluator::{Key, run::RunHistory};
use serde::{Deserialize, Serialize};

use crate::Scope;

/// A stored run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The environment it runs in.
    pub scope: Scope,
    /// That environment's number, under which the warehouse keeps its rows.
    pub environment: u64,
    /// The flag that it moves.
    pub flag: Key,
    /// 1 for the first start, plus one with every resume after a rollback.
    pub attempt: u32,
    /// Number, kind, salt, design, and stages with their shares and instants.
    pub history: RunHistory,
}

impl Run {
    /// The run's number: unique, never reused.
    pub fn number(&self) -> u64 {
        self.history.number
    }
}
