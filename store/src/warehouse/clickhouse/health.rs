//! What an operator sees of the warehouse.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::breaker::BreakerState;

/// How the warehouse is, and what it has done since it was connected.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct ClickHouseHealth {
    /// What the breaker does with the next insert.
    pub breaker: BreakerState,
    /// Inserts that failed since the last one that did not.
    pub failures: u32,
    /// How often the breaker has opened.
    pub breaker_opened: u64,
    /// Inserts that the server confirmed; one that it had before counts again.
    pub inserts: u64,
    /// Rows in them.
    pub rows: u64,
    /// About how much text and numbers they had before compression, in bytes.
    pub bytes: u64,
    /// Inserts that failed.
    pub inserts_failed: u64,
    /// How long the last confirmed insert took, in microseconds.
    pub last_insert_us: u64,
    /// Questions that were answered.
    pub questions: u64,
    /// Batches whose rows are stored and whose record is not, yet.
    pub unrecorded_batches: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) inserts: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) inserts_failed: AtomicU64,
    pub(super) last_insert_us: AtomicU64,
    pub(super) questions: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
