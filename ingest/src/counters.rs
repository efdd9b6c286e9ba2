//! What this node has counted since it opened: the ledger that `accepted + recovered = stored + pending` is checked by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// A reading of the counters. All but `pending`, `log_bytes` and `last_fsync_us` only grow while the node is open.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events made durable, server-side exposures included.
    pub accepted: u64,
    /// Events answered as duplicates.
    pub duplicates: u64,
    /// Events answered as rejected.
    pub rejected: u64,
    /// Events set aside as implausible. This version rejects them instead.
    pub quarantined: u64,
    /// Rows that the warehouse has taken, recovered ones included.
    pub stored: u64,
    /// Rows that are durable here and not yet in the warehouse.
    pub pending: u64,
    /// Server-side exposures that went into the queue.
    pub exposures_sent: u64,
    /// Server-side exposures lost: to a full queue, or because they could not be logged.
    pub exposures_dropped: u64,
    /// Server-side exposures that repeat one sent before.
    pub exposures_deduplicated: u64,
    /// Exposures of clients that no run explains.
    pub unattributable: u64,
    /// Bytes of log that are not released.
    pub log_bytes: u64,
    /// Batches sealed.
    pub batches_sealed: u64,
    /// How long the last sync of the log took, in microseconds.
    pub last_fsync_us: u64,
    /// Damaged stretches found in the log.
    pub damaged_frames: u64,
}

/// The cells behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Cells {
    pub accepted: AtomicU64,
    pub duplicates: AtomicU64,
    pub rejected: AtomicU64,
    pub stored: AtomicU64,
    pub pending: AtomicU64,
    pub exposures_sent: AtomicU64,
    pub exposures_dropped: AtomicU64,
    pub exposures_deduplicated: AtomicU64,
    pub unattributable: AtomicU64,
    pub log_bytes: AtomicU64,
    pub batches_sealed: AtomicU64,
    pub last_fsync_us: AtomicU64,
    pub damaged_frames: AtomicU64,
    dropped_by_run: Mutex<HashMap<(u64, u64), u64>>,
}

/// Adds to a cell.
pub(crate) fn add(cell: &AtomicU64, n: usize) {
    cell.fetch_add(n as u64, Ordering::Relaxed);
}

/// Takes from a gauge.
pub(crate) fn sub(cell: &AtomicU64, n: usize) {
    cell.fetch_sub(n as u64, Ordering::Relaxed);
}

impl Cells {
    /// Reads every cell. Under load the cells are read one after another, not at one instant.
    pub(crate) fn read(&self) -> Counters {
        let get = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counters {
            accepted: get(&self.accepted),
            duplicates: get(&self.duplicates),
            rejected: get(&self.rejected),
            quarantined: 0,
            stored: get(&self.stored),
            pending: get(&self.pending),
            exposures_sent: get(&self.exposures_sent),
            exposures_dropped: get(&self.exposures_dropped),
            exposures_deduplicated: get(&self.exposures_deduplicated),
            unattributable: get(&self.unattributable),
            log_bytes: get(&self.log_bytes),
            batches_sealed: get(&self.batches_sealed),
            last_fsync_us: get(&self.last_fsync_us),
            damaged_frames: get(&self.damaged_frames),
        }
    }

    pub(crate) fn count_dropped(&self, environment: u64, run: u64) {
        add(&self.exposures_dropped, 1);
        *self.by_run().entry((environment, run)).or_default() += 1;
    }

    pub(crate) fn dropped(&self, environment: u64, run: u64) -> u64 {
        self.by_run().get(&(environment, run)).copied().unwrap_or(0)
    }

    fn by_run(&self) -> MutexGuard<'_, HashMap<(u64, u64), u64>> {
        // A count is whole at every point, so a panic elsewhere cannot have left it half written.
        self.dropped_by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
