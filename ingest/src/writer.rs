//! The thread that owns the open end of the log: gathers queued writes, syncs them together, answers them, and seals
//! what they held into batches. Knows nothing of the warehouse; sealed batches go to a channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use liftgate_domain::{Clock, RowKind};
use tokio::sync::mpsc::UnboundedSender;

use crate::counters::{self, Cells};
use crate::door::{Append, Door};
use crate::log::{Frames, Log};
use crate::record::Mark;
use crate::sealed::{Sealed, Unsealed};

/// Bytes after which a group is synced without waiting for more.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Rows of sealed batches that may wait in memory; those of further ones are read from the log when their turn comes.
const RESIDENT_ROWS_MAX: u64 = 500_000;

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
    /// Where sealed batches go. Bounded by the log's backlog, and in memory by `RESIDENT_ROWS_MAX`.
    pub batches: UnboundedSender<Sealed>,
    pub cells: Arc<Cells>,
    pub clock: Arc<dyn Clock>,
    pub seal_rows: usize,
    pub group_commit: Duration,
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
                self.bytes += append.bytes.len();
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
        let queued_rows: usize = group.appends.iter().map(|append| append.rows.len()).sum();
        let rows = self.unsealed.rows.len() + queued_rows;
        let seal = rows > 0 && (group.tick || group.end.is_some() || rows >= self.seal_rows);
        if group.appends.is_empty() && !seal {
            if group.tick {
                self.heartbeat();
            }
            return;
        }
        let mut frames = Frames::default();
        let mut numbers = Vec::with_capacity(group.appends.len());
        for append in &group.appends {
            let count = u32::try_from(append.rows.len()).expect("a request's bytes are bounded below 2^32");
            numbers.push(self.log.add_rows(&mut frames, append.stamp, count, &append.bytes));
        }
        let mark = seal.then(|| self.add_seal(&mut frames, &group.appends, &numbers));
        let began = self.clock.now();
        if let Err(error) = self.log.write(&frames) {
            tracing::error!(%error, requests = group.appends.len(), "The event log could not be written; the requests are refused.");
            self.door.forget(&group.appends);
            let error = Arc::new(error);
            for append in group.appends {
                append.stub.send_replace(Some(Err(Arc::clone(&error))));
            }
            return;
        }
        let took = self.clock.now().micros_since(began);
        self.cells.last_fsync_us.store(u64::try_from(took).unwrap_or(0), Ordering::Relaxed);
        counters::add(&self.cells.accepted, queued_rows);
        counters::add(&self.cells.pending, queued_rows);
        self.door.commit(&group.appends);
        for (append, number) in group.appends.drain(..).zip(numbers) {
            append.stub.send_replace(Some(Ok(())));
            self.collect(append, number);
        }
        if let Some((mark, first)) = mark {
            self.hand_over(mark, first);
        }
        if let Err(error) = self.log.rotate_if_full(self.unsealed.received_through) {
            tracing::warn!(%error, "A new segment of the event log could not be begun; the open one goes on.");
        }
    }

    /// Adds the seal of everything durable or in this group; answers its mark and first record.
    fn add_seal(&self, frames: &mut Frames, appends: &[Append], numbers: &[u64]) -> (Mark, u64) {
        let first = if self.unsealed.rows.is_empty() { numbers[0] } else { self.unsealed.first };
        let last = numbers.last().copied().unwrap_or(self.unsealed.last);
        let through = appends.last().map_or(self.unsealed.received_through, |append| append.stamp);
        (self.log.add_seal(frames, first, last, through), first)
    }

    fn collect(&mut self, append: Append, number: u64) {
        let Append { mut rows, stamp, .. } = append;
        for row in &mut rows {
            row.received_at = stamp;
        }
        // A client's exposure that no run explains has none; the server's own always carry theirs.
        let unattributable = rows.iter().filter(|row| row.kind == RowKind::Exposure && row.run.is_none()).count();
        counters::add(&self.cells.unattributable, unattributable);
        self.unsealed.add(number, stamp, rows);
    }

    fn hand_over(&mut self, mark: Mark, first: u64) {
        let Unsealed { rows, received_through, .. } = std::mem::take(&mut self.unsealed);
        self.unsealed.received_through = received_through;
        counters::add(&self.cells.batches_sealed, 1);
        let count = rows.len();
        let resident = self.cells.pending.load(Ordering::Relaxed) <= RESIDENT_ROWS_MAX;
        let rows = resident.then_some(rows);
        // When nobody listens the batch stays in the log, and the next start hands it over.
        let _ = self.batches.send(Sealed { mark, first, received_through, count, rows });
    }

    fn heartbeat(&mut self) {
        if self.cells.pending.load(Ordering::Acquire) > 0 {
            return;
        }
        if let Some(received_through) = self.door.quiet_instant() {
            self.unsealed.received_through = received_through;
            let mark = self.log.mark();
            let _ = self.batches.send(Sealed { mark, first: mark.last + 1, received_through, count: 0, rows: None });
        }
    }

    fn finish(&mut self) {
        if let Err(error) = self.log.rotate(self.unsealed.received_through) {
            tracing::warn!(%error, "The event log could not be closed with a new segment; the next start reads more of it.");
        }
    }
}
