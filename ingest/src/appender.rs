//! Hands sealed batches to the warehouse, in order, until it takes them: a batch is retried for ever and never skipped,
//! because the batches behind it may not overtake it. Then releases the log behind what has become durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use liftgate_domain::{EventRow, SealedBatch, StoreError, Warehouse, failpoint};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::counters::{self, Cells};
use crate::door::Door;
use crate::ledger::{self, Books, Events};
use crate::release::Releaser;
use crate::sealed::Sealed;
use crate::segment::Segments;

/// Attempts that make one try; a shutdown gives up after one try, otherwise tries go on.
const ATTEMPTS_PER_TRY: u32 = 7;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// How far the appender is; what an opening node waits for.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The last record whose rows the warehouse has taken.
    pub last: u64,
    /// The warehouse does not take the next batch at present.
    pub failing: bool,
}

/// The appender's state.
pub(crate) struct Appender {
    pub warehouse: Arc<dyn Warehouse>,
    pub node: Arc<str>,
    pub batches: UnboundedReceiver<Sealed>,
    pub segments: Arc<Segments>,
    pub door: Arc<Door>,
    pub cells: Arc<Cells>,
    pub books: Arc<Books>,
    pub progress: watch::Sender<Progress>,
    pub releaser: Option<Releaser>,
    pub closing: CancellationToken,
    pub dedup_window_ms: i64,
    /// From this many bytes of log on, the warehouse is asked to flush.
    pub flush_bytes: u64,
    /// The warehouse was told which node writes to it.
    pub is_alone: bool,
    /// The last release failed; that has been told.
    pub is_release_failing: bool,
}

impl Appender {
    /// Works until the writer has ended and everything it sealed is in the warehouse.
    pub(crate) async fn run(mut self) -> Result<Self, Error> {
        while let Some(sealed) = self.batches.recv().await {
            self.append(sealed).await?;
            self.relieve().await;
            self.release().await;
        }
        Ok(self)
    }

    async fn append(&mut self, mut sealed: Sealed) -> Result<(), Error> {
        let rows = match sealed.rows.take() {
            None if sealed.count > 0 => self.read_back(&sealed).await?,
            rows => rows.unwrap_or_default(),
        };
        let stored = rows.len();
        let lost = self.lost(&sealed, &rows);
        let batch = Arc::new(SealedBatch {
            node: Arc::clone(&self.node),
            epoch: sealed.mark.epoch,
            sequence: sealed.mark.sequence,
            received_through: sealed.received_through,
            rows,
        });
        loop {
            let Err(error) = self.try_append(&batch).await else {
                break;
            };
            counters::add(&self.cells.append_failures, 1);
            tracing::warn!(%error, epoch = batch.epoch, sequence = batch.sequence, rows = stored,
                "The warehouse does not take a batch; it stays in the log and is tried again.");
            if self.closing.is_cancelled() {
                return Err(Error::Warehouse(Arc::new(error)));
            }
            self.pause(PAUSE_BETWEEN_TRIES).await;
        }
        if !std::mem::replace(&mut self.is_alone, true) {
            // Only now, when this node has a mark of its own: the watermark is never without any.
            self.warehouse.retire_other_nodes(&self.node);
        }
        failpoint::hit("ingest.appended");
        let stored_events = sealed.events.values().sum::<u64>() - lost.values().sum::<u64>();
        self.cells.stored.fetch_add(stored_events, Ordering::Relaxed);
        counters::sub(&self.cells.pending_rows, sealed.count);
        if sealed.count > 0 {
            counters::sub(&self.cells.batch_queue, 1);
        }
        self.books.store(&sealed.events, &lost, sealed.received_through);
        if !lost.is_empty() {
            self.segments.lose(sealed.mark.last, &lost);
        }
        self.cells.resident_bytes.fetch_sub(sealed.resident_bytes, Ordering::Relaxed);
        // Without rows, because they had become unreadable, there is nothing that could ever become durable.
        self.releaser.iter_mut().for_each(|releaser| releaser.note_appended(sealed.mark, stored > 0));
        self.progress.send_replace(Progress { last: sealed.mark.last, failing: false });
        Ok(())
    }

    /// The events of a batch that could no longer be read.
    fn lost(&self, sealed: &Sealed, rows: &[EventRow]) -> Events {
        if rows.len() == sealed.count {
            return Events::new();
        }
        let found = ledger::events_of(rows);
        let missing = |(environment, count): (&u64, &u64)| {
            let missing = count.saturating_sub(found.get(environment).copied().unwrap_or(0));
            (missing > 0).then_some((*environment, missing))
        };
        let lost: Events = sealed.events.iter().filter_map(missing).collect();
        tracing::error!(
            sequence = sealed.mark.sequence,
            events = lost.values().sum::<u64>(),
            "A part of a sealed batch has become unreadable in the log."
        );
        lost
    }

    async fn try_append(&self, batch: &Arc<SealedBatch>) -> Result<(), StoreError> {
        let mut backoff = BACKOFF_FIRST;
        for attempt in 1_u32.. {
            let Err(error) = self.warehouse.append(Arc::clone(batch)).await else {
                break;
            };
            self.progress.send_modify(|progress| progress.failing = true);
            // Only what is away can come back soon.
            if attempt == ATTEMPTS_PER_TRY || !matches!(error, StoreError::Unavailable(_)) {
                return Err(error);
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        Ok(())
    }

    /// The rows of a batch that was not kept in memory.
    async fn read_back(&self, sealed: &Sealed) -> Result<Vec<EventRow>, Error> {
        loop {
            let (segments, first, last) = (Arc::clone(&self.segments), sealed.first, sealed.mark.last);
            let read = tokio::task::spawn_blocking(move || segments.read_rows(first, last)).await;
            let error = match read {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => error,
                Err(_) => return Err(Error::Closed),
            };
            tracing::error!(%error, sequence = sealed.mark.sequence, "A sealed batch could not be read back from the log.");
            if self.closing.is_cancelled() {
                return Err(error);
            }
            self.pause(PAUSE_BETWEEN_TRIES).await;
        }
    }

    /// A warehouse that keeps much in memory would hold the log back: have it written.
    async fn relieve(&self) {
        if self.cells.log_bytes.load(Ordering::Relaxed) < self.flush_bytes {
            return;
        }
        if let Err(error) = self.warehouse.flush().await {
            counters::add(&self.cells.append_failures, 1);
            tracing::warn!(%error, "The warehouse could not flush; the event log keeps what it has.");
        }
    }

    /// Releases what the warehouse has made durable. A failure is tried again after the next batch or heartbeat.
    pub(crate) async fn release(&mut self) {
        self.door.expire(self.dedup_window_ms);
        let Some(mut releaser) = self.releaser.take_if(|releaser| releaser.is_due(&*self.warehouse, &self.node)) else {
            return;
        };
        let released = tokio::task::spawn_blocking(move || {
            let outcome = releaser.run();
            (releaser, outcome)
        });
        let Ok((releaser, outcome)) = released.await else {
            tracing::error!("Releasing the event log panicked; nothing more is released until the next start.");
            return;
        };
        self.releaser = Some(releaser);
        match (outcome, std::mem::replace(&mut self.is_release_failing, false)) {
            (Ok(()), true) => tracing::info!("The event log is released again."),
            (Ok(()), false) => {}
            (Err(error), was_failing) => {
                self.is_release_failing = true;
                if !was_failing {
                    tracing::warn!(%error, "A segment of the event log could not be released; it is tried again.");
                }
            }
        }
    }

    async fn pause(&self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.closing.cancelled() => {}
        }
    }
}
