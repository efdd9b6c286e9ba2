//! Why events were not admitted, or the log could not be opened. A rejected event is not an error: see `receipt`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use liftgate_domain::StoreError;
use thiserror::Error;

/// An error of this crate. Whatever the variant, nothing of the request was acknowledged: sending it again is safe.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The warehouse is behind by as much as the log may hold.
    #[error("the event log is full until the warehouse catches up; retry in {retry_after_s} s")]
    Backlog {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The disk of the log has too little room.
    #[error("the disk of the event log is nearly full; retry in {retry_after_s} s")]
    LowDisk {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The log could not be written, synced or read.
    #[error("the event log failed: {0}")]
    Disk(Arc<io::Error>),
    /// Another process has the folder.
    #[error("`{}` is in use by another server; give each server an ingest folder of its own", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// One request is larger than a record of the log may be.
    #[error("the events of one request take {bytes} bytes in the log; at most {bytes_max} are allowed")]
    TooLarge {
        /// The size, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The warehouse refused what the log holds; it stays in the log.
    #[error("the events stay in the log because the warehouse did not take them: {0}")]
    Warehouse(Arc<StoreError>),
    /// This node is shutting down.
    #[error("this node is shutting down and admits no more events")]
    Closed,
}

impl Error {
    /// A disk error that names the file.
    pub(crate) fn disk(path: &Path, error: &io::Error) -> Self {
        Self::Disk(Arc::new(io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))))
    }
}
