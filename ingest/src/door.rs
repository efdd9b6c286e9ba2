//! The ordering lock: decides which events are new, stamps `received_at` and queues the write, in one step, so that the
//! order of stamps is the order of the log and two requests can never both own an event.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::{Clock, Timestamp};

use crate::Error;
use crate::frame;
use crate::keys::{self, Day, Horizon, Key, KeyIndex, KeyRuns, Known, Look, Probed};
use crate::prepared::{Content, Prepared, Verdict};
use crate::record::Fate;
use crate::ticket::{self, Stub, Ticket};
use crate::writer::Job;

/// Bytes that may wait for the writer before requests are turned away.
const QUEUE_BYTES_MAX: usize = 64 << 20;
const RETRY_AFTER_S: u64 = 1;

/// A write in the queue: what is new in one request.
pub(crate) struct Append {
    pub content: Content,
    pub keys: Vec<Key>,
    pub stamp: Timestamp,
    pub stub: Stub,
    /// What it takes in the log, in bytes.
    pub byte_count: usize,
}

/// How much waits for the writer.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Queue {
    pub requests: usize,
    pub bytes: usize,
}

/// What became of the events of a request, once the tickets say so.
pub(crate) struct Entered {
    pub accepted: usize,
    pub duplicates: usize,
    /// Which of the events for quarantine are new.
    pub held: Vec<bool>,
    /// How many that were to leave quarantine turned out as repeats.
    pub discarded: usize,
    tickets: Vec<Ticket>,
}

/// The lock and what it guards.
pub(crate) struct Door {
    clock: Arc<dyn Clock>,
    key_runs: Arc<KeyRuns>,
    /// Held while ids are written to a run: one write at a time.
    persisting: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    last_stamp: Timestamp,
    index: KeyIndex,
    horizon: Horizon,
    queue: Queue,
    /// Gone once the node is shutting down.
    jobs: Option<Sender<Job>>,
}

impl Entered {
    /// Returns once every event is durable, own or repeated; an error when any write among them failed. None of the
    /// writes is on its way any more then, whatever became of them.
    pub(crate) async fn durable(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for ticket in self.tickets.drain(..) {
            let waited = ticket.wait().await;
            outcome = outcome.and(waited);
        }
        outcome
    }
}

impl Door {
    /// `index` remembers what `horizon` says.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        last_stamp: Timestamp,
        index: KeyIndex,
        horizon: Horizon,
        jobs: Sender<Job>,
    ) -> Self {
        let key_runs = index.runs();
        let state = State { last_stamp, index, horizon, queue: Queue::default(), jobs: Some(jobs) };
        Self { clock, key_runs, persisting: Mutex::default(), state: Mutex::new(state) }
    }

    /// Takes the new ones among the events in and queues their write.
    pub(crate) async fn enter(&self, prepared: Prepared) -> Result<Entered, Error> {
        let bytes = prepared.byte_count();
        if bytes > frame::PAYLOAD_BYTES_MAX / 2 {
            return Err(Error::TooLarge { bytes, bytes_max: frame::PAYLOAD_BYTES_MAX / 2 });
        }
        let mut probed = Probed::default();
        loop {
            // Without the lock: it may wait for the disk.
            self.key_runs.probe(&prepared.keys, &mut probed).await?;
            let state = self.lock();
            if state.index.is_current(&probed) {
                return self.take_in(state, prepared, &probed);
            }
            // Ids have moved from memory to a run meanwhile, which is rare: ask that run, too.
        }
    }

    fn take_in(
        &self,
        mut state: MutexGuard<'_, State>,
        mut prepared: Prepared,
        probed: &Probed,
    ) -> Result<Entered, Error> {
        let bytes = prepared.byte_count();
        let Some(jobs) = state.jobs.clone() else {
            return Err(Error::Closed);
        };
        if state.queue.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(Error::Backlog { retry_after_s: RETRY_AFTER_S });
        }
        let sent = prepared.keys.len();
        let (stub, own) = ticket::issue();
        let (verdicts, mut tickets) = state.claim(&prepared, probed, &own);
        let accepted = verdicts.iter().filter(|verdict| **verdict == Verdict::New).count();
        let held = prepared.keep_new(&verdicts);
        let discards = prepared.content.releases.iter().filter(|release| release.fate == Fate::Discarded);
        let discarded = discards.map(|release| release.ids.len()).sum();
        if !prepared.is_empty() {
            // Strictly later than every stamp before it, so that a batch and a heartbeat have exact ends.
            let stamp = self.clock.now().max(Timestamp(state.last_stamp.0 + 1));
            state.last_stamp = stamp;
            let byte_count = prepared.byte_count();
            state.queue.requests += 1;
            state.queue.bytes += byte_count;
            let Prepared { content, keys, .. } = prepared;
            let job = Job::Append(Append { content, keys, stamp, stub, byte_count });
            if jobs.send(job).is_err() {
                // The writer is gone, and with it everything that its queue held.
                state.jobs = None;
                return Err(Error::Closed);
            }
            tickets.push(own);
        }
        Ok(Entered { accepted, duplicates: sent - accepted, held, discarded, tickets })
    }

    /// The writes are durable.
    pub(crate) fn commit(&self, appends: &[Append]) {
        let mut state = self.lock();
        for append in appends {
            state.index.commit(&append.keys, keys::day_of(append.stamp));
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
        if state.queue.requests > 0 {
            return None;
        }
        state.last_stamp = self.clock.now().max(state.last_stamp);
        Some(state.last_stamp)
    }

    /// Forgets the ids that have left the window.
    pub(crate) fn expire(&self, window_ms: i64) {
        let now = self.clock.now();
        let gone = {
            let mut state = self.lock();
            match state.horizon.look(now, window_ms) {
                Look::Unchanged => return,
                Look::Doubtful => {
                    drop(state);
                    return keys::horizon::tell_of_jump(now);
                }
                Look::Forget(first) => state.index.expire(first),
            }
        };
        drop(gone);
    }

    /// Writes the ids that are durable in the log only to a run. On return every id that was committed before the call is
    /// in one. Blocks on the disk.
    pub(crate) fn persist_keys(&self) -> Result<(), Error> {
        let _persisting = self.persisting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (has_failed, frozen) = {
                let mut state = self.lock();
                (state.index.is_frozen(), state.index.freeze())
            };
            let Some(frozen) = frozen else {
                return Ok(());
            };
            let write = self.key_runs.write(&frozen)?;
            drop(frozen);
            let written = self.lock().index.thaw(write);
            drop(written);
            // What an earlier write had left came first; the ids since then are still to be written.
            if !has_failed {
                return Ok(());
            }
        }
    }

    /// Whether there are so many ids in memory that they should be written to a run.
    pub(crate) fn has_many_keys(&self) -> bool {
        self.lock().index.is_full()
    }

    pub(crate) fn key_runs(&self) -> Arc<KeyRuns> {
        Arc::clone(&self.key_runs)
    }

    /// What waits for the writer.
    pub(crate) fn queue(&self) -> Queue {
        self.lock().queue
    }

    /// Sends the writer something that is not an append.
    pub(crate) fn send(&self, job: Job) -> Result<(), Error> {
        let state = self.lock();
        let jobs = state.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(job).map_err(|_| Error::Closed)
    }

    /// From now on nothing more is admitted. `last` is the last that the writer hears.
    pub(crate) fn close(&self, last: Job) {
        self.key_runs.bell.close();
        if let Some(jobs) = self.lock().jobs.take() {
            // A writer that is gone already needs no telling.
            let _ = jobs.send(last);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_pending(&self, environment: u64, event_id: &str) -> bool {
        let key = keys::key_of(environment, event_id);
        self.lock().index.is_pending(key)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between taking an id and queueing its write leaves that id pending for ever: it is answered with an
        // error, never with a false duplicate.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Which events are new, now claimed for `own`; and the other writes to wait for.
    fn claim(&mut self, prepared: &Prepared, probed: &Probed, own: &Ticket) -> (Vec<Verdict>, Vec<Ticket>) {
        let mut others: Vec<Ticket> = Vec::new();
        let first: Day = self.horizon.first();
        let is_own = |place: usize| prepared.leaving.get(place).is_some_and(|leaving| leaving.day >= first);
        let verdicts = prepared.keys.iter().enumerate().map(|(place, key)| {
            match self.index.look_up(*key, place, probed) {
                Known::New => {
                    self.index.begin(*key, own.clone());
                    Verdict::New
                }
                // The id is known from when this very event went into quarantine.
                Known::Durable if is_own(place) => Verdict::New,
                Known::Durable => Verdict::Repeated,
                Known::Pending(ticket) if ticket.same_write(own) => Verdict::Repeated,
                Known::Pending(ticket) => {
                    if !others.iter().any(|other| other.same_write(&ticket)) {
                        others.push(ticket);
                    }
                    Verdict::Pending
                }
            }
        });
        (verdicts.collect(), others)
    }

    fn dequeue(&mut self, append: &Append) {
        self.queue.requests -= 1;
        self.queue.bytes -= append.byte_count;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn an_error_is_answered_once_no_write_is_on_its_way() {
        let (failing, repeated) = ticket::issue();
        let (stub, own) = ticket::issue();
        failing.send_replace(Some(Err(Arc::new(io::Error::other("told to fail")))));
        let (held, tickets) = (Vec::new(), vec![repeated, own]);
        let mut entered = Entered { accepted: 1, duplicates: 1, held, discarded: 0, tickets };
        let mut durable = pin!(entered.durable());
        assert!(durable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        stub.send_replace(Some(Ok(())));
        assert!(matches!(durable.await, Err(Error::Disk(_))));
    }
}
