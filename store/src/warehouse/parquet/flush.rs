//! Which files count, changed on disk first and in memory second: flushes, merges and expiry. Each is files written and
//! synced, one manifest record, one exchange of the snapshot; a crash between any two of them loses nothing and
//! doubles nothing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};

use arrow::array::RecordBatch;
use liftgate_domain::{RowKind, StoreError, failpoint};

use super::compaction;
use super::data_file::DataFile;
use super::file_writer;
use super::manifest::{self, Contents, Manifest};
use super::merge::Merge;
use super::record::{FileEntry, Record};
use super::snapshot::Snapshot;
use super::state::{BatchSets, Inner};
use super::writer::{self, Target};

impl Inner {
    /// Writes what was in the tail when it began.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let mut manifest = self.manifest()?;
        self.write_tail(&mut manifest)?;
        if manifest.is_long()
            && let Err(error) = self.rewrite(&mut manifest)
        {
            // The rows are durable all the same.
            tracing::warn!(dir = %self.dir.display(), %error, "The manifest could not be shortened; it is tried again.");
        }
        Ok(())
    }

    /// Merges files until none are due, or the warehouse closes.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        // A merge that panicked left at most files that no record names.
        let _compacting = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        self.merge_all()
    }

    /// The same in the background, unless somebody is at it already.
    pub(super) fn compact_beside(&self) {
        let _compacting = match self.compacting.try_lock() {
            Ok(compacting) => compacting,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(error) = self.merge_all()
            && !self.closing.load(Ordering::Acquire)
        {
            tracing::error!(dir = %self.dir.display(), %error, "Small data files could not be merged; they stay as they are and are tried again.");
        }
    }

    fn merge_all(&self) -> Result<(), StoreError> {
        while let Some(merge) = compaction::next(&self.snapshot()) {
            if !self.merge(&merge)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes files away for good; `events` distinct ones are in none of the others.
    pub(super) fn expire(
        &self,
        manifest: &mut Manifest,
        environment: u64,
        files: &[Arc<DataFile>],
        events: u64,
    ) -> Result<(), StoreError> {
        let record = Record {
            number: manifest.next_number(),
            removed: files.iter().map(|file| file.entry.path.clone()).collect(),
            expired: BTreeMap::from([(environment, events)]),
            marks: self.state().durable_marks.clone(),
            ..Record::default()
        };
        manifest.append(&record)?;
        failpoint::hit("store.expiry_recorded");
        let mut state = self.state();
        let visible = Arc::make_mut(&mut state.snapshot);
        visible.files.retain(|file| !files.iter().any(|expired| Arc::ptr_eq(expired, file)));
        visible.generation += 1;
        *visible.expired.entry(environment).or_default() += events;
        drop(state);
        files.iter().for_each(|file| file.retire());
        Ok(())
    }

    /// The manifest, for whoever changes which files count.
    pub(super) fn manifest(&self) -> Result<MutexGuard<'_, Manifest>, StoreError> {
        // A writer that panicked left at most files that no record names.
        let manifest = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.closing.load(Ordering::Acquire) {
            true => Err(StoreError::Unavailable("the warehouse is closing".into())),
            false => Ok(manifest),
        }
    }

    fn write_tail(&self, manifest: &mut Manifest) -> Result<(), StoreError> {
        let (snapshot, durable_marks) = {
            let state = self.state();
            (Arc::clone(&state.snapshot), state.durable_marks.clone())
        };
        if snapshot.tail.is_empty() && snapshot.watermark == durable_marks {
            return Ok(());
        }
        let mut written = BatchSets::new();
        for batch in &snapshot.tail {
            written.entry((Arc::clone(&batch.node), batch.epoch)).or_default().insert(batch.sequence);
        }
        let number = manifest.reserve_number();
        let added = self.write_files(number, &snapshot)?;
        let record = Record {
            number: manifest.next_number(),
            added,
            batches: manifest::ranges(&written),
            marks: snapshot.watermark.clone(),
            ..Record::default()
        };
        let files = self.commit(manifest, record)?;
        failpoint::hit("store.flush_recorded");

        let mut state = self.state();
        let visible = Arc::make_mut(&mut state.snapshot);
        visible.files.extend(files);
        // Batches are only ever added behind the ones that were written.
        visible.tail.drain(..snapshot.tail.len());
        state.tail_rows = state.snapshot.tail.iter().map(|batch| batch.rows).sum();
        for (source, sequences) in &written {
            state.durable.entry(source.clone()).or_default().extend(sequences);
        }
        state.durable_marks = snapshot.watermark.clone();
        drop(state);
        failpoint::hit("store.flush_swapped");
        Ok(())
    }

    /// Writes all rows of a tail; after an error none of the files is left.
    fn write_files(&self, number: u64, snapshot: &Snapshot) -> Result<Vec<FileEntry>, StoreError> {
        let mut groups: BTreeMap<(u64, RowKind), Vec<RecordBatch>> = BTreeMap::new();
        for piece in snapshot.tail.iter().flat_map(|batch| &batch.pieces) {
            groups.entry((piece.environment, piece.kind)).or_default().push(piece.rows.clone());
        }
        let target = self.target(number);
        let mut added = Vec::new();
        for ((environment, kind), rows) in groups {
            match writer::write_rows(&target, environment, kind, &rows) {
                Ok(files) => added.extend(files),
                Err(error) => {
                    file_writer::remove(&self.dir, &added);
                    return Err(error);
                }
            }
        }
        Ok(added)
    }

    /// Exchanges files for the one that they make; false when the warehouse closes meanwhile. Flushes go on beside it.
    fn merge(&self, merge: &Merge) -> Result<bool, StoreError> {
        let number = self.manifest()?.reserve_number();
        let Some(added) = merge.write(&self.target(number), &self.closing)? else {
            return Ok(false);
        };
        let mut manifest = match self.manifest() {
            Ok(manifest) => manifest,
            Err(error) => {
                file_writer::remove(&self.dir, &added);
                return Err(error);
            }
        };
        let snapshot = self.snapshot();
        if !merge.files.iter().all(|merged| snapshot.files.iter().any(|file| Arc::ptr_eq(file, merged))) {
            // Some have expired: their rows must not come back.
            file_writer::remove(&self.dir, &added);
            return Ok(true);
        }
        let record = Record {
            number: manifest.next_number(),
            added,
            removed: merge.paths(),
            marks: self.state().durable_marks.clone(),
            ..Record::default()
        };
        let files = self.commit(&mut manifest, record)?;
        failpoint::hit("store.merge_recorded");
        let mut state = self.state();
        let visible = Arc::make_mut(&mut state.snapshot);
        visible.files.retain(|file| !merge.contains(file));
        visible.files.extend(files);
        drop(state);
        failpoint::hit("store.merge_swapped");
        merge.files.iter().for_each(|file| file.retire());
        Ok(true)
    }

    /// Makes written files count; after an error they are removed, unless the manifest may still name them.
    fn commit(&self, manifest: &mut Manifest, record: Record) -> Result<Vec<Arc<DataFile>>, StoreError> {
        if let Err(error) = manifest.append(&record) {
            if !manifest.is_broken() {
                file_writer::remove(&self.dir, &record.added);
            }
            return Err(error);
        }
        Ok(record.added.into_iter().map(|entry| Arc::new(DataFile::new(&self.dir, entry))).collect())
    }

    fn rewrite(&self, manifest: &mut Manifest) -> Result<(), StoreError> {
        let contents = {
            let state = self.state();
            let entry = |file: &Arc<DataFile>| (file.entry.path.clone(), file.entry.clone());
            Contents {
                files: state.snapshot.files.iter().map(entry).collect(),
                durable: state.durable.clone(),
                marks: state.durable_marks.clone(),
                expired: state.snapshot.expired.clone(),
                torn: false,
            }
        };
        manifest.rewrite(contents)
    }

    fn target(&self, number: u64) -> Target<'_> {
        Target { dir: &self.dir, number, buckets: self.options.buckets }
    }
}
