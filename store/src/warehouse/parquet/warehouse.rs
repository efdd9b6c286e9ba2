//! The warehouse itself: opened on a folder, appended to, asked, closed.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use liftgate_domain::{
    EventCounts, MomentsAnswer, MomentsQuery, SealedBatch, StoreError, Timestamp, Warehouse, Watermark,
};
use tokio::sync::watch;

use super::data_file::DataFile;
use super::engine::Engine;
use super::first_exposures::FirstExposures;
use super::identity::{self, Repeats};
use super::layout::{self, Orphans, unavailable};
use super::manifest::Manifest;
use super::options::ParquetOptions;
use super::readout;
use super::retention;
use super::snapshot::{Description, Snapshot};
use super::state::{Inner, State};
use crate::warehouse::sequences::Sequences;

const LOCK_NAME: &str = "lock";
/// How long the next flush waits after one that failed.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// The embedded warehouse, in one folder.
pub struct ParquetWarehouse {
    inner: Arc<Inner>,
    engine: Engine,
    /// The last repeated ids found, by environment, with the generation of rows that they were found in.
    repeats: Mutex<BTreeMap<u64, (u64, Arc<Repeats>)>>,
    first_exposures: Arc<FirstExposures>,
    /// Held while repeated ids are looked for.
    searching: tokio::sync::Mutex<()>,
    /// Held as long as the warehouse is open: one process at a time.
    _lock: File,
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
        if dir.to_string_lossy().contains(['*', '?', '[', ']']) {
            // What looks for repeated ids would take them for a pattern, and find no file.
            return Err(StoreError::Invalid(format!(
                "the warehouse's folder `{}` has a `*`, `?`, `[` or `]` in its path; choose another one",
                dir.display()
            )));
        }
        let lock = lock(&dir)?;
        let (manifest, contents) = Manifest::open(&dir)?;
        let orphans = if contents.torn { Orphans::MoveAside } else { Orphans::Remove };
        if let Some(old) = contents.files.values().find(|entry| !entry.is_readable()) {
            return Err(StoreError::Unavailable(format!(
                "`{}` was written with schema version {}, which this version of Liftgate does not read; start with an empty \
                 folder and send the events again, or go back to the version that wrote it",
                dir.join(&old.path).display(),
                old.version
            )));
        }
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
            expired: contents.expired,
        };
        let state = State {
            snapshot: Arc::new(snapshot),
            tail_rows: 0,
            appended: contents.durable.clone(),
            durable: contents.durable,
            durable_marks: contents.marks.clone(),
        };
        let engine = Engine::start(options.threads)?;
        let first_exposures = Arc::new(FirstExposures::new(options.remembered_bytes));
        let inner = Inner {
            dir,
            options,
            state: Mutex::new(state),
            evidence: watch::Sender::new(contents.marks),
            writing: Mutex::new(manifest),
            compacting: Mutex::new(()),
            flush_is_due: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        };
        Ok(Self {
            inner: Arc::new(inner),
            engine,
            repeats: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
            first_exposures,
            _lock: lock,
        })
    }

    /// How large the warehouse is.
    pub fn describe(&self) -> Description {
        let remembered = self.first_exposures.describe();
        Description { remembered, ..self.inner.snapshot().describe(&self.inner.dir) }
    }

    /// Merges small files into large ones until none are due. It happens by itself after flushes; whoever waits for this
    /// knows that it has. Stops early, without an error, when the warehouse closes.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        self.engine.block(move || inner.compact()).await
    }

    /// Drops the rows of an environment whose days (UTC, by `ts`) end no later than `before`, in one step that survives a
    /// crash. Answers how many distinct events went; [`ParquetWarehouse::expired`] adds them up. Rows of such days that
    /// are not in files yet, or arrive later, go the next time.
    pub async fn expire(&self, environment: u64, before: Timestamp) -> Result<u64, StoreError> {
        let (inner, session) = (Arc::clone(&self.inner), self.engine.session());
        let runtime = self.engine.handle()?;
        self.engine
            .block(move || {
                // No flush and no merge between counting and dropping.
                let mut manifest = inner.manifest()?;
                let snapshot = inner.snapshot();
                let files = retention::expired(&snapshot, environment, before);
                if files.is_empty() {
                    return Ok(0);
                }
                let rest = retention::without(&snapshot, &files);
                let count = |of: &Snapshot| -> Result<u64, StoreError> {
                    let repeats = match of.sources.len() {
                        0 | 1 => Repeats::default(),
                        _ => runtime.block_on(identity::find(&session, of, environment))?,
                    };
                    let counts = repeats.counts(of, environment);
                    Ok(counts.exposures + counts.metrics)
                };
                let events = count(&snapshot)?.saturating_sub(count(&rest)?);
                inner.expire(&mut manifest, environment, &files, events)?;
                tracing::info!(
                    environment,
                    events,
                    files = files.len(),
                    "Events older than the retention time have been removed."
                );
                Ok(events)
            })
            .await
    }

    /// How many distinct events of an environment have expired so far.
    pub fn expired(&self, environment: u64) -> u64 {
        self.inner.snapshot().expired.get(&environment).copied().unwrap_or_default()
    }

    /// Repeated ids matter only when more than one log has written.
    async fn repeats(&self, snapshot: &Arc<Snapshot>, environment: u64) -> Result<Arc<Repeats>, StoreError> {
        if snapshot.sources.len() <= 1 {
            return Ok(Arc::default());
        }
        self.find_repeats(snapshot, environment).await
    }

    async fn find_repeats(&self, snapshot: &Arc<Snapshot>, environment: u64) -> Result<Arc<Repeats>, StoreError> {
        // One at a time: whoever waits finds the answer of the one before, and a search reads every id.
        let _searching = self.searching.lock().await;
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
            // Until it is done nobody starts another one, which would only wait behind it.
            let flushing = Flushing(&inner.flush_is_due);
            if let Err(error) = inner.flush() {
                tracing::error!(dir = %inner.dir.display(), %error, "The warehouse could not write its tail; it stays in memory and in the log.");
                // A full disk is not asked again at once.
                std::thread::sleep(FLUSH_PAUSE);
            }
            drop(flushing);
            inner.compact_beside();
        });
    }
}

/// A flush is on its way, until this is dropped.
struct Flushing<'a>(&'a AtomicBool);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
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
        let flushed = Arc::clone(&inner);
        self.engine.block(move || flushed.flush()).await?;
        self.engine.start_blocking(move || inner.compact_beside());
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.inner.evidence.subscribe()
    }

    async fn moments(&self, query: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        let snapshot = self.inner.snapshot();
        let repeats = self.repeats(&snapshot, query.environment).await?;
        let first_exposures = Arc::clone(&self.first_exposures);
        let (query, threads) = (query.clone(), self.inner.options.threads);
        self.engine.answer(move || readout::answer(&snapshot, &query, &repeats, &first_exposures, threads)).await
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
        // A flush that has begun finishes, and a merge stops, before the folder's lock is given back.
        drop(self.inner.compacting.lock());
        drop(self.inner.writing.lock());
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
