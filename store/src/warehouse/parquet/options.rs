//! The limits of the Parquet warehouse.

use liftgate_domain::StoreError;

/// When the tail becomes files, and how much of the machine a question may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetOptions {
    /// Rows in the tail that start a flush. At twice as many, appending waits for it.
    pub flush_rows: usize,
    /// Age of the tail's oldest batch, by the time at which batches were received, that starts a flush.
    pub flush_after_ms: u64,
    /// Files that a large day is split into, by unit.
    pub buckets: u32,
    /// Threads that answer one question.
    pub threads: usize,
    /// Bytes of first exposures kept in memory, so that a question of a run that was asked about before reads only what
    /// is new; about 50 a unit, run and rule. 0 keeps none.
    pub remembered_bytes: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { flush_rows: 1_000_000, flush_after_ms: 60_000, buckets: 16, threads, remembered_bytes: 256 << 20 }
    }
}

impl ParquetOptions {
    /// Refuses limits under which nothing could be written or read.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (name, value) in
            [("flush_rows", self.flush_rows), ("buckets", self.buckets as usize), ("threads", self.threads)]
        {
            if value == 0 {
                return Err(StoreError::Invalid(format!("`{name}` of the warehouse must be at least 1")));
            }
        }
        Ok(())
    }
}
