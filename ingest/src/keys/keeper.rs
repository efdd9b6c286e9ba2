//! The thread that keeps the index of ids small: writes ids to runs when there are many in memory, merges runs, deletes
//! files that are not needed. Woken by a bell; ends when that closes, in the middle of a merge if need be.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::Error;
use crate::door::Door;
use crate::folder::Folder;

const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Tells the keeper that there may be something to do.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<BellState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BellState {
    rung: bool,
    closed: bool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.set(|state| state.rung = true);
    }

    /// From now on nobody waits for it.
    pub(crate) fn close(&self) {
        self.set(|state| state.closed = true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Returns once it has been rung or closed; whether it is still open.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(state, |state| !state.rung && !state.closed);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        !state.closed
    }

    /// Returns after a while, earlier when it closes.
    fn pause(&self, length: Duration) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(state, length, |state| !state.closed));
    }

    fn set(&self, change: impl FnOnce(&mut BellState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// The thread's state.
pub(crate) struct Keeper {
    pub door: Arc<Door>,
    /// Shared so that the folder stays locked while files of it may still change.
    pub _folder: Arc<Folder>,
}

impl Keeper {
    /// Works until the door is closed.
    pub(crate) fn run(self) {
        let runs = self.door.key_runs();
        loop {
            runs.delete_discarded();
            if let Err(error) = self.work() {
                tracing::warn!(%error, "The files of known event ids could not be put in order; it is tried again.");
                runs.bell.pause(PAUSE_AFTER_FAILURE);
                runs.bell.ring();
            }
            if !runs.bell.wait() {
                return;
            }
        }
    }

    fn work(&self) -> Result<(), Error> {
        let runs = self.door.key_runs();
        loop {
            self.persist()?;
            // A merge of a whole day takes long; ids go on coming in.
            if !runs.merge_next_beside(|| self.persist())? {
                return Ok(());
            }
            runs.delete_discarded();
        }
    }

    /// Writes ids to a run when there are many in memory.
    fn persist(&self) -> Result<(), Error> {
        if self.door.has_many_keys() {
            self.door.persist_keys()?;
        }
        Ok(())
    }
}
