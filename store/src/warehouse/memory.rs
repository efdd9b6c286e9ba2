//! The oracle's warehouse: every batch in a list, every question a fold over all of them. Nothing survives the
//! process; `flush` only says so much as a durable engine would, so that those who wait for it can be tested.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use liftgate_domain::{
    EventCounts, MomentsAnswer, MomentsQuery, NodeMark, SealedBatch, StoreError, Warehouse, Watermark,
};
use tokio::sync::watch;

use super::{definition, sequences::Sequences};

/// A warehouse in memory, obviously right and slow.
#[derive(Debug, Default)]
pub struct MemoryWarehouse {
    state: Mutex<State>,
    evidence: watch::Sender<Watermark>,
}

#[derive(Debug, Default)]
struct State {
    batches: Vec<Arc<SealedBatch>>,
    appended: BTreeMap<(Arc<str>, u64), Sequences>,
    flushed: BTreeMap<(Arc<str>, u64), Sequences>,
}

impl MemoryWarehouse {
    /// An empty warehouse.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single push or insert: a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batches and the watermark that covers exactly them.
    fn snapshot(&self) -> (Vec<Arc<SealedBatch>>, Watermark) {
        let state = self.state();
        (state.batches.clone(), self.evidence.borrow().clone())
    }
}

#[async_trait]
impl Warehouse for MemoryWarehouse {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        let mut state = self.state();
        let source = (batch.node.clone(), batch.epoch);
        if !batch.rows.is_empty() && state.appended.entry(source).or_default().insert(batch.sequence) {
            state.batches.push(without_repeats(&batch));
        }
        self.evidence.send_if_modified(|watermark| advance(watermark, &batch));
        Ok(())
    }

    fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        self.state().flushed.get(&(Arc::from(node), epoch)).map_or(0, Sequences::through)
    }

    fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        self.state().flushed.get(&(Arc::from(node), epoch)).is_some_and(|flushed| flushed.contains(sequence))
    }

    fn retire_other_nodes(&self, node: &str) {
        // Under the lock, so that no question sees rows with another watermark than theirs.
        let _state = self.state();
        self.evidence.send_if_modified(|watermark| retire(watermark, node));
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.flushed = state.appended.clone();
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.evidence.subscribe()
    }

    async fn moments(&self, query: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        let (batches, watermark) = self.snapshot();
        Ok(definition::answer(&batches, &watermark, query))
    }

    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError> {
        Ok(definition::counts(&self.snapshot().0, environment))
    }
}

/// Moves the watermark; true when it moved.
fn advance(watermark: &mut Watermark, batch: &SealedBatch) -> bool {
    let before = watermark.nodes.get(&*batch.node).copied();
    let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
    watermark.advance(&batch.node, mark);
    watermark.nodes.get(&*batch.node).copied() != before
}

/// Takes the other nodes out of the watermark; true when there were any.
fn retire(watermark: &mut Watermark, node: &str) -> bool {
    let before = watermark.nodes.len();
    watermark.retain_only(node);
    watermark.nodes.len() != before
}

/// A batch is a set of events: of two rows with one identity the first is the event.
fn without_repeats(batch: &Arc<SealedBatch>) -> Arc<SealedBatch> {
    let mut seen = HashSet::new();
    let rows: Vec<_> = batch
        .rows
        .iter()
        .filter(|row| seen.insert((row.environment, &row.event_id, &row.unit_type)))
        .cloned()
        .collect();
    if rows.len() == batch.rows.len() {
        return Arc::clone(batch);
    }
    Arc::new(SealedBatch { rows, ..SealedBatch::clone(batch) })
}
