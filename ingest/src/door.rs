//! The ordering lock: decides which events are new, stamps `received_at` and queues the write, in one step, so that the
//! order of stamps is the order of the log and two requests can never both own an event.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::{Clock, EventRow, Timestamp};

use crate::Error;
use crate::frame;
use crate::key_index::{self, Key, KeyIndex, Known};
use crate::row_codec;
use crate::ticket::{self, Stub, Ticket};
use crate::writer::Job;

/// Bytes that may wait for the writer before requests are turned away.
const QUEUE_BYTES_MAX: usize = 64 << 20;
const RETRY_AFTER_S: u64 = 1;

/// Rows ready for the log, encoded before the lock is taken.
#[derive(Default)]
pub(crate) struct Prepared {
    rows: Vec<EventRow>,
    keys: Vec<Key>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A write in the queue: the new rows of one request.
pub(crate) struct Append {
    pub rows: Vec<EventRow>,
    pub keys: Vec<Key>,
    pub bytes: Vec<u8>,
    pub stamp: Timestamp,
    pub stub: Stub,
}

/// What became of the events of a request, once the tickets say so.
pub(crate) struct Entered {
    pub accepted: usize,
    pub duplicates: usize,
    tickets: Vec<Ticket>,
}

/// The lock and what it guards.
pub(crate) struct Door {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    last_stamp: Timestamp,
    index: KeyIndex,
    queued: usize,
    queued_bytes: usize,
    /// Gone once the node is shutting down.
    jobs: Option<Sender<Job>>,
}

impl Prepared {
    /// Adds a row. Its `received_at` is set by the door.
    pub(crate) fn push(&mut self, row: EventRow) {
        row_codec::encode(&row, &mut self.bytes);
        self.ends.push(self.bytes.len());
        self.keys.push(key_index::key_of(row.environment, &row.event_id));
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves only the rows that are marked.
    fn keep(&mut self, marked: &[bool]) {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut start = 0;
        for (end, keep) in self.ends.iter().zip(marked) {
            if *keep {
                bytes.extend_from_slice(&self.bytes[start..*end]);
            }
            start = *end;
        }
        self.bytes = bytes;
        let mut marks = marked.iter();
        self.rows.retain(|_| marks.next() == Some(&true));
        let mut marks = marked.iter();
        self.keys.retain(|_| marks.next() == Some(&true));
    }
}

impl Entered {
    /// Returns once every event is durable, own or repeated; an error when any write among them failed.
    pub(crate) async fn durable(&mut self) -> Result<(), Error> {
        for ticket in self.tickets.drain(..) {
            ticket.wait().await?;
        }
        Ok(())
    }
}

impl Door {
    pub(crate) fn new(clock: Arc<dyn Clock>, last_stamp: Timestamp, index: KeyIndex, jobs: Sender<Job>) -> Self {
        let state = State { last_stamp, index, queued: 0, queued_bytes: 0, jobs: Some(jobs) };
        Self { clock, state: Mutex::new(state) }
    }

    /// Takes the new ones among the rows in and queues their write.
    pub(crate) fn enter(&self, mut prepared: Prepared) -> Result<Entered, Error> {
        if prepared.bytes.len() > frame::PAYLOAD_BYTES_MAX / 2 {
            return Err(Error::TooLarge { bytes: prepared.bytes.len(), bytes_max: frame::PAYLOAD_BYTES_MAX / 2 });
        }
        let mut state = self.lock();
        let Some(jobs) = state.jobs.clone() else {
            return Err(Error::Closed);
        };
        if state.queued_bytes + prepared.bytes.len() > QUEUE_BYTES_MAX {
            return Err(Error::Backlog { retry_after_s: RETRY_AFTER_S });
        }
        let sent = prepared.rows.len();
        let (stub, own) = ticket::issue();
        let (fresh, mut tickets) = state.claim(&prepared.keys, &own);
        let accepted = fresh.iter().filter(|fresh| **fresh).count();
        if accepted < sent {
            prepared.keep(&fresh);
        }
        if accepted > 0 {
            // Strictly later than every stamp before it, so that a batch and a heartbeat have exact ends.
            let stamp = self.clock.now().max(Timestamp(state.last_stamp.0 + 1));
            state.last_stamp = stamp;
            state.queued += 1;
            state.queued_bytes += prepared.bytes.len();
            let Prepared { rows, keys, bytes, .. } = prepared;
            let job = Job::Append(Append { rows, keys, bytes, stamp, stub });
            if jobs.send(job).is_err() {
                // The writer is gone, and with it everything that its queue held.
                state.jobs = None;
                return Err(Error::Closed);
            }
            tickets.push(own);
        }
        Ok(Entered { accepted, duplicates: sent - accepted, tickets })
    }

    /// The writes are durable.
    pub(crate) fn commit(&self, appends: &[Append]) {
        let mut state = self.lock();
        for append in appends {
            state.index.commit(&append.keys, key_index::day_of(append.stamp));
            state.dequeue(append);
        }
    }

    /// The writes failed: their events are unknown again.
    pub(crate) fn forget(&self, appends: &[Append]) {
        let mut state = self.lock();
        for append in appends {
            state.index.forget(&append.keys);
            state.dequeue(append);
        }
    }

    /// An instant that every event admitted from now on is received after, and that nothing is pending at; `None` while
    /// a write is on its way.
    pub(crate) fn quiet_instant(&self) -> Option<Timestamp> {
        let mut state = self.lock();
        if state.queued > 0 {
            return None;
        }
        state.last_stamp = self.clock.now().max(state.last_stamp);
        Some(state.last_stamp)
    }

    /// Forgets the ids that have left the window; answers the first day that is still known.
    pub(crate) fn expire(&self, window_ms: i64) -> key_index::Day {
        let first = key_index::first_day(self.clock.now(), window_ms);
        let gone = self.lock().index.expire(first);
        drop(gone);
        first
    }

    /// Sends the writer something that is not an append.
    pub(crate) fn send(&self, job: Job) -> Result<(), Error> {
        let state = self.lock();
        let jobs = state.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(job).map_err(|_| Error::Closed)
    }

    /// From now on nothing more is admitted. `last` is the last that the writer hears.
    pub(crate) fn close(&self, last: Job) {
        if let Some(jobs) = self.lock().jobs.take() {
            // A writer that is gone already needs no telling.
            let _ = jobs.send(last);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_pending(&self, environment: u64, event_id: &str) -> bool {
        let key = key_index::key_of(environment, event_id);
        matches!(self.lock().index.look_up(key), Known::Pending(_))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between taking an id and queueing its write leaves that id pending for ever: it is answered with an
        // error, never with a false duplicate.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Which keys are new, now claimed for `own`; and the other writes to wait for.
    fn claim(&mut self, keys: &[Key], own: &Ticket) -> (Vec<bool>, Vec<Ticket>) {
        let mut others: Vec<Ticket> = Vec::new();
        let fresh = keys
            .iter()
            .map(|key| match self.index.look_up(*key) {
                Known::New => {
                    self.index.begin(*key, own.clone());
                    true
                }
                Known::Pending(ticket) => {
                    if !ticket.same_write(own) && !others.iter().any(|other| other.same_write(&ticket)) {
                        others.push(ticket);
                    }
                    false
                }
                Known::Durable => false,
            })
            .collect();
        (fresh, others)
    }

    fn dequeue(&mut self, append: &Append) {
        self.queued -= 1;
        self.queued_bytes -= append.bytes.len();
    }
}
