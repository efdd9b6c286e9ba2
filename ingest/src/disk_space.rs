//! How much room the folder's file system has, asked for once a second and away from requests, which only read an
//! atomic. What the log writes in between is taken off.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The room that there was when last asked.
#[derive(Debug)]
pub(crate) struct DiskSpace {
    dir: PathBuf,
    free_min_bytes: u64,
    free_bytes: AtomicU64,
    /// The log has told of too little room.
    is_told: AtomicBool,
}

impl DiskSpace {
    /// Asks at once.
    pub(crate) fn new(dir: PathBuf, free_min_bytes: u64) -> Self {
        let space = Self { dir, free_min_bytes, free_bytes: AtomicU64::new(u64::MAX), is_told: AtomicBool::new(false) };
        space.refresh();
        space
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_low(&self) -> bool {
        self.free_bytes() < self.free_min_bytes
    }

    /// So much was written: until the file system is asked again, it is taken off.
    pub(crate) fn spend(&self, bytes: u64) {
        let less = |free: u64| Some(free.saturating_sub(bytes));
        // The closure never declines, so this never fails.
        let _ = self.free_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Asks the file system again; one that does not answer is taken for as free as before.
    pub(crate) fn refresh(&self) {
        match rustix::fs::statvfs(&self.dir) {
            Ok(space) => {
                self.free_bytes.store(space.f_bavail.saturating_mul(space.f_frsize), Ordering::Relaxed);
                self.tell();
            }
            Err(error) => {
                tracing::warn!(%error, dir = %self.dir.display(), "The free space of the event log's disk is unknown.")
            }
        }
    }

    fn tell(&self) {
        let free_bytes = self.free_bytes();
        match (self.is_told.swap(self.is_low(), Ordering::Relaxed), self.is_low()) {
            (false, true) => {
                tracing::error!(free_bytes, free_min_bytes = self.free_min_bytes, dir = %self.dir.display(),
                    "The event log's disk is nearly full; events are refused until there is room.");
            }
            (true, false) => tracing::info!(free_bytes, "The event log's disk has room again; events are admitted."),
            _ => {}
        }
    }
}

/// Keeps asking until aborted.
pub(crate) async fn watch(space: Arc<DiskSpace>) {
    let mut interval = tokio::time::interval(CHECK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let space = Arc::clone(&space);
        // A panic there would only leave the last answer standing.
        let _ = tokio::task::spawn_blocking(move || space.refresh()).await;
    }
}
