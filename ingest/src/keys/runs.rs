//! The runs in a folder: opened, asked, added to, merged and forgotten. Whoever asks works on the list of one instant, so
//! that nobody waits for the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::failpoint;

use super::keeper::Bell;
use super::merge::{self, DayState};
use super::probe::{self, Probed, RunList};
use super::run::{DAMAGED, EXTENSION, Run, RunName};
use super::run_writer::{RunWriter, UNFINISHED};
use super::{Day, DayKeys, Key};
use crate::{Error, folder};

/// All runs of a node.
#[derive(Debug)]
pub(crate) struct KeyRuns {
    dir: PathBuf,
    list: Mutex<Arc<RunList>>,
    /// The number of the last write that was begun. Held while one takes its numbers, writes and adds its runs: they are
    /// added in the order of their numbers.
    begun: Mutex<u64>,
    /// Files of runs that are no longer in the list.
    discarded: Mutex<Vec<PathBuf>>,
    /// Wakes the keeper.
    pub bell: Bell,
}

impl KeyRuns {
    /// The last day that a run in `dir` is of.
    pub(crate) fn last_day(dir: &Path) -> Result<Option<Day>, Error> {
        let paths = folder::list(dir, EXTENSION)?;
        Ok(paths.iter().filter_map(|path| RunName::of(path)).map(|name| name.day).max())
    }

    /// Opens the runs in `dir` and deletes those of days before `first_day`, those that were merged into others, and
    /// what a crash left unfinished. Reads their filters, not their keys. Answers as well which files are damaged; they are
    /// still where they were.
    pub(crate) fn open(dir: PathBuf, first_day: Day) -> Result<(Self, Vec<PathBuf>), Error> {
        for path in folder::list(&dir, UNFINISHED)? {
            delete(&path)?;
        }
        let mut damaged = folder::list(&dir, DAMAGED)?;
        let names = damaged.iter().filter_map(|path| RunName::of(&path.with_extension("")));
        let mut list = RunList { last: names.map(|name| name.last).max().unwrap_or(0), runs: Vec::new() };
        for path in folder::list(&dir, EXTENSION)? {
            let name = RunName::of(&path);
            list.last = list.last.max(name.map_or(0, |name| name.last));
            if name.is_some_and(|name| name.day < first_day) {
                delete(&path)?;
                continue;
            }
            match Run::open(path.clone())? {
                Some(run) => list.runs.push(Arc::new(run)),
                None => damaged.push(path),
            }
        }
        let names: Vec<RunName> = list.runs.iter().map(|run| run.name).collect();
        let (merged, runs) = list.runs.into_iter().partition(|run| names.iter().any(|name| name.covers(run.name)));
        list.runs = runs;
        list.runs.sort_by_key(|run| run.name);
        let merged: Vec<Arc<Run>> = merged;
        merged.iter().try_for_each(|run| delete(&run.path))?;
        let runs = Self {
            dir,
            begun: Mutex::new(list.last),
            list: Mutex::new(Arc::new(list)),
            discarded: Mutex::default(),
            bell: Bell::default(),
        };
        Ok((runs, damaged))
    }

    /// Asks the runs that `probed` has not asked yet about all of `keys`.
    ///
    /// # Errors
    /// [`Error::Disk`] when a page cannot be read: nothing is known then.
    pub(crate) async fn probe(&self, keys: &[Key], probed: &mut Probed) -> Result<(), Error> {
        let list = self.list();
        let suspects = list.suspects(keys, probed);
        if !suspects.is_empty() {
            let resolved = tokio::task::spawn_blocking(move || probe::resolve(suspects)).await;
            probed.note(keys.len(), &resolved.map_err(|_| Error::Closed)??);
        }
        probed.through = list.last;
        Ok(())
    }

    /// [`KeyRuns::probe`] for a thread that may block on the disk.
    pub(crate) fn probe_blocking(&self, keys: &[Key], probed: &mut Probed) -> Result<(), Error> {
        let list = self.list();
        probed.note(keys.len(), &probe::resolve(list.suspects(keys, probed))?);
        probed.through = list.last;
        Ok(())
    }

    /// Writes these keys, a run for each day. On return they are durable, and every later probe finds them; answers the
    /// number of the write.
    pub(crate) fn write(&self, days: &DayKeys) -> Result<u64, Error> {
        let mut begun = lock(&self.begun);
        let mut written = Vec::new();
        for (day, keys) in days.iter().filter(|(_, keys)| !keys.is_empty()) {
            // A number is never used again: the file of a write that failed may be deleted later.
            *begun += 1;
            let name = RunName { day: *day, first: *begun, last: *begun };
            match self.write_day(name, keys.iter().copied().collect()) {
                Ok(run) => written.push(Arc::new(run)),
                Err(error) => {
                    self.discard(&written);
                    return Err(error);
                }
            }
        }
        self.change(|list| {
            list.runs.extend(written);
            list.last = *begun;
        });
        self.bell.ring();
        Ok(*begun)
    }

    /// Merges the runs of one day, if any has too many. Whether there was anything to merge.
    pub(crate) fn merge_next(&self) -> Result<bool, Error> {
        self.merge_next_beside(|| Ok(()))
    }

    /// The same; what else is to be done in time is done by `between`, once a page. Its error ends the merge.
    pub(crate) fn merge_next_beside(&self, mut between: impl FnMut() -> Result<(), Error>) -> Result<bool, Error> {
        let list = self.list();
        let newest = list.runs.last().map(|run| run.name.day);
        let plan = list.runs.chunk_by(|a, b| a.name.day == b.name.day).find_map(|day| plan(day, newest));
        let Some(runs) = plan else {
            return Ok(false);
        };
        let [first, .., last] = runs else {
            return Ok(false);
        };
        let name = RunName { day: first.name.day, first: first.name.first, last: last.name.last };
        let keys_max = runs.iter().map(|run| run.count).sum();
        let writer = RunWriter::create(name.path(&self.dir), name, keys_max)?;
        let is_stopped = || between().map(|()| self.bell.is_closed());
        let Some(merged) = merge::merge(runs, writer, is_stopped)? else {
            return Ok(false);
        };
        let merged = Arc::new(merged);
        let is_merged = |run: &Run| name.covers(run.name);
        let mut is_kept = false;
        self.change(|list| {
            // A day that has been forgotten meanwhile stays forgotten.
            is_kept = list.runs.iter().any(|run| is_merged(run));
            list.runs.retain(|run| !is_merged(run));
            list.runs.extend(is_kept.then(|| Arc::clone(&merged)));
        });
        self.discard(runs);
        if !is_kept {
            self.discard(&[merged]);
        }
        failpoint::hit("ingest.keys_merged");
        let list = self.list();
        tracing::debug!(
            files = list.runs.len(),
            keys = list.len(),
            memory_bytes = list.bytes(),
            "Files of known event ids were merged."
        );
        Ok(true)
    }

    /// Forgets the days before `first`; their files go when the keeper comes to it. Their memory, which is large, is
    /// given back by whoever drops the answer.
    pub(crate) fn expire(&self, first: Day) -> Vec<Arc<Run>> {
        let mut expired = Vec::new();
        if self.list().runs.first().is_none_or(|run| run.name.day >= first) {
            return expired;
        }
        self.change(|list| {
            let (kept, gone) = std::mem::take(&mut list.runs).into_iter().partition(|run| run.name.day >= first);
            (list.runs, expired) = (kept, gone);
        });
        self.discard(&expired);
        self.bell.ring();
        expired
    }

    /// Deletes the files that are not needed any more. One that cannot be deleted is tried again the next time.
    pub(crate) fn delete_discarded(&self) {
        let mut paths = std::mem::take(&mut *lock(&self.discarded));
        paths.retain(|path| {
            let deleted = delete(path);
            failpoint::hit("ingest.keys_deleted");
            deleted.is_err()
        });
        lock(&self.discarded).append(&mut paths);
    }

    /// How many keys the runs have.
    pub(crate) fn len(&self) -> u64 {
        self.list().len()
    }

    /// The list at this instant.
    pub(crate) fn list(&self) -> Arc<RunList> {
        Arc::clone(&lock(&self.list))
    }

    fn write_day(&self, name: RunName, mut keys: Vec<Key>) -> Result<Run, Error> {
        keys.sort_unstable();
        let mut writer = RunWriter::create(name.path(&self.dir), name, keys.len() as u64)?;
        for key in keys {
            writer.push(key)?;
        }
        writer.finish()
    }

    fn change(&self, change: impl FnOnce(&mut RunList)) {
        let mut current = lock(&self.list);
        let mut list = RunList::clone(&current);
        change(&mut list);
        list.runs.sort_by_key(|run| run.name);
        *current = Arc::new(list);
    }

    fn discard(&self, runs: &[Arc<Run>]) {
        let mut discarded = lock(&self.discarded);
        for run in runs {
            discarded.push(run.path.clone());
            if run.is_damaged() {
                discarded.push(run.path.with_added_extension(DAMAGED));
            }
        }
    }
}

/// Which runs of a day to merge. None of a day in which one is damaged: its name must go on saying what it has.
fn plan(day: &[Arc<Run>], newest: Option<Day>) -> Option<&[Arc<Run>]> {
    if day.iter().any(|run| run.is_damaged()) {
        return None;
    }
    let counts: Vec<u64> = day.iter().map(|run| run.count).collect();
    let state = if day.first().map(|run| run.name.day) < newest { DayState::Over } else { DayState::Growing };
    merge::plan(&counts, state).map(|range| &day[range])
}

fn delete(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::disk(path, &error)),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one assignment or one push, so what they guard is whole even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
