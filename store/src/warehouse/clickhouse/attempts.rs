//! Which batches an insert was begun for, without an answer that says it is stored. Pure bookkeeping.
//!
//! The name of an insert protects against storing it twice, not against losing it: a server that dies, or whose disk
//! fails, between remembering the name and keeping the rows takes every repetition for known. So after any doubt the rows
//! themselves are looked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use liftgate_domain::{SealedBatch, Timestamp};

/// Inserts that may have been begun before.
#[derive(Debug)]
pub(super) struct Attempts {
    /// What was received until then may have been tried by a process before this one.
    began_at: Timestamp,
    /// Begun by this process and not known to be stored, by node, epoch and sequence.
    unanswered: BTreeSet<(Arc<str>, u64, u64)>,
}

impl Attempts {
    /// Nothing is tried yet by this process, which began then.
    pub(super) fn since(began_at: Timestamp) -> Self {
        Self { began_at, unanswered: BTreeSet::new() }
    }

    /// An insert of the batch begins. Whether one may have begun before.
    pub(super) fn begin(&mut self, batch: &SealedBatch) -> bool {
        let is_first = self.unanswered.insert((batch.node.clone(), batch.epoch, batch.sequence));
        !is_first || batch.received_through <= self.began_at
    }

    /// The rows of the batch are stored.
    pub(super) fn stored(&mut self, batch: &SealedBatch) {
        self.unanswered.remove(&(batch.node.clone(), batch.epoch, batch.sequence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_without_an_answer_or_by_an_earlier_process_is_in_doubt() {
        let batch = |sequence, through| SealedBatch {
            node: "a".into(),
            epoch: 1,
            sequence,
            received_through: Timestamp(through),
            rows: Vec::new(),
        };
        let mut attempts = Attempts::since(Timestamp(100));
        assert!(attempts.begin(&batch(1, 100)), "received before this process began");
        assert!(!attempts.begin(&batch(2, 101)));
        assert!(attempts.begin(&batch(2, 101)), "begun, and no answer came");
        attempts.stored(&batch(2, 101));
        assert!(!attempts.begin(&batch(2, 101)), "answered since");
    }
}
