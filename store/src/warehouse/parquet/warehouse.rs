//! The warehouse itself: what is appended, when it is written, how readers and writers keep out of each other's way.
//!
//! Two locks, never held across an await: `state` for instants (exchange a snapshot), `writing` for whole flushes.
//! A flush writes files and a manifest record first, then exchanges batches for files in one step under `state`.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use liftgate_domain::{
    EventCounts, MomentsAnswer, MomentsQuery, NodeMark, RowKind, SealedBatch, StoreError, Warehouse, Watermark,
};
use tokio::sync::watch;

use super::compaction;
use super::data_file::DataFile;
use super::engine::Engine;
use super::identity::{self, Repeats};
use super::layout::{self, Orphans, unavailable};
use super::manifest::{self, Manifest};
use super::options::ParquetOptions;
use super::readout;
use super::record::{FileEntry, Record};
use super::snapshot::{Description, Snapshot, TailBatch};
use super::writer::{self, Target};
use crate::warehouse::sequences::Sequences;

const LOCK_NAME: &str = "lock";
/// How many times `flush_rows` the tail may hold before appending waits for a flush.
const TAIL_FLUSHES_MAX: usize = 2;

type BatchSets = BTreeMap<(Arc<str>, u64), Sequences>;

/// The embedded warehouse, in one folder.
pub struct ParquetWarehouse {
    inner: Arc<Inner>,
    engine: Engine,
    /// The last repeated ids found, by environment, with the generation of rows that they were found in.
    repeats: Mutex<BTreeMap<u64, (u64, Arc<Repeats>)>>,
    /// Held as long as the warehouse is open: one process at a time.
    _lock: File,
}

struct Inner {
    dir: PathBuf,
    options: ParquetOptions,
    state: Mutex<State>,
    evidence: watch::Sender<Watermark>,
    /// Held by whoever writes files.
    writing: Mutex<Manifest>,
    flush_is_due: AtomicBool,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    snapshot: Arc<Snapshot>,
    tail_rows: usize,
    appended: BatchSets,
    durable: BatchSets,
    /// The marks of the last manifest record.
    durable_marks: Watermark,
}

impl ParquetWarehouse {
    /// Opens the warehouse in `dir`, which is created when missing.
    ///
    /// What a crash left behind is put right: a manifest record cut short is dropped, files that no record names are
    /// cleared away. `Unavailable` when the folder cannot be used (also when another process has it open), `Corrupt`
    /// when the manifest is damaged or a file that it names is missing or of another length.
    pub fn open(dir: &Path, options: ParquetOptions) -> Result<Self, StoreError> {
        options.check()?;
        fs::create_dir_all(dir).map_err(|error| unavailable("create", dir, &error))?;
        // Paths must mean the same to every thread, wherever the process goes.
        let dir = fs::canonicalize(dir).map_err(|error| unavailable("open", dir, &error))?;
        let lock = lock(&dir)?;
        let (manifest, contents) = Manifest::open(&dir)?;
        let orphans = if contents.torn { Orphans::MoveAside } else { Orphans::Remove };
        let cleared = layout::clear_orphans(&dir, |path| contents.files.contains_key(path), orphans)?;
        if cleared > 0 {
            tracing::info!(dir = %dir.display(), cleared, "Files that an interrupted flush left behind were cleared away.");
        }
        let files: Vec<Arc<DataFile>> =
            contents.files.into_values().map(|entry| Arc::new(DataFile::new(&dir, entry))).collect();
        files.iter().try_for_each(|file| file.check())?;
        let snapshot = Snapshot {
            files,
            tail: Vec::new(),
            watermark: contents.marks.clone(),
            sources: contents.durable.keys().cloned().collect(),
            generation: 0,
        };
        let state = State {
            snapshot: Arc::new(snapshot),
            tail_rows: 0,
            appended: contents.durable.clone(),
            durable: contents.durable,
            durable_marks: contents.marks.clone(),
        };
        let engine = Engine::start(options.threads)?;
        let inner = Inner {
            dir,
            options,
            state: Mutex::new(state),
            evidence: watch::Sender::new(contents.marks),
            writing: Mutex::new(manifest),
            flush_is_due: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner), engine, repeats: Mutex::default(), _lock: lock })
    }

    /// How large the warehouse is.
    pub fn describe(&self) -> Description {
        self.inner.snapshot().describe(&self.inner.dir)
    }

    /// Repeated ids matter only when more than one log has written.
    async fn repeats(&self, snapshot: &Arc<Snapshot>, environment: u64) -> Result<Arc<Repeats>, StoreError> {
        if snapshot.sources.len() <= 1 {
            return Ok(Arc::default());
        }
        self.find_repeats(snapshot, environment).await
    }

    async fn find_repeats(&self, snapshot: &Arc<Snapshot>, environment: u64) -> Result<Arc<Repeats>, StoreError> {
        let generation = snapshot.generation;
        if let Some((found_in, repeats)) = self.known_repeats().get(&environment)
            && *found_in == generation
        {
            return Ok(Arc::clone(repeats));
        }
        let (session, snapshot) = (self.engine.session(), Arc::clone(snapshot));
        let found = self.engine.run(async move { identity::find(&session, &snapshot, environment).await }).await?;
        let found = Arc::new(found);
        self.known_repeats().insert(environment, (generation, Arc::clone(&found)));
        Ok(found)
    }

    fn known_repeats(&self) -> MutexGuard<'_, BTreeMap<u64, (u64, Arc<Repeats>)>> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a flush on the warehouse's own threads, unless one is about to start anyway.
    fn flush_soon(&self) {
        if self.inner.flush_is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        self.engine.start_blocking(move || {
            inner.flush_is_due.store(false, Ordering::Release);
            if let Err(error) = inner.flush() {
                tracing::error!(dir = %inner.dir.display(), %error, "The warehouse could not write its tail; it stays in memory and in the log.");
            }
        });
    }
}

#[async_trait]
impl Warehouse for ParquetWarehouse {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        // A heartbeat repeats the last sequence, so it is the rows that say whether a batch can be a repetition.
        if batch.rows.is_empty() || self.inner.is_known(&batch) {
            self.inner.advance(&batch);
        } else {
            // An error here is the answer: the sender keeps the batch in its log and tries again.
            while self.inner.tail_is_full() {
                let inner = Arc::clone(&self.inner);
                self.engine.block(move || inner.flush()).await?;
            }
            let (inner, batch) = (Arc::clone(&self.inner), Arc::clone(&batch));
            self.engine.run(async move { inner.append(&batch) }).await?;
        }
        if self.inner.should_flush(&batch) {
            self.flush_soon();
        }
        Ok(())
    }

    fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        self.inner.state().durable.get(&(Arc::from(node), epoch)).map_or(0, Sequences::through)
    }

    fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        self.inner.state().durable.get(&(Arc::from(node), epoch)).is_some_and(|durable| durable.contains(sequence))
    }

    /// One process has the folder, so every other node's log is gone, or its next start writes under another id.
    fn retire_other_nodes(&self, node: &str) {
        self.inner.retire_other_nodes(node);
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        self.engine.block(move || inner.flush()).await
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.inner.evidence.subscribe()
    }

    async fn moments(&self, query: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        let snapshot = self.inner.snapshot();
        let repeats = self.repeats(&snapshot, query.environment).await?;
        let (query, threads) = (query.clone(), self.inner.options.threads);
        self.engine.answer(move || readout::answer(&snapshot, &query, &repeats, threads)).await
    }

    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError> {
        let snapshot = self.inner.snapshot();
        let repeats = self.find_repeats(&snapshot, environment).await?;
        Ok(repeats.counts(&snapshot, environment))
    }
}

impl Drop for ParquetWarehouse {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Release);
        // A flush that has begun finishes before the folder's lock is given back.
        drop(self.inner.writing.lock());
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().snapshot)
    }

    fn is_known(&self, batch: &SealedBatch) -> bool {
        let source = (Arc::clone(&batch.node), batch.epoch);
        self.state().appended.get(&source).is_some_and(|known| known.contains(batch.sequence))
    }

    fn tail_is_full(&self) -> bool {
        self.state().tail_rows > self.options.flush_rows.saturating_mul(TAIL_FLUSHES_MAX)
    }

    fn should_flush(&self, newest: &SealedBatch) -> bool {
        let state = self.state();
        let age_max_us = i64::try_from(self.options.flush_after_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let oldest = state.snapshot.tail.iter().map(|batch| batch.received_through).min();
        state.tail_rows >= self.options.flush_rows
            || oldest.is_some_and(|oldest| newest.received_through.micros_since(oldest) >= age_max_us)
    }

    /// Makes a batch with rows visible.
    fn append(&self, batch: &SealedBatch) -> Result<(), StoreError> {
        let laid_out = Arc::new(TailBatch::of(batch)?);
        let source = (Arc::clone(&batch.node), batch.epoch);
        let mut state = self.state();
        if state.appended.entry(source.clone()).or_default().insert(batch.sequence) {
            state.tail_rows += laid_out.rows;
            let snapshot = Arc::make_mut(&mut state.snapshot);
            snapshot.tail.push(laid_out);
            snapshot.sources.insert(source);
            snapshot.generation += 1;
        }
        self.advance_in(&mut state, batch);
        Ok(())
    }

    fn advance(&self, batch: &SealedBatch) {
        self.advance_in(&mut self.state(), batch);
    }

    /// Moves the watermark, in the same step that made the rows visible.
    fn advance_in(&self, state: &mut State, batch: &SealedBatch) {
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        self.mark_in(state, |watermark| watermark.advance(&batch.node, mark));
    }

    /// The next manifest record says so too.
    fn retire_other_nodes(&self, node: &str) {
        self.mark_in(&mut self.state(), |watermark| watermark.retain_only(node));
    }

    fn mark_in(&self, state: &mut State, change: impl FnOnce(&mut Watermark)) {
        let mut changed = state.snapshot.watermark.clone();
        change(&mut changed);
        if changed == state.snapshot.watermark {
            return;
        }
        Arc::make_mut(&mut state.snapshot).watermark = changed.clone();
        self.evidence.send_replace(changed);
    }

    /// Writes what was in the tail when it began, and merges small files of one partition if need be.
    fn flush(&self) -> Result<(), StoreError> {
        // A writer that panicked left at most files that no record names.
        let mut manifest = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closing.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("the warehouse is closing".into()));
        }
        self.write_tail(&mut manifest)?;
        if let Some(merge) = compaction::next(&self.snapshot(), self.options.flush_rows as u64) {
            // What was in the tail is durable all the same, and whoever waits for that must hear so.
            if let Err(error) = self.merge(&mut manifest, &merge) {
                tracing::error!(dir = %self.dir.display(), files = merge.files.len(), %error,
                    "Small data files could not be merged; they stay as they are and are tried again.");
            }
        }
        if manifest.is_long() {
            self.rewrite(&mut manifest)?;
        }
        Ok(())
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
        let added = self.write_files(manifest.next_number(), &snapshot)?;
        let record = Record {
            number: manifest.next_number(),
            added,
            removed: Vec::new(),
            batches: manifest::ranges(&written),
            marks: snapshot.watermark.clone(),
        };
        let files = self.commit(manifest, record)?;

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
                    writer::remove(&self.dir, &added);
                    return Err(error);
                }
            }
        }
        Ok(added)
    }

    fn merge(&self, manifest: &mut Manifest, merge: &compaction::Merge) -> Result<(), StoreError> {
        let added = merge.write(&self.target(manifest.next_number()))?;
        let record = Record {
            number: manifest.next_number(),
            added,
            removed: merge.paths(),
            batches: Vec::new(),
            marks: self.state().durable_marks.clone(),
        };
        let files = self.commit(manifest, record)?;
        let mut state = self.state();
        let visible = Arc::make_mut(&mut state.snapshot);
        visible.files.retain(|file| !merge.contains(file));
        visible.files.extend(files);
        drop(state);
        merge.files.iter().for_each(|file| file.retire());
        Ok(())
    }

    /// Makes written files count; after an error they are removed, unless the manifest may still name them.
    fn commit(&self, manifest: &mut Manifest, record: Record) -> Result<Vec<Arc<DataFile>>, StoreError> {
        if let Err(error) = manifest.append(&record) {
            if !manifest.is_broken() {
                writer::remove(&self.dir, &record.added);
            }
            return Err(error);
        }
        Ok(record.added.into_iter().map(|entry| Arc::new(DataFile::new(&self.dir, entry))).collect())
    }

    fn rewrite(&self, manifest: &mut Manifest) -> Result<(), StoreError> {
        let (files, durable, marks) = {
            let state = self.state();
            let files = state.snapshot.files.iter().map(|file| file.entry.clone()).collect();
            (files, state.durable.clone(), state.durable_marks.clone())
        };
        manifest.rewrite(files, &durable, marks)
    }

    fn target(&self, number: u64) -> Target<'_> {
        Target { dir: &self.dir, number, buckets: self.options.buckets }
    }
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_NAME);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| unavailable("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "the warehouse `{}` is open in another process; stop that one, or choose another folder",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unavailable("lock", &path, &error)),
    }
}
