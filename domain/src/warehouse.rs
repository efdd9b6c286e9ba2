//! The large, append-only plane: rows go in, moments come out.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{MomentsAnswer, MomentsQuery, SealedBatch, StoreError, Watermark};

/// How many events are stored; what a sender's journal is checked against.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct EventCounts {
    /// Distinct exposures.
    pub exposures: u64,
    /// Distinct metric events.
    pub metrics: u64,
    /// Rows stored beyond the distinct ones; 0 unless something counted twice.
    pub surplus: u64,
}

/// A store of event rows.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Makes a batch visible at once, all of it or none. Appending the same (node, epoch, sequence) again changes
    /// nothing. A batch without rows only moves the watermark.
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError>;

    /// The last sequence of this node and epoch up to which, without a gap, everything would survive a crash of the
    /// process and machine; 0 when none.
    fn durable_through(&self, node: &str, epoch: u64) -> u64;

    /// Whether the rows of this very batch would survive a crash of the process and machine; the log then lets go of
    /// them. Engines that know batches one by one say so even behind a gap, which is what a batch without rows leaves.
    fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        self.durable_through(node, epoch) >= sequence
    }

    /// From now on only this node's mark bounds the watermark: all others are gone for good, and would hold it back for
    /// ever. Without a mark of this node nothing changes. Engines that several nodes write to leave this as it is, a
    /// no-op: there another node's mark is the mark of one that lives.
    fn retire_other_nodes(&self, node: &str) {
        let _ = node;
    }

    /// Makes everything appended so far durable.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Follows the watermark; wakes whoever waits when there is something new.
    fn evidence(&self) -> watch::Receiver<Watermark>;

    /// Answers a question. See [`MomentsQuery`] for what counts.
    async fn moments(&self, query: &MomentsQuery) -> Result<MomentsAnswer, StoreError>;

    /// Counts the stored events of an environment.
    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError>;
}
