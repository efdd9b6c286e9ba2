//! One link of a rollout's chain of decision records.

use liftgate_evaluator::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Id;

/// A decision as stored. The body is the scheduler's record in canonical JSON, kept as text so that not one bit moves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The rollout decided about.
    pub rollout: Id,
    /// 1, 2, 3 ... without gaps.
    pub seq: u64,
    /// When it was decided, by the catalog's clock.
    pub at: Timestamp,
    /// What was decided: `start`, `advance`, `hold`, `rollback`, `complete`, `pause`, `resume`, `cancel`.
    pub verdict: String,
    /// The whole record.
    pub body: String,
    /// Hash of the record before; empty for the first.
    pub previous_hash: String,
    /// SHA-256 over the previous hash and the body, in hex.
    pub hash: String,
}
