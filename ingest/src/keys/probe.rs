//! Asking the runs about the keys of a request before the door's lock is taken: first the filters, without the disk;
//! then, for the few keys that pass one, the pages, on a thread that may block.

use std::sync::Arc;

use super::run::Run;
use super::{Day, Key};
use crate::Error;

/// What the runs have said of the keys of one request.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    /// The last day that each key is stored for, by place in the request; empty as long as none is stored.
    stored: Vec<Option<Day>>,
    /// Writes up to this number were asked.
    pub through: u64,
}

/// The runs at one instant.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunList {
    /// By day and number.
    pub runs: Vec<Arc<Run>>,
    /// The number of the last write.
    pub last: u64,
}

/// A key that may be in a run.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    pub place: usize,
    pub key: Key,
    pub run: Arc<Run>,
}

/// A key is in a run of this day.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Found {
    pub place: usize,
    pub day: Day,
}

impl Probed {
    /// Whether the key at this place of the request is in a run of `first` or a later day. Days may have been forgotten
    /// since the runs were asked, so whoever asks says which still count.
    pub(crate) fn is_stored(&self, place: usize, first: Day) -> bool {
        self.day(place).is_some_and(|day| day >= first)
    }

    /// Notes what was found; `count` is the number of keys in the request.
    pub(crate) fn note(&mut self, count: usize, found: &[Found]) {
        if !found.is_empty() {
            self.stored.resize(count, None);
        }
        for Found { place, day } in found {
            self.stored[*place] = self.stored[*place].max(Some(*day));
        }
    }

    fn day(&self, place: usize) -> Option<Day> {
        self.stored.get(place).copied().flatten()
    }
}

impl RunList {
    /// How many keys the runs have.
    pub(crate) fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// Memory of the runs, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.bytes()).sum()
    }

    /// The keys that pass the filter of a run that `probed` has not asked yet. Reads no disk.
    pub(crate) fn suspects(&self, keys: &[Key], probed: &Probed) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        // A merged run has the number of its last write, so what was not asked before is in one of these.
        for run in self.runs.iter().rev().filter(|run| run.name.last > probed.through) {
            run.filter.passing(keys, |place| {
                if probed.day(place) < Some(run.name.day) {
                    suspects.push(Suspect { place, key: keys[place], run: Arc::clone(run) });
                }
            });
        }
        suspects
    }
}

/// The suspects that are in their run. Blocks on the disk.
pub(crate) fn resolve(suspects: Vec<Suspect>) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for suspect in suspects {
        if suspect.run.contains(suspect.key)? {
            found.push(Found { place: suspect.place, day: suspect.run.name.day });
        }
    }
    Ok(found)
}
