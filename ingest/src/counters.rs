//! What this node has counted since it opened, and how it stands: for operators. The books that must add up over restarts
//! are in `ledger`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::histogram::{Histogram, HistogramCells};

/// A reading of the counters. The first group only grows while the node is open; the second says how it stands.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Events made durable: server-side exposures and those in quarantine included.
    pub accepted: u64,
    /// Events answered as duplicates: hits of the deduplication.
    pub duplicates: u64,
    /// Events answered as rejected.
    pub rejected: u64,
    /// Events that went into quarantine.
    pub quarantined: u64,
    /// Events that left quarantine for the warehouse.
    pub replayed: u64,
    /// Events that left quarantine for good.
    pub discarded: u64,
    /// Events whose sender's clock, by `sent_at`, was more than 5 seconds off.
    pub skewed: u64,
    /// Events that the warehouse has taken, recovered ones included.
    pub stored: u64,
    /// Server-side exposures that went into the queue.
    pub exposures_sent: u64,
    /// Server-side exposures lost: to a full queue, or because they could not be logged.
    pub exposures_dropped: u64,
    /// Server-side exposures that repeat one sent before.
    pub exposures_deduplicated: u64,
    /// Exposures of clients that no run explains.
    pub unattributable: u64,
    /// Batches sealed.
    pub batches_sealed: u64,
    /// Times that the warehouse did not take a batch, or did not flush.
    pub append_failures: u64,
    /// Writes of the log that failed; their requests were refused.
    pub write_failures: u64,
    /// Requests refused because the log was full.
    pub refused_backlog: u64,
    /// Requests refused because the disk had too little room.
    pub refused_low_disk: u64,
    /// How long writing and syncing the log took.
    pub fsync: Histogram,
    /// Damaged stretches found in this node's files.
    pub damaged_frames: u64,

    /// Events that are durable here and not yet in the warehouse.
    pub pending: u64,
    /// Their rows: one for each unit of an event.
    pub pending_rows: u64,
    /// For how long the oldest of them has been waiting, at most, in milliseconds; 0 when there is none.
    pub oldest_pending_ms: u64,
    /// Requests that wait for the log's writer.
    pub write_queue: u64,
    /// Their bytes.
    pub write_queue_bytes: u64,
    /// Server-side exposures that wait to be logged.
    pub exposure_queue: u64,
    /// Sealed batches that wait for the warehouse.
    pub batch_queue: u64,
    /// Bytes of log that are not released.
    pub log_bytes: u64,
    /// The last record of the log that was released; 0 when none was.
    pub released_through: u64,
    /// How many rows the last sealed batch has.
    pub last_batch_rows: u64,
    /// How many bytes of log it has.
    pub last_batch_bytes: u64,
    /// How long the last sync of the log took, in microseconds.
    pub last_fsync_us: u64,
    /// Events in quarantine.
    pub quarantine_events: u64,
    /// How much of its room they take, in bytes.
    pub quarantine_bytes: u64,
    /// Room on the log's disk when last asked, in bytes.
    pub disk_free_bytes: u64,
}

/// The cells behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Cells {
    pub accepted: AtomicU64,
    pub duplicates: AtomicU64,
    pub rejected: AtomicU64,
    pub quarantined: AtomicU64,
    pub replayed: AtomicU64,
    pub discarded: AtomicU64,
    pub skewed: AtomicU64,
    pub stored: AtomicU64,
    pub exposures_sent: AtomicU64,
    pub exposures_dropped: AtomicU64,
    pub exposures_deduplicated: AtomicU64,
    pub unattributable: AtomicU64,
    pub batches_sealed: AtomicU64,
    pub append_failures: AtomicU64,
    pub write_failures: AtomicU64,
    pub refused_backlog: AtomicU64,
    pub refused_low_disk: AtomicU64,
    pub fsync: HistogramCells,
    pub damaged_frames: AtomicU64,
    pub pending_rows: AtomicU64,
    pub batch_queue: AtomicU64,
    pub log_bytes: AtomicU64,
    pub released_through: AtomicU64,
    pub last_batch_rows: AtomicU64,
    pub last_batch_bytes: AtomicU64,
    pub last_fsync_us: AtomicU64,
    /// What the rows of sealed batches that wait in memory take in the log.
    pub resident_bytes: AtomicU64,
    dropped_by_run: Mutex<HashMap<(u64, u64), Dropped>>,
}

/// Exposures of a run that were lost.
#[derive(Debug)]
struct Dropped {
    /// The run's flag.
    flag: String,
    count: u64,
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
    /// Reads every cell; what is not kept in cells is left at 0. Under load the cells are read one after another, not at
    /// one instant.
    pub(crate) fn read(&self) -> Counters {
        let get = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counters {
            accepted: get(&self.accepted),
            duplicates: get(&self.duplicates),
            rejected: get(&self.rejected),
            quarantined: get(&self.quarantined),
            replayed: get(&self.replayed),
            discarded: get(&self.discarded),
            skewed: get(&self.skewed),
            stored: get(&self.stored),
            exposures_sent: get(&self.exposures_sent),
            exposures_dropped: get(&self.exposures_dropped),
            exposures_deduplicated: get(&self.exposures_deduplicated),
            unattributable: get(&self.unattributable),
            batches_sealed: get(&self.batches_sealed),
            append_failures: get(&self.append_failures),
            write_failures: get(&self.write_failures),
            refused_backlog: get(&self.refused_backlog),
            refused_low_disk: get(&self.refused_low_disk),
            fsync: self.fsync.read(),
            damaged_frames: get(&self.damaged_frames),
            pending_rows: get(&self.pending_rows),
            batch_queue: get(&self.batch_queue),
            log_bytes: get(&self.log_bytes),
            released_through: get(&self.released_through),
            last_batch_rows: get(&self.last_batch_rows),
            last_batch_bytes: get(&self.last_batch_bytes),
            last_fsync_us: get(&self.last_fsync_us),
            ..Counters::default()
        }
    }

    pub(crate) fn count_dropped(&self, environment: u64, run: u64, flag: &str) {
        add(&self.exposures_dropped, 1);
        let mut by_run = self.by_run();
        let dropped = by_run.entry((environment, run)).or_insert_with(|| Dropped { flag: flag.to_owned(), count: 0 });
        dropped.count += 1;
    }

    pub(crate) fn dropped(&self, environment: u64, run: u64) -> u64 {
        self.by_run().get(&(environment, run)).map_or(0, |dropped| dropped.count)
    }

    pub(crate) fn dropped_by_flag(&self) -> BTreeMap<(u64, String), u64> {
        let mut by_flag = BTreeMap::new();
        for ((environment, _), Dropped { flag, count }) in &*self.by_run() {
            *by_flag.entry((*environment, flag.clone())).or_default() += count;
        }
        by_flag
    }

    fn by_run(&self) -> MutexGuard<'_, HashMap<(u64, u64), Dropped>> {
        // A count is whole at every point, so a panic elsewhere cannot have left it half written.
        self.dropped_by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
