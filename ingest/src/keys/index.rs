//! What is known of ids in memory: those on their way to disk, and those that are durable in the log but in no run yet.
//! Belongs under the door's lock; the runs are asked before, see [`super::probe`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::probe::Probed;
use super::{ByKey, Day, DayKeys, Key, KeyRuns};
use crate::Error;
use crate::ticket::Ticket;

/// From this many ids on, those in memory are written to a run: what a table of 2^20 places takes before it grows, about
/// 18 MB. As many may come in while that is going on.
const RECENT_KEYS: usize = (1 << 20) / 8 * 7;

/// The ids in memory.
pub(crate) struct KeyIndex {
    runs: Arc<KeyRuns>,
    pending: HashMap<Key, Ticket, ByKey>,
    recent: DayKeys,
    /// Ids that are being written to a run.
    frozen: Option<Arc<DayKeys>>,
    /// The last write that took ids out of memory: a probe must have asked its runs.
    moved: u64,
    /// The first day that is remembered.
    first: Day,
    recent_max: usize,
}

/// What is known of an id.
#[derive(Debug)]
pub(crate) enum Known {
    /// Nothing: the event is new.
    New,
    /// It is being written; whether it is a duplicate shows when that write is done.
    Pending(Ticket),
    /// It is on disk.
    Durable,
}

impl KeyIndex {
    pub(crate) fn new(runs: Arc<KeyRuns>) -> Self {
        Self {
            runs,
            pending: HashMap::default(),
            recent: DayKeys::default(),
            frozen: None,
            moved: 0,
            first: Day::MIN,
            recent_max: RECENT_KEYS,
        }
    }

    /// The same with another bound on the ids in memory.
    #[cfg(test)]
    pub(crate) fn with_recent_max(runs: Arc<KeyRuns>, recent_max: usize) -> Self {
        Self { recent_max, ..Self::new(runs) }
    }

    /// The runs beside this index.
    pub(crate) fn runs(&self) -> Arc<KeyRuns> {
        Arc::clone(&self.runs)
    }

    /// Whether a probe has asked all runs that hold ids which are no longer in memory.
    pub(crate) fn is_current(&self, probed: &Probed) -> bool {
        probed.through >= self.moved
    }

    /// What is known of the key at `place` of a request, whose probe is current.
    pub(crate) fn look_up(&self, key: Key, place: usize, probed: &Probed) -> Known {
        if let Some(ticket) = self.pending.get(&key) {
            return Known::Pending(ticket.clone());
        }
        if probed.is_stored(place, self.first) || self.is_in_memory(key) {
            return Known::Durable;
        }
        Known::New
    }

    #[cfg(test)]
    pub(crate) fn is_pending(&self, key: Key) -> bool {
        self.pending.contains_key(&key)
    }

    pub(crate) fn begin(&mut self, key: Key, ticket: Ticket) {
        self.pending.insert(key, ticket);
    }

    /// The write of these keys succeeded.
    pub(crate) fn commit(&mut self, keys: &[Key], day: Day) {
        let durable = self.recent.entry(day).or_default();
        for key in keys {
            self.pending.remove(key);
            durable.insert(*key);
        }
        if self.is_full() {
            self.runs.bell.ring();
        }
    }

    /// The write of these keys failed: they are unknown again.
    pub(crate) fn forget(&mut self, keys: &[Key]) {
        for key in keys {
            self.pending.remove(key);
        }
    }

    /// Learns keys that the log holds, some of which may be in runs already. Blocks on the disk.
    pub(crate) fn recover(&mut self, keys: &[Key], day: Day) -> Result<(), Error> {
        let mut probed = Probed::default();
        self.runs.probe_blocking(keys, &mut probed)?;
        // What a run has of an earlier day only came in again since, and is known for longer.
        let fresh = keys.iter().enumerate().filter(|(place, _)| !probed.is_stored(*place, day)).map(|(_, key)| *key);
        self.recent.entry(day).or_default().extend(fresh);
        if self.is_full()
            && let Some(frozen) = self.freeze()
        {
            let write = self.runs.write(&frozen)?;
            drop(self.thaw(write));
        }
        Ok(())
    }

    /// Whether there are so many ids in memory that they should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.recent.values().map(HashSet::len).sum::<usize>() >= self.recent_max
    }

    /// What to write to a run next, until [`KeyIndex::thaw`]: what a failed write has left, otherwise all recent ids.
    pub(crate) fn freeze(&mut self) -> Option<Arc<DayKeys>> {
        if self.frozen.is_none() && self.recent.values().any(|keys| !keys.is_empty()) {
            self.frozen = Some(Arc::new(std::mem::take(&mut self.recent)));
        }
        self.frozen.clone()
    }

    /// Whether a write that failed has left ids.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The frozen ids are in runs now. Their memory is given back by whoever drops the answer, outside of any lock.
    pub(crate) fn thaw(&mut self, write: u64) -> impl Sized + use<> {
        self.moved = write;
        (self.runs.expire(self.first), self.frozen.take())
    }

    /// Forgets the days before `first`, here and in the runs. The memory is given back by whoever drops the answer,
    /// outside of any lock.
    pub(crate) fn expire(&mut self, first: Day) -> impl Sized + use<> {
        self.first = first;
        let kept = self.recent.split_off(&first);
        (self.runs.expire(first), std::mem::replace(&mut self.recent, kept))
    }

    /// How many durable ids are known.
    pub(crate) fn len(&self) -> u64 {
        let in_memory = |days: &DayKeys| days.range(self.first..).map(|(_, keys)| keys.len()).sum::<usize>() as u64;
        self.runs.len() + in_memory(&self.recent) + self.frozen.as_deref().map_or(0, in_memory)
    }

    fn is_in_memory(&self, key: Key) -> bool {
        let within = |days: &DayKeys| days.range(self.first..).rev().any(|(_, keys)| keys.contains(&key));
        within(&self.recent) || self.frozen.as_deref().is_some_and(within)
    }
}
