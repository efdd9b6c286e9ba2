//! How far the evidence reaches: per node, everything admitted up to an instant is visible.

use std::collections::BTreeMap;

use liftgate_evaluator::Timestamp;
use serde::{Deserialize, Serialize};

/// One node's mark.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct NodeMark {
    /// The log's epoch.
    pub epoch: u64,
    /// The last visible batch.
    pub sequence: u64,
    /// Everything received up to here is visible.
    pub received_at: Timestamp,
}

/// The marks of all nodes that have written.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Watermark {
    /// By node id, in a fixed order.
    pub nodes: BTreeMap<String, NodeMark>,
}

impl Watermark {
    /// The instant up to which every node's events are visible; `None` before any node has written.
    pub fn time(&self) -> Option<Timestamp> {
        self.nodes.values().map(|mark| mark.received_at).min()
    }

    /// Leaves only the mark of this node; without one nothing changes.
    pub fn retain_only(&mut self, node: &str) {
        if self.nodes.contains_key(node) {
            self.nodes.retain(|other, _| other == node);
        }
    }

    /// Moves one node's mark forward; it never goes back.
    pub fn advance(&mut self, node: &str, mark: NodeMark) {
        let entry = self.nodes.entry(node.to_owned()).or_default();
        if (mark.epoch, mark.sequence, mark.received_at) > (entry.epoch, entry.sequence, entry.received_at) {
            *entry = NodeMark { received_at: mark.received_at.max(entry.received_at), ..mark };
        }
    }
}
