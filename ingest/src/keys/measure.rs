//! The index of ids without the rest of a node, for the bench. Not part of the interface.

use std::path::Path;
use std::sync::Arc;

use super::{Day, Key, KeyIndex, KeyRuns, Known, Probed, key_of};
use crate::Error;

/// An index and its runs.
pub struct MeasuredIndex {
    index: KeyIndex,
    runs: Arc<KeyRuns>,
}

impl MeasuredIndex {
    /// Opens the runs in a folder.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let runs = Arc::new(KeyRuns::open(dir.to_owned(), Day::MIN)?.0);
        Ok(Self { index: KeyIndex::new(Arc::clone(&runs)), runs })
    }

    /// Makes ids known that came in on a day. When there are many in memory, writes and merges as the keeper does.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn admit(&mut self, keys: &[Key], day: Day) -> Result<(), Error> {
        self.index.commit(keys, day);
        if self.index.is_full()
            && let Some(frozen) = self.index.freeze()
        {
            let write = self.runs.write(&frozen)?;
            drop(frozen);
            drop(self.index.thaw(write));
            while self.runs.merge_next()? {}
            self.runs.delete_discarded();
        }
        Ok(())
    }

    /// How many of the ids of a request are known.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn known(&self, keys: &[Key]) -> Result<usize, Error> {
        let mut probed = Probed::default();
        self.runs.probe_blocking(keys, &mut probed)?;
        let is_known =
            |(place, key): &(usize, &Key)| matches!(self.index.look_up(**key, *place, &probed), Known::Durable);
        Ok(keys.iter().enumerate().filter(is_known).count())
    }

    /// How many pages a look-up of these ids reads.
    pub fn reads(&self, keys: &[Key]) -> usize {
        self.runs.list().suspects(keys, &Probed::default()).len()
    }

    /// Files, ids in them, and their memory in bytes.
    pub fn runs(&self) -> (usize, u64, usize) {
        let list = self.runs.list();
        (list.runs.len(), list.len(), list.bytes())
    }
}

/// The key of event number `n`.
pub fn measured_key(n: u64) -> Key {
    key_of(1, &format!("evt-{n:016x}"))
}
