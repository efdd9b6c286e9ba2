//! The thread that owns the open end of the log: gathers queued writes, syncs them together, answers them, and seals
//! what they held into batches. Knows nothing of the warehouse; sealed batches go to a channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use liftgate_domain::{Clock, EventRow, RowKind, Timestamp, failpoint};
use tokio::sync::mpsc::UnboundedSender;

use crate::counters::{self, Cells};
use crate::disk_space::DiskSpace;
use crate::door::{Append, Door};
use crate::ledger::{self, Books, Events, Tally};
use crate::log::{Frames, Log};
use crate::prepared::Content;
use crate::quarantine::{Held, QuarantineId};
use crate::record::{Fate, Mark};
use crate::sealed::{Sealed, Unsealed};

/// Bytes after which a group is synced without waiting for more.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Rows of sealed batches that may wait in memory, and what they may take in the log; those of further ones are read from
/// the log when their turn comes.
const RESIDENT_ROWS_MAX: u64 = 500_000;
const RESIDENT_BYTES_MAX: u64 = 64 << 20;
/// A batch is sealed early once its rows take this much of the log: until then they are all in memory.
const SEAL_BYTES_MAX: u64 = 16 << 20;

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Write the new events of a request.
    Append(Append),
    /// The seal interval is over.
    Tick,
    /// Write what is queued, seal all of it, begin a new segment and end.
    Finish,
    /// End at once, sealing nothing.
    Abandon,
}

/// The writer's state.
pub(crate) struct Writer {
    pub jobs: Receiver<Job>,
    pub door: Arc<Door>,
    pub log: Log,
    pub unsealed: Unsealed,
    /// What the rows that no seal covers take in the log.
    pub unsealed_bytes: u64,
    /// Where sealed batches go. Bounded by the log's backlog, and in memory by `RESIDENT_ROWS_MAX` and
    /// `RESIDENT_BYTES_MAX`.
    pub batches: UnboundedSender<Sealed>,
    pub cells: Arc<Cells>,
    pub books: Arc<Books>,
    pub held: Arc<Held>,
    pub space: Arc<DiskSpace>,
    pub clock: Arc<dyn Clock>,
    pub seal_rows: usize,
    pub group_commit: Duration,
    /// The last try to begin a new segment failed; that has been told.
    pub is_rotation_failing: bool,
}

/// The records of a request.
#[derive(Copy, Clone, Debug, Default)]
struct Added {
    /// Of its rows, when it has any.
    rows: Option<u64>,
    /// Of its events for quarantine; 0 when it has none.
    held: u64,
}

#[derive(Default)]
struct Group {
    appends: Vec<Append>,
    bytes: usize,
    tick: bool,
    end: Option<End>,
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum End {
    Finish,
    Abandon,
}

impl Group {
    fn take(&mut self, job: Job) {
        match job {
            Job::Append(append) => {
                self.bytes += append.byte_count;
                self.appends.push(append);
            }
            Job::Tick => self.tick = true,
            Job::Finish => self.end = Some(End::Finish),
            Job::Abandon => self.end = Some(End::Abandon),
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= GROUP_BYTES_MAX || self.end.is_some()
    }
}

impl Writer {
    /// Works until told to end, or until nobody can send jobs any more.
    pub(crate) fn run(mut self) {
        let mut in_company = false;
        while let Ok(first) = self.jobs.recv() {
            let mut group = Group::default();
            group.take(first);
            self.gather(&mut group);
            // Only when the last sync had several requests is it worth waiting for others: a lone sender would only wait
            // for itself.
            if in_company && !group.appends.is_empty() && !group.is_full() && !self.group_commit.is_zero() {
                std::thread::sleep(self.group_commit);
                self.gather(&mut group);
            }
            in_company = group.appends.len() > 1;
            let end = group.end;
            if end == Some(End::Abandon) {
                return;
            }
            self.commit(group);
            if end == Some(End::Finish) {
                self.finish();
                return;
            }
        }
    }

    fn gather(&self, group: &mut Group) {
        while !group.is_full() {
            let Ok(job) = self.jobs.try_recv() else {
                return;
            };
            group.take(job);
        }
    }

    fn commit(&mut self, mut group: Group) {
        let queued_rows: usize = group.appends.iter().map(|append| append.content.rows.len()).sum();
        let queued_bytes: usize = group.appends.iter().map(|append| append.content.bytes.len()).sum();
        let rows = self.unsealed.rows.len() + queued_rows;
        let is_full = rows >= self.seal_rows || self.unsealed_bytes + queued_bytes as u64 >= SEAL_BYTES_MAX;
        let seal = rows > 0 && (group.tick || group.end.is_some() || is_full);
        if group.appends.is_empty() && !seal {
            if group.tick {
                self.heartbeat();
                // A full segment that could not be closed holds the log back, and with it the events that would come.
                self.rotate_if_full();
            }
            return;
        }
        let mut frames = Frames::default();
        let added: Vec<Added> = group.appends.iter().map(|append| self.add(&mut frames, append)).collect();
        let mark = seal.then(|| self.add_seal(&mut frames, &group.appends, &added));
        let mut tally = Tally::default();
        group.appends.iter().for_each(|append| tally.append(&append.content));
        let began = self.clock.now();
        let byte_count = frames.byte_count();
        if let Err(error) = self.log.write(frames, tally.clone()) {
            tracing::error!(%error, requests = group.appends.len(), "The event log could not be written; the requests are refused.");
            counters::add(&self.cells.write_failures, 1);
            self.door.forget(&group.appends);
            let error = Arc::new(error);
            for append in group.appends {
                append.stub.send_replace(Some(Err(Arc::clone(&error))));
            }
            return;
        }
        let took = u64::try_from(self.clock.now().micros_since(began)).unwrap_or(0);
        self.space.spend(byte_count);
        self.cells.last_fsync_us.store(took, Ordering::Relaxed);
        self.cells.fsync.record(took);
        counters::add(&self.cells.pending_rows, queued_rows);
        if let Some(last) = group.appends.last() {
            tally.count(&self.cells);
            self.books.commit(&tally, last.stamp);
        }
        self.door.commit(&group.appends);
        for (append, added) in group.appends.drain(..).zip(added) {
            let Append { content, stamp, stub, .. } = append;
            self.collect(content, stamp, added);
            stub.send_replace(Some(Ok(())));
        }
        failpoint::hit("ingest.answered");
        if let Some((mark, first)) = mark {
            self.cells.last_batch_bytes.store(self.unsealed_bytes, Ordering::Relaxed);
            self.hand_over(mark, first);
            failpoint::hit("ingest.sealed");
        }
        self.rotate_if_full();
    }

    fn rotate_if_full(&mut self) {
        let outcome = self.log.rotate_if_full(self.unsealed.received_through);
        let was_failing = std::mem::replace(&mut self.is_rotation_failing, outcome.is_err());
        if let Err(error) = outcome
            && !was_failing
        {
            tracing::warn!(%error, "A new segment of the event log could not be begun; the open one goes on, and it is tried again.");
        }
    }

    /// Adds the records of a request.
    fn add(&self, frames: &mut Frames, append: &Append) -> Added {
        let (content, stamp, mut added) = (&append.content, append.stamp, Added::default());
        let rows = (content.row_count(), content.bytes.as_slice());
        for release in &content.releases {
            let (count, bytes) = if release.fate == Fate::Replayed { rows } else { (0, [].as_slice()) };
            let number = self.log.add_released(frames, stamp, release, count, bytes);
            added.rows = added.rows.or((count > 0).then_some(number));
        }
        if rows.0 > 0 && added.rows.is_none() {
            added.rows = Some(self.log.add_rows(frames, stamp, rows.0, rows.1));
        }
        if !content.held.is_empty() {
            let entries = content.held.iter().map(|held| held.bytes.as_slice());
            added.held = self.log.add_held(frames, stamp, entries);
        }
        added
    }

    /// Adds the seal of everything durable or in this group; answers its mark and first record.
    fn add_seal(&self, frames: &mut Frames, appends: &[Append], added: &[Added]) -> (Mark, u64) {
        let mut numbers = added.iter().filter_map(|added| added.rows);
        let first =
            if self.unsealed.rows.is_empty() { numbers.next().unwrap_or_default() } else { self.unsealed.first };
        let last =
            numbers.next_back().unwrap_or(if self.unsealed.rows.is_empty() { first } else { self.unsealed.last });
        let through = appends.last().map_or(self.unsealed.received_through, |append| append.stamp);
        (self.log.add_seal(frames, first, last, through), first)
    }

    /// Takes over what has become durable.
    fn collect(&mut self, content: Content, stamp: Timestamp, added: Added) {
        let Content { mut rows, bytes, held, releases, .. } = content;
        for held in held {
            let id = QuarantineId { record: added.held, position: held.position };
            self.held.insert(held.environment, id, held.reason, held.charge);
        }
        releases.iter().for_each(|release| self.held.remove(release));
        let Some(number) = added.rows else {
            return;
        };
        for row in &mut rows {
            row.received_at = stamp;
        }
        counters::add(&self.cells.unattributable, unattributable(&rows));
        self.unsealed_bytes += bytes.len() as u64;
        self.unsealed.add(number, stamp, rows);
    }

    fn hand_over(&mut self, mark: Mark, first: u64) {
        let Unsealed { rows, received_through, .. } = std::mem::take(&mut self.unsealed);
        self.unsealed.received_through = received_through;
        let bytes = std::mem::take(&mut self.unsealed_bytes);
        counters::add(&self.cells.batches_sealed, 1);
        counters::add(&self.cells.batch_queue, 1);
        self.cells.last_batch_rows.store(rows.len() as u64, Ordering::Relaxed);
        let (count, events) = (rows.len(), ledger::events_of(&rows));
        let is_resident = self.cells.pending_rows.load(Ordering::Relaxed) <= RESIDENT_ROWS_MAX
            && self.cells.resident_bytes.load(Ordering::Relaxed) + bytes <= RESIDENT_BYTES_MAX;
        let (rows, resident_bytes) = if is_resident { (Some(rows), bytes) } else { (None, 0) };
        self.cells.resident_bytes.fetch_add(resident_bytes, Ordering::Relaxed);
        // When nobody listens the batch stays in the log, and the next start hands it over.
        let _ = self.batches.send(Sealed { mark, first, received_through, count, events, rows, resident_bytes });
    }

    fn heartbeat(&mut self) {
        if self.cells.pending_rows.load(Ordering::Acquire) > 0 {
            return;
        }
        if let Some(received_through) = self.door.quiet_instant() {
            self.unsealed.received_through = received_through;
            let mark = self.log.mark();
            let (first, events) = (mark.last + 1, Events::new());
            let count = 0;
            let _ = self.batches.send(Sealed {
                mark,
                first,
                received_through,
                count,
                events,
                rows: None,
                resident_bytes: 0,
            });
        }
    }

    fn finish(&mut self) {
        if let Err(error) = self.log.rotate(self.unsealed.received_through) {
            tracing::warn!(%error, "The event log could not be closed with a new segment; the next start reads more of it.");
        }
    }
}

/// How many events are exposures that no run explains for any of their units. A client's may be; the server's own always
/// carry their run.
fn unattributable(rows: &[EventRow]) -> usize {
    let events = rows.chunk_by(|_, next| next.unit_index > 0);
    events.filter(|event| event[0].kind == RowKind::Exposure && event.iter().all(|row| row.run.is_none())).count()
}
