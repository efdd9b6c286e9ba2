//! What an operator can set. Every queue, wait and size of this crate is bounded by a value here or a named constant.

use std::path::PathBuf;

const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES_MIN: u64 = 16 << 10;

/// The settings of one ingest node. The defaults are complete except for [`IngestConfig::dir`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IngestConfig {
    /// The folder that the node owns: its id, epoch, log, keys and quarantine. One process at a time.
    pub dir: PathBuf,
    /// How long an event id is remembered, in milliseconds; rounded up to whole days.
    pub dedup_window_ms: i64,
    /// How often what was admitted is sealed into a batch, and how often an idle node moves its watermark.
    pub seal_after_ms: u64,
    /// A batch is sealed early once it has this many rows.
    pub seal_rows: usize,
    /// How long a sync waits for company, in milliseconds. A lone sender never waits.
    pub group_commit_ms: u64,
    /// Beyond this many bytes of log that the warehouse has not made durable, events are refused.
    pub backlog_bytes_max: u64,
    /// How many server-side exposures may wait to be logged before further ones are dropped and counted.
    pub exposure_queue: usize,
    /// The largest event on the wire, in bytes.
    pub event_bytes_max: usize,
    /// The largest request body, in bytes.
    pub batch_bytes_max: usize,
    /// Events older than this are not believed and go into quarantine, in milliseconds.
    pub retention_ms: i64,
    /// How much quarantine may hold, in bytes; what is not believed beyond it is rejected.
    pub quarantine_bytes_max: u64,
    /// While the folder's file system has less room than this, in bytes, events are refused: what is left is for the
    /// warehouse and for letting go of the log. 0 switches this off.
    pub disk_free_min_bytes: u64,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            dedup_window_ms: 7 * 86_400_000,
            seal_after_ms: 100,
            seal_rows: 50_000,
            group_commit_ms: 2,
            backlog_bytes_max: 1 << 30,
            exposure_queue: 65_536,
            event_bytes_max: 32 << 10,
            batch_bytes_max: 5 << 20,
            retention_ms: 400 * 86_400_000,
            quarantine_bytes_max: 256 << 20,
            disk_free_min_bytes: 512 << 20,
        }
    }
}

impl IngestConfig {
    /// What [`crate::native::parse`] needs of these settings.
    pub fn limits(&self) -> Limits {
        Limits { event_bytes_max: self.event_bytes_max, batch_bytes_max: self.batch_bytes_max }
    }

    /// Where a segment of the log ends. A quarter of the backlog at most, so that the open segment, which cannot be
    /// released, never fills the backlog by itself.
    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.backlog_bytes_max / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES)
    }
}

/// Sizes that a parser refuses to go beyond.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest event, in bytes of JSON.
    pub event_bytes_max: usize,
    /// The largest body, in bytes.
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        IngestConfig::default().limits()
    }
}
