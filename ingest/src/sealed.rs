//! Rows on their way from the log to the warehouse: those that no seal covers yet, and sealed batches.

use liftgate_domain::{EventRow, Timestamp};

use crate::ledger::Events;
use crate::record::Mark;

/// Durable rows that no seal covers yet.
#[derive(Debug, Default)]
pub(crate) struct Unsealed {
    /// The rows, in the order of the log.
    pub rows: Vec<EventRow>,
    /// Their first record.
    pub first: u64,
    /// Their last record.
    pub last: u64,
    /// The stamp of the last record.
    pub received_through: Timestamp,
}

impl Unsealed {
    /// Adds the rows of a further record.
    pub(crate) fn add(&mut self, record: u64, stamp: Timestamp, rows: Vec<EventRow>) {
        if self.rows.is_empty() {
            self.first = record;
        }
        self.last = record;
        self.received_through = stamp;
        self.rows.extend(rows);
    }
}

/// A sealed batch, or a heartbeat when it has no records.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Its epoch, sequence and last record.
    pub mark: Mark,
    /// Its first record.
    pub first: u64,
    pub received_through: Timestamp,
    /// How many rows it has.
    pub count: usize,
    /// How many events these rows are.
    pub events: Events,
    /// The rows, unless they are to be read from the log again: memory is bounded, the backlog is on disk.
    pub rows: Option<Vec<EventRow>>,
    /// What the rows in memory take in the log; 0 when they are not in memory.
    pub resident_bytes: u64,
}
