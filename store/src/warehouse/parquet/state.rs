//! What the warehouse holds, and how appending changes it in one step that readers see whole.
//!
//! Locks, never held across an await: `state` for instants (exchange a snapshot), `writing` for whole flushes,
//! `compacting` for whole merges. Who needs several takes them in the order `compacting`, `writing`, `state`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::{NodeMark, SealedBatch, StoreError, Watermark};
use tokio::sync::watch;

use super::manifest::Manifest;
use super::options::ParquetOptions;
use super::snapshot::{Snapshot, TailBatch};
use crate::warehouse::sequences::Sequences;

/// How many times `flush_rows` the tail may hold before appending waits for a flush.
const TAIL_FLUSHES_MAX: usize = 2;

pub(super) type BatchSets = BTreeMap<(Arc<str>, u64), Sequences>;

/// Everything that the warehouse's own threads share.
pub(super) struct Inner {
    pub(super) dir: PathBuf,
    pub(super) options: ParquetOptions,
    pub(super) state: Mutex<State>,
    pub(super) evidence: watch::Sender<Watermark>,
    /// Held by whoever changes which files count.
    pub(super) writing: Mutex<Manifest>,
    /// Held by whoever merges files.
    pub(super) compacting: Mutex<()>,
    pub(super) flush_is_due: AtomicBool,
    pub(super) closing: AtomicBool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) tail_rows: usize,
    pub(super) appended: BatchSets,
    pub(super) durable: BatchSets,
    /// The marks of the last manifest record.
    pub(super) durable_marks: Watermark,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().snapshot)
    }

    pub(super) fn is_known(&self, batch: &SealedBatch) -> bool {
        let source = (Arc::clone(&batch.node), batch.epoch);
        self.state().appended.get(&source).is_some_and(|known| known.contains(batch.sequence))
    }

    pub(super) fn tail_is_full(&self) -> bool {
        self.state().tail_rows > self.options.flush_rows.saturating_mul(TAIL_FLUSHES_MAX)
    }

    pub(super) fn should_flush(&self, newest: &SealedBatch) -> bool {
        let state = self.state();
        let age_max_us = i64::try_from(self.options.flush_after_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let oldest = state.snapshot.tail.iter().map(|batch| batch.received_through).min();
        state.tail_rows >= self.options.flush_rows
            || oldest.is_some_and(|oldest| newest.received_through.micros_since(oldest) >= age_max_us)
    }

    /// Makes a batch with rows visible.
    pub(super) fn append(&self, batch: &SealedBatch) -> Result<(), StoreError> {
        let laid_out = Arc::new(TailBatch::of(batch)?);
        let source = (Arc::clone(&batch.node), batch.epoch);
        let mut state = self.state();
        if state.appended.entry(source.clone()).or_default().insert(batch.sequence) {
            state.tail_rows += laid_out.rows;
            let snapshot = Arc::make_mut(&mut state.snapshot);
            snapshot.tail.push(laid_out);
            snapshot.sources.insert(source);
            snapshot.generation += 1;
        }
        self.advance_in(&mut state, batch);
        Ok(())
    }

    pub(super) fn advance(&self, batch: &SealedBatch) {
        self.advance_in(&mut self.state(), batch);
    }

    /// Moves the watermark, in the same step that made the rows visible.
    fn advance_in(&self, state: &mut State, batch: &SealedBatch) {
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        self.mark_in(state, |watermark| watermark.advance(&batch.node, mark));
    }

    /// The next manifest record says so too.
    pub(super) fn retire_other_nodes(&self, node: &str) {
        self.mark_in(&mut self.state(), |watermark| watermark.retain_only(node));
    }

    fn mark_in(&self, state: &mut State, change: impl FnOnce(&mut Watermark)) {
        let mut changed = state.snapshot.watermark.clone();
        change(&mut changed);
        if changed == state.snapshot.watermark {
            return;
        }
        Arc::make_mut(&mut state.snapshot).watermark = changed.clone();
        self.evidence.send_replace(changed);
    }
}
