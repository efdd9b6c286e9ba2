//! Opening a node: lock the folder, read the log, continue where it ended.
//!
//! A normal restart continues epoch and sequences. Where the log may have lost a seal or an id (it starts anew, it was
//! damaged before its end, or the warehouse knows of more batches than the log), a new epoch begins: a sequence is never
//! used for other rows. An end that a crash tore off was never acknowledged, nor was a seal in it handed over.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use liftgate_domain::{Attribution, Clock, Entropy, NodeMark, Timestamp, Warehouse};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::appender::{Appender, Progress};
use crate::counters::{self, Cells};
use crate::door::Door;
use crate::exposure::{Drain, ExposureSender};
use crate::folder::Folder;
use crate::ingest::Parts;
use crate::key_file::{self, KeyFile};
use crate::key_index::{self, KeyIndex};
use crate::log::{Log, LogStart};
use crate::medium::{self, Opener};
use crate::record::Mark;
use crate::release::Releaser;
use crate::replay::{self, Damage, Replay};
use crate::segment::Segments;
use crate::writer::{Job, Writer};
use crate::{Error, Ingest, IngestConfig};

/// How long opening waits for the warehouse to take what was recovered; after that it goes on in the background.
const RECOVERY_WAIT: Duration = Duration::from_secs(30);

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    /// This node's id.
    pub node: String,
    /// The epoch that its batches count in.
    pub epoch: u64,
    /// Segments of the log that were read.
    pub segments: u64,
    /// Batches that were sealed before and are handed to the warehouse again.
    pub batches_recovered: u64,
    /// Rows that are handed to the warehouse: those of these batches, and those that no batch had.
    pub rows_recovered: u64,
    /// Event ids that are known.
    pub keys: u64,
    /// What could not be read, and where it was moved to.
    pub damage: Vec<Damage>,
}

/// What was on disk.
struct Found {
    folder: Folder,
    node: String,
    epoch: u64,
    replay: Replay,
    index: KeyIndex,
    key_files: Vec<KeyFile>,
    /// What of it the warehouse has.
    stored: Stored,
    report: OpenReport,
}

/// What of the log is durable in the warehouse.
#[derive(Copy, Clone, Debug)]
struct Stored {
    /// All rows up to this record are.
    durable: u64,
    /// Rows up to this record are in batches, also in some whose seals the log has lost.
    sealed: u64,
    /// The warehouse has a batch whose seal the log has lost.
    is_ahead: bool,
}

impl Ingest {
    /// Opens the node in `config.dir`, creating it when there is none, and hands the warehouse what a crash left behind.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has the folder, [`Error::Disk`] when it cannot be read or written. Damage
    /// in the log is no error: it is moved aside and reported.
    pub async fn open(
        config: IngestConfig,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        warehouse: Arc<dyn Warehouse>,
        attribution: Arc<dyn Attribution>,
    ) -> Result<(Self, OpenReport), Error> {
        Self::open_on(config, clock, entropy, warehouse, attribution, Arc::new(medium::open_file)).await
    }

    pub(crate) async fn open_on(
        config: IngestConfig,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        warehouse: Arc<dyn Warehouse>,
        attribution: Arc<dyn Attribution>,
        opener: Opener,
    ) -> Result<(Self, OpenReport), Error> {
        let folder = Folder::open(&config.dir)?;
        let now = clock.now();
        let node = folder.node_id(now, entropy)?;
        let (store, window_ms) = (Arc::clone(&warehouse), config.dedup_window_ms);
        let read = tokio::task::spawn_blocking(move || find(folder, node, now, window_ms, &*store));
        let found = read.await.map_err(|_| Error::Closed)??;
        let report = found.report.clone();
        for damage in &report.damage {
            if damage.torn_tail {
                tracing::warn!(file = %damage.file.display(), offset = damage.offset, bytes = damage.bytes,
                    moved_to = %damage.moved_to.display(), "The end of the event log was cut short and was moved aside.");
                continue;
            }
            tracing::error!(file = %damage.file.display(), offset = damage.offset, bytes = damage.bytes,
                moved_to = %damage.moved_to.display(), "A part of the event log is damaged and was moved aside.");
        }
        let last = found.replay.unsealed.last.max(found.replay.batches.last().map_or(0, |batch| batch.mark.last));
        let has_unsealed = !found.replay.unsealed.rows.is_empty();
        let (parts, progress) = assemble(config, clock, warehouse, attribution, opener, found)?;
        if has_unsealed {
            parts.door.send(Job::Tick)?;
        }
        let ingest = Self::start(parts)?;
        settle(progress, last).await;
        Ok((ingest, report))
    }
}

/// Reads the folder and decides where to go on. Blocks on the disk.
fn find(
    folder: Folder,
    node: String,
    now: Timestamp,
    window_ms: i64,
    warehouse: &dyn Warehouse,
) -> Result<Found, Error> {
    let mut index = KeyIndex::default();
    let first_day = key_index::first_day(now, window_ms);
    let mut damaged_keys = Vec::new();
    let mut key_files = Vec::new();
    for path in key_file::list(&folder.keys())? {
        match key_file::load(path.clone(), &mut index)? {
            Some(file) => key_files.push(file),
            None => damaged_keys.push(path),
        }
    }
    let mut replay = replay::read(&folder, &mut index)?;
    key_file::expire(&mut key_files, first_day);
    drop(index.expire(first_day));

    let known = warehouse.evidence().borrow().nodes.get(&node).copied().unwrap_or_default();
    let stored = skip_durable(&mut replay, &node, warehouse);
    // Ids that are no longer known may be let in again, and only within one epoch may the warehouse rely on each being
    // new.
    let forgotten = !damaged_keys.is_empty() || replay.damage.iter().any(|damage| !damage.torn_tail);
    let epoch = next_epoch(&replay, &folder, known, forgotten || stored.is_ahead)?;
    replay.stamp = replay.stamp.max(known.received_at);
    let moved = damaged_keys.into_iter().map(|path| move_file_aside(&folder, path));
    let mut damage = moved.collect::<Result<Vec<_>, Error>>()?;
    damage.append(&mut replay.damage);
    let rows = replay.batches.iter().map(|batch| batch.count).sum::<usize>() + replay.unsealed.rows.len();
    let report = OpenReport {
        node: node.clone(),
        epoch,
        segments: replay.segments.len() as u64,
        batches_recovered: replay.batches.len() as u64,
        rows_recovered: rows as u64,
        keys: index.len() as u64,
        damage,
    };
    Ok(Found { folder, node, epoch, replay, index, key_files, stored, report })
}

/// Leaves out the batches that the warehouse has made durable.
fn skip_durable(replay: &mut Replay, node: &str, warehouse: &dyn Warehouse) -> Stored {
    let is_durable = |mark: Mark| warehouse.is_durable(node, mark.epoch, mark.sequence);
    let mut stored = Stored { durable: replay.stored_through, sealed: replay.stored_through, is_ahead: false };
    // A batch whose rows are all lost is never durable, and has none to wait for.
    let missing =
        replay.batches.iter().find(|batch| batch.count > 0 && !is_durable(batch.mark)).map(|batch| batch.first);
    replay.batches.retain(|batch| {
        stored.durable = stored.durable.max(batch.mark.last);
        !is_durable(batch.mark)
    });
    stored.is_ahead = is_durable(Mark { sequence: replay.mark.sequence + 1, ..replay.mark });
    if stored.is_ahead {
        // A seal covers every row before it, and any record after it would have told of it. So the lost seal was at the
        // very end of the log, and covered all that is left of it.
        stored.sealed = stored.sealed.max(replay.unsealed.last);
        stored.durable = stored.durable.max(replay.unsealed.last);
        replay.unsealed = Default::default();
    }
    // Batches behind one that is missing may be durable; the log in front of them is needed all the same.
    stored.durable = stored.durable.min(missing.map_or(u64::MAX, |first| first.saturating_sub(1)));
    stored
}

fn next_epoch(replay: &Replay, folder: &Folder, known: NodeMark, is_broken: bool) -> Result<u64, Error> {
    let highest = replay.highest_epoch.max(folder.epoch()?).max(known.epoch);
    let begins_anew = replay.segments.is_empty()
        || is_broken
        || (known.epoch, known.sequence) > (replay.mark.epoch, replay.mark.sequence)
        || highest > replay.mark.epoch;
    let epoch = if begins_anew { highest + 1 } else { highest };
    if begins_anew {
        folder.write_epoch(epoch)?;
    }
    Ok(epoch)
}

fn move_file_aside(folder: &Folder, path: PathBuf) -> Result<Damage, Error> {
    let bytes = std::fs::read(&path).map_err(|error| Error::disk(&path, &error))?;
    let damage = replay::move_aside(folder, &path, 0..bytes.len(), &bytes)?;
    std::fs::remove_file(&path).map_err(|error| Error::disk(&path, &error))?;
    Ok(damage)
}

fn assemble(
    config: IngestConfig,
    clock: Arc<dyn Clock>,
    warehouse: Arc<dyn Warehouse>,
    attribution: Arc<dyn Attribution>,
    opener: Opener,
    found: Found,
) -> Result<(Parts, watch::Receiver<Progress>), Error> {
    let Found { folder, node, epoch, replay, index, key_files, stored, report } = found;
    let cells = Arc::new(Cells::default());
    counters::add(&cells.damaged_frames, report.damage.len());
    cells.pending.store(report.rows_recovered, std::sync::atomic::Ordering::Relaxed);
    let sequence = if epoch == replay.mark.epoch { replay.mark.sequence } else { 0 };
    let segments = Arc::new(Segments::new(replay.segments, Arc::clone(&cells)));
    let log = Log::open(LogStart {
        wal: folder.wal(),
        opener,
        mark: Mark { epoch, sequence, last: replay.mark.last.max(stored.sealed) },
        next_record: replay.last_record + 1,
        next_number: replay.last_number + 1,
        stamp: replay.stamp,
        segment_bytes: config.segment_bytes(),
        segments: Arc::clone(&segments),
    })?;
    let (jobs, job_queue) = mpsc::channel();
    let (batches, batch_queue) = tokio::sync::mpsc::unbounded_channel();
    let (exposures, exposure_queue) = tokio::sync::mpsc::channel(config.exposure_queue.max(1));
    let (progress, follow) = watch::channel(Progress { last: stored.durable, failing: false });
    for batch in replay.batches {
        // The receiver is in this function, so it cannot be gone.
        let _ = batches.send(batch);
    }
    let door = Arc::new(Door::new(Arc::clone(&clock), replay.stamp, index, jobs));
    let closing = CancellationToken::new();
    let writer = Writer {
        jobs: job_queue,
        door: Arc::clone(&door),
        log,
        unsealed: replay.unsealed,
        batches,
        cells: Arc::clone(&cells),
        clock: Arc::clone(&clock),
        seal_rows: config.seal_rows.max(1),
        group_commit: Duration::from_millis(config.group_commit_ms),
    };
    let folder = Arc::new(folder);
    let locked = Arc::downgrade(&folder);
    let releaser = Releaser {
        folder,
        segments: Arc::clone(&segments),
        cells: Arc::clone(&cells),
        key_files,
        appended: Default::default(),
        durable: stored.durable,
    };
    let appender = Appender {
        warehouse: Arc::clone(&warehouse),
        node: node.into(),
        batches: batch_queue,
        segments,
        door: Arc::clone(&door),
        cells: Arc::clone(&cells),
        progress,
        releaser: Some(releaser),
        closing: closing.clone(),
        dedup_window_ms: config.dedup_window_ms,
        flush_bytes: config.backlog_bytes_max / 2,
        is_alone: false,
    };
    let drain = Drain {
        queue: exposure_queue,
        door: Arc::clone(&door),
        cells: Arc::clone(&cells),
        closing: closing.clone(),
        backlog_bytes_max: config.backlog_bytes_max,
    };
    let exposures = ExposureSender::new(exposures, Arc::clone(&cells));
    let parts = Parts {
        config,
        clock,
        warehouse,
        attribution,
        door,
        cells,
        exposures,
        closing,
        locked,
        writer,
        appender,
        drain,
    };
    Ok((parts, follow))
}

/// Waits until the warehouse has what was recovered, has refused it for now, or takes too long.
async fn settle(mut progress: watch::Receiver<Progress>, last: u64) {
    let settled = progress.wait_for(|progress| progress.last >= last || progress.failing);
    if tokio::time::timeout(RECOVERY_WAIT, settled).await.is_err() {
        tracing::warn!(
            "The warehouse is slow to take what was recovered from the event log; it goes on in the background."
        );
    }
}
