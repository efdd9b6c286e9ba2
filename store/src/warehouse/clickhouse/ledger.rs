//! Which batches are in the tables, which of them are recorded as such, and how far the evidence reaches. Pure
//! bookkeeping: it neither asks nor writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_domain::{NodeMark, SealedBatch, Timestamp, Watermark};

use crate::warehouse::sequences::Sequences;

/// How far a node's mark may be behind the newest before it is called out, in milliseconds.
const BEHIND_MS_MAX: i64 = 600_000;

/// A batch whose rows are stored, on its way into the table `batches`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Confirmed {
    pub(super) received_through: Timestamp,
    pub(super) rows: u64,
}

/// By node, epoch and sequence.
pub(super) type ConfirmedBatches = BTreeMap<(Arc<str>, u64, u64), Confirmed>;

/// What this process knows.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Marks of what this process has appended: visible, though perhaps not yet recorded.
    own: Watermark,
    /// Marks as the table `marks` had them when it was last read.
    recorded: Watermark,
    /// Batches in the table `batches`.
    durable: BTreeMap<(Arc<str>, u64), Sequences>,
    /// Not yet in the table `batches`.
    pending: ConfirmedBatches,
    /// Marks that are not yet in the table `marks`, by node.
    unrecorded: BTreeMap<String, NodeMark>,
}

/// What is to be recorded next.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    pub(super) batches: ConfirmedBatches,
    pub(super) marks: BTreeMap<String, NodeMark>,
}

impl Ledger {
    /// Whether the rows of the batch are known to be stored.
    pub(super) fn has(&self, node: &Arc<str>, epoch: u64, sequence: u64) -> bool {
        self.pending.contains_key(&(node.clone(), epoch, sequence))
            || self.durable.get(&(node.clone(), epoch)).is_some_and(|durable| durable.contains(sequence))
    }

    /// The rows of a batch are visible; of a batch without rows, what its node admitted until then is.
    pub(super) fn appended(&mut self, batch: &SealedBatch, rows: u64) {
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        let before = self.own.nodes.get(&*batch.node).copied();
        self.own.advance(&batch.node, mark);
        let now = self.own.nodes.get(&*batch.node).copied();
        if let Some(mark) = now.filter(|_| now != before) {
            self.unrecorded.insert(batch.node.to_string(), mark);
        }
        if rows > 0 && !self.has(&batch.node, batch.epoch, batch.sequence) {
            let confirmed = Confirmed { received_through: batch.received_through, rows };
            self.pending.insert((batch.node.clone(), batch.epoch, batch.sequence), confirmed);
        }
    }

    /// What is to be recorded; it stays here until [`Ledger::record`] says that it was.
    pub(super) fn unrecorded(&self) -> Unrecorded {
        Unrecorded { batches: self.pending.clone(), marks: self.unrecorded.clone() }
    }

    /// These batches and marks are in their tables now.
    pub(super) fn record(&mut self, recorded: &Unrecorded) {
        for (node, epoch, sequence) in recorded.batches.keys() {
            self.pending.remove(&(node.clone(), *epoch, *sequence));
            self.durable.entry((node.clone(), *epoch)).or_default().insert(*sequence);
        }
        for (node, mark) in &recorded.marks {
            self.unrecorded.retain(|other, newest| other != node || newest != mark);
            self.recorded.advance(node, *mark);
        }
    }

    /// Batches that the table `batches` has, `first..=last`.
    pub(super) fn found(&mut self, node: &str, epoch: u64, first: u64, last: u64) {
        self.durable.entry((Arc::from(node), epoch)).or_default().insert_range(first, last);
    }

    /// The marks that the table `marks` has. A node that is no longer in it is gone.
    pub(super) fn read(&mut self, marks: Watermark) {
        self.recorded = marks;
    }

    /// The marks that are in the table `marks`.
    pub(super) fn recorded(&self) -> &Watermark {
        &self.recorded
    }

    /// How far the evidence reaches.
    pub(super) fn watermark(&self) -> Watermark {
        let mut watermark = self.recorded.clone();
        for (node, mark) in &self.own.nodes {
            watermark.advance(node, *mark);
        }
        watermark
    }

    /// See [`liftgate_domain::Warehouse::durable_through`].
    pub(super) fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        self.durable.get(&(Arc::from(node), epoch)).map_or(0, Sequences::through)
    }

    /// Whether the batch is recorded as stored.
    pub(super) fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        self.durable.get(&(Arc::from(node), epoch)).is_some_and(|durable| durable.contains(sequence))
    }

    /// The node is gone for good.
    pub(super) fn forget(&mut self, node: &str) {
        self.own.nodes.remove(node);
        self.recorded.nodes.remove(node);
        self.unrecorded.remove(node);
    }
}

/// The node that holds the watermark back, when it is far behind the newest mark.
pub(super) fn straggler(watermark: &Watermark) -> Option<&str> {
    let newest = watermark.nodes.values().map(|mark| mark.received_at).max()?;
    let (node, mark) = watermark.nodes.iter().min_by_key(|(_, mark)| mark.received_at)?;
    (mark.received_at.plus_millis(BEHIND_MS_MAX) < newest).then_some(node.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(node: &str, sequence: u64, through: i64) -> SealedBatch {
        SealedBatch { node: node.into(), epoch: 1, sequence, received_through: Timestamp(through), rows: vec![] }
    }

    #[test]
    fn a_batch_is_durable_once_recorded_and_visible_before() {
        let mut ledger = Ledger::default();
        ledger.appended(&batch("a", 1, 10), 5);
        assert_eq!(ledger.watermark().time(), Some(Timestamp(10)));
        assert!(ledger.has(&"a".into(), 1, 1) && !ledger.is_durable("a", 1, 1));
        let first = ledger.unrecorded();
        ledger.appended(&batch("a", 2, 20), 5);
        ledger.record(&first);
        assert!(ledger.is_durable("a", 1, 1) && !ledger.is_durable("a", 1, 2));
        let second = ledger.unrecorded();
        assert_eq!((second.batches.len(), second.marks["a"].received_at), (1, Timestamp(20)));
        ledger.record(&second);
        assert_eq!(ledger.durable_through("a", 1), 2);
        assert!(ledger.unrecorded().batches.is_empty() && ledger.unrecorded().marks.is_empty());
    }

    #[test]
    fn the_watermark_is_that_of_all_nodes_and_forgets_who_is_gone() {
        let mut ledger = Ledger::default();
        let mark = |at| NodeMark { epoch: 1, sequence: 1, received_at: Timestamp(at) };
        ledger.read(Watermark { nodes: [("a".to_owned(), mark(3)), ("b".to_owned(), mark(5))].into() });
        ledger.appended(&batch("a", 1, 9), 0);
        assert_eq!(ledger.watermark().time(), Some(Timestamp(5)));
        ledger.read(Watermark { nodes: [("a".to_owned(), mark(3))].into() });
        assert_eq!(ledger.watermark().nodes, [("a".to_owned(), mark(9))].into());
        ledger.forget("a");
        assert_eq!(ledger.watermark().time(), None);
    }

    #[test]
    fn the_same_batch_again_is_not_recorded_again() {
        let mut ledger = Ledger::default();
        ledger.found("a", 1, 1, 4);
        ledger.appended(&batch("a", 3, 30), 5);
        assert!(ledger.unrecorded().batches.is_empty());
        assert_eq!((ledger.durable_through("a", 1), ledger.is_durable("a", 2, 3)), (4, false));
    }

    #[test]
    fn a_node_far_behind_the_newest_is_named() {
        let mark = |ms: i64| NodeMark { received_at: Timestamp(ms * 1_000), ..NodeMark::default() };
        for (a, b, named) in [(0, 600_000, None), (0, 600_001, Some("a")), (900_000, 1, Some("b"))] {
            let nodes = [("a".to_owned(), mark(a)), ("b".to_owned(), mark(b))].into();
            assert_eq!(straggler(&Watermark { nodes }), named, "{a} {b}");
        }
        assert_eq!(straggler(&Watermark::default()), None);
    }
}
