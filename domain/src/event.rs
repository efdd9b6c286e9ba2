//! What the world hears of a change.

use liftgate_evaluator::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Scope;

/// An event that a change carries, before it is numbered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventDraft {
    /// Its type, such as `rollout.rolled_back`.
    pub kind: String,
    /// Where it happened.
    pub scope: Scope,
    /// The thing's key, such as the flag's or the rollout's.
    pub subject: String,
    /// What happened, in the type's own form.
    pub data: Value,
}

/// A stored event: one row of the outbox. UNIQUE(change, index).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `evt_` + the change's id + `_` + the index within it.
    pub id: String,
    /// The sequence of the change that carried it.
    pub change_seq: u64,
    /// Its type, such as `rollout.rolled_back`.
    pub kind: String,
    /// Where it happened.
    pub scope: Scope,
    /// The thing's key.
    pub subject: String,
    /// When the change was committed.
    pub at: Timestamp,
    /// What happened.
    pub data: Value,
}
