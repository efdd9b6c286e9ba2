//! Opening a node: lock the folder, read the log, continue where it ended.
//!
//! A normal restart continues epoch and sequences. Where the log may have lost a seal or an id (it starts anew, it was
//! damaged before its end, or the warehouse knows of more batches than the log), a new epoch begins: a sequence is never
//! used for other rows. An end that a crash tore off was never acknowledged, nor was a seal in it handed over.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use liftgate_domain::{Attribution, Clock, Entropy, NodeMark, Timestamp, Warehouse};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::appender::{Appender, Progress};
use crate::checkpoint::Checkpoint;
use crate::counters::{self, Cells};
use crate::disk_space::DiskSpace;
use crate::door::Door;
use crate::exposure::{Drain, ExposureSender};
use crate::folder::Folder;
use crate::gate::Gate;
use crate::ingest::Parts;
use crate::keys::{self, Horizon, KeyIndex, KeyRuns, Look};
use crate::ledger::{self, Books, Pending};
use crate::log::{Log, LogStart};
use crate::medium::{self, Opener};
use crate::quarantine::{Desk, Held};
use crate::record::Mark;
use crate::release::Releaser;
use crate::replay::{self, Damage, Pupils, Replay};
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
    /// Events in quarantine.
    pub quarantined: u64,
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
    horizon: Horizon,
    held: Held,
    checkpoint: Checkpoint,
    /// What of it the warehouse has.
    stored: Stored,
    report: OpenReport,
}

/// What of the log is durable in the warehouse.
#[derive(Clone, Debug)]
struct Stored {
    /// All rows up to this record are.
    durable: u64,
    /// Rows up to this record are in batches, also in some whose seals the log has lost.
    sealed: u64,
    /// The warehouse has a batch whose seal the log has lost.
    is_ahead: bool,
    /// The batches beyond `durable` that are durable all the same, in order.
    durable_ahead: VecDeque<Mark>,
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
        let (store, settings) = (Arc::clone(&warehouse), config.clone());
        let read = tokio::task::spawn_blocking(move || find(folder, node, now, &settings, &*store));
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
    config: &IngestConfig,
    warehouse: &dyn Warehouse,
) -> Result<Found, Error> {
    let last_run = KeyRuns::last_day(&folder.keys())?.map(keys::end_of);
    let (mut horizon, _) = horizon(last_run, now, config.dedup_window_ms);
    let (runs, damaged_keys) = KeyRuns::open(folder.keys(), horizon.first())?;
    let mut index = KeyIndex::new(Arc::new(runs));
    let held = Held::new(config.quarantine_bytes_max);
    let (mut damage, last_held) = held.load(&folder)?;
    let (checkpoint, checkpoint_damage) = Checkpoint::load(&folder)?;
    damage.extend(checkpoint_damage);
    let mut pupils = Pupils { index: Some(&mut index), held: &held, counted_through: checkpoint.through };
    let mut replay = replay::read(&folder, &mut pupils)?;
    // Where the log is gone, what names its records is not: no number may be used again.
    replay.last_record = replay.last_record.max(last_held).max(checkpoint.through);
    let known = warehouse.evidence().borrow().nodes.get(&node).copied().unwrap_or_default();
    let last_stamp = Some(replay.stamp.max(known.received_at)).filter(|stamp| *stamp > Timestamp::default());
    let look;
    (horizon, look) = self::horizon(last_run.max(last_stamp), now, config.dedup_window_ms);
    if look == Look::Doubtful {
        keys::horizon::tell_of_jump(now);
    }
    drop(index.expire(horizon.first()));
    let stored = skip_durable(&mut replay, &node, warehouse);
    // Ids that are no longer known may be let in again, and only within one epoch may the warehouse rely on each being
    // new.
    let forgotten = !damaged_keys.is_empty() || replay.damage.iter().any(|damage| !damage.torn_tail);
    let epoch = next_epoch(&replay, &folder, known, forgotten || stored.is_ahead)?;
    replay.stamp = replay.stamp.max(known.received_at);
    let moved = damaged_keys.into_iter().map(|path| move_file_aside(&folder, path));
    damage.append(&mut moved.collect::<Result<Vec<_>, Error>>()?);
    damage.append(&mut replay.damage);
    let rows = replay.batches.iter().map(|batch| batch.count).sum::<usize>() + replay.unsealed.rows.len();
    let report = OpenReport {
        node: node.clone(),
        epoch,
        segments: replay.segments.len() as u64,
        batches_recovered: replay.batches.len() as u64,
        rows_recovered: rows as u64,
        keys: index.len(),
        quarantined: held.len() as u64,
        damage,
    };
    Ok(Found { folder, node, epoch, replay, index, horizon, held, checkpoint, stored, report })
}

/// Which ids are remembered by a node that was last heard of at `last`, if ever.
fn horizon(last: Option<Timestamp>, now: Timestamp, window_ms: i64) -> (Horizon, Look) {
    let mut horizon = last.map_or_else(Horizon::default, |last| Horizon::of_last_life(last, now, window_ms));
    let look = horizon.look(now, window_ms);
    (horizon, look)
}

/// Leaves out the batches that the warehouse has made durable.
fn skip_durable(replay: &mut Replay, node: &str, warehouse: &dyn Warehouse) -> Stored {
    let is_durable = |mark: Mark| warehouse.is_durable(node, mark.epoch, mark.sequence);
    let (durable, sealed) = (replay.stored_through, replay.stored_through);
    let mut stored = Stored { durable, sealed, is_ahead: false, durable_ahead: VecDeque::new() };
    // A batch whose rows are all lost is never durable, and has none to wait for.
    let missing =
        replay.batches.iter().find(|batch| batch.count > 0 && !is_durable(batch.mark)).map(|batch| batch.first);
    replay.batches.retain(|batch| {
        stored.durable = stored.durable.max(batch.mark.last);
        let is_durable = is_durable(batch.mark);
        stored.durable_ahead.extend(is_durable.then_some(batch.mark));
        !is_durable
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
    stored.durable_ahead.retain(|mark| mark.last > stored.durable);
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
    let bytes = std::fs::metadata(&path).map_err(|error| Error::disk(&path, &error))?.len();
    let moved_to = replay::place_for_damage(folder, &path, 0)?;
    std::fs::rename(&path, &moved_to).map_err(|error| Error::disk(&path, &error))?;
    crate::folder::sync_dir(&folder.damaged())?;
    crate::folder::sync_dir(&folder.keys())?;
    Ok(Damage { file: path, offset: 0, bytes, moved_to, torn_tail: false })
}

fn assemble(
    config: IngestConfig,
    clock: Arc<dyn Clock>,
    warehouse: Arc<dyn Warehouse>,
    attribution: Arc<dyn Attribution>,
    opener: Opener,
    found: Found,
) -> Result<(Parts, watch::Receiver<Progress>), Error> {
    let Found { folder, node, epoch, replay, index, horizon, held, checkpoint, stored, report } = found;
    let cells = Arc::new(Cells::default());
    counters::add(&cells.damaged_frames, report.damage.len());
    cells.released_through.store(checkpoint.through, std::sync::atomic::Ordering::Relaxed);
    counters::add(&cells.batch_queue, replay.batches.iter().filter(|batch| batch.count > 0).count());
    cells.pending_rows.store(report.rows_recovered, std::sync::atomic::Ordering::Relaxed);
    let books = Arc::new(Books::open(&checkpoint.ledgers, &replay.tally, &pending(&replay), &held.counts()));
    let held = Arc::new(held);
    let space = Arc::new(DiskSpace::new(config.dir.clone(), config.disk_free_min_bytes));
    let gate = Gate { cells: Arc::clone(&cells), backlog_bytes_max: config.backlog_bytes_max, space };
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
    let door = Arc::new(Door::new(Arc::clone(&clock), replay.stamp, index, horizon, jobs));
    let closing = CancellationToken::new();
    let writer = Writer {
        jobs: job_queue,
        door: Arc::clone(&door),
        log,
        unsealed: replay.unsealed,
        unsealed_bytes: 0,
        batches,
        cells: Arc::clone(&cells),
        books: Arc::clone(&books),
        held: Arc::clone(&held),
        space: Arc::clone(&gate.space),
        clock: Arc::clone(&clock),
        seal_rows: config.seal_rows.max(1),
        group_commit: Duration::from_millis(config.group_commit_ms),
        is_rotation_failing: false,
    };
    let folder = Arc::new(folder);
    let locked = Arc::downgrade(&folder);
    let releaser = Releaser {
        folder,
        segments: Arc::clone(&segments),
        door: Arc::clone(&door),
        held: Arc::clone(&held),
        cells: Arc::clone(&cells),
        checkpoint,
        appended: Default::default(),
        durable: stored.durable,
        durable_ahead: stored.durable_ahead,
    };
    let appender = Appender {
        warehouse: Arc::clone(&warehouse),
        node: node.into(),
        batches: batch_queue,
        segments: Arc::clone(&segments),
        door: Arc::clone(&door),
        cells: Arc::clone(&cells),
        books: Arc::clone(&books),
        progress,
        releaser: Some(releaser),
        closing: closing.clone(),
        dedup_window_ms: config.dedup_window_ms,
        flush_bytes: config.backlog_bytes_max / 2,
        is_alone: false,
        is_release_failing: false,
    };
    let drain = Drain {
        queue: exposure_queue,
        door: Arc::clone(&door),
        cells: Arc::clone(&cells),
        closing: closing.clone(),
        gate: gate.clone(),
    };
    let desk = Desk { held, log: segments, turn: Arc::default() };
    let exposures = ExposureSender::new(exposures, Arc::clone(&cells));
    let parts = Parts {
        config,
        clock,
        warehouse,
        attribution,
        door,
        cells,
        books,
        gate,
        desk,
        exposures,
        closing,
        locked,
        writer,
        appender,
        drain,
    };
    Ok((parts, follow))
}

/// The events that are still to be handed to the warehouse.
fn pending(replay: &Replay) -> Pending {
    let mut events = ledger::events_of(&replay.unsealed.rows);
    for (environment, count) in replay.batches.iter().flat_map(|batch| &batch.events) {
        *events.entry(*environment).or_default() += count;
    }
    let oldest_sealed = replay.batches.iter().find(|batch| batch.count > 0).map(|batch| batch.received_through);
    let oldest_unsealed = (!replay.unsealed.rows.is_empty()).then_some(replay.unsealed.received_through);
    Pending { events, oldest: oldest_sealed.or(oldest_unsealed) }
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
