//! The names of this crate's failpoints, see [`liftgate_domain::failpoint`]: one between any two steps of an event's way.

/// In the order of an event's way, then what goes on beside it.
#[doc(hidden)]
pub const FAILPOINTS: &[&str] = &[
    // A write of the log.
    "ingest.before_write",
    "ingest.written",
    "ingest.synced",
    "ingest.answered",
    "ingest.sealed",
    "ingest.rotated",
    // On to the warehouse.
    "ingest.appended",
    "ingest.durable",
    // Letting go of the log.
    "ingest.keys_written",
    "ingest.keys_renamed",
    "ingest.keys_synced",
    "ingest.keys_persisted",
    "ingest.quarantine_file_rewritten",
    "ingest.quarantine_file_written",
    "ingest.checkpoint_written",
    "ingest.segment_deleted",
    "ingest.released",
    // Beside it.
    "ingest.keys_merged",
    "ingest.keys_deleted",
];
