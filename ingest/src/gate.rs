//! Whether anything may be admitted at all right now. Shared by requests and the server's own exposures.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Error;
use crate::counters::Cells;
use crate::disk_space::DiskSpace;

pub(crate) const RETRY_AFTER_S: u64 = 5;

/// What must hold before anything is admitted.
#[derive(Clone)]
pub(crate) struct Gate {
    pub cells: Arc<Cells>,
    /// Beyond this many bytes of log that the warehouse has not made durable, nothing is admitted.
    pub backlog_bytes_max: u64,
    pub space: Arc<DiskSpace>,
}

impl Gate {
    /// # Errors
    /// [`Error::Backlog`] while the log is full, [`Error::LowDisk`] while its disk nearly is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cells.log_bytes.load(Ordering::Relaxed) > self.backlog_bytes_max {
            return Err(Error::Backlog { retry_after_s: RETRY_AFTER_S });
        }
        if self.space.is_low() {
            return Err(Error::LowDisk { retry_after_s: RETRY_AFTER_S });
        }
        Ok(())
    }
}
