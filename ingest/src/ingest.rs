//! The handle that servers hold, and how its parts are started and stopped: the threads of the writer and the keeper, and three tasks
//! (appender, exposure drain, ticker).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle as Thread;
use std::time::Duration;

use liftgate_domain::{Attribution, Clock, Warehouse};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Judged};
use crate::appender::Appender;
use crate::counters::{self, Cells};
use crate::disk_space;
use crate::door::{Door, Entered};
use crate::exposure::{Drain, ExposureSender};
use crate::folder::Folder;
use crate::gate::Gate;
use crate::keys::Keeper;
use crate::ledger::{Books, EnvironmentLedger};
use crate::plausibility::Plausibility;
use crate::prepared::Prepared;
use crate::quarantine::Desk;
use crate::writer::{Job, Writer};
use crate::{Counters, Error, IngestConfig, ParsedEvent, Receipt};

/// One node's intake. Clones share it. Opened by [`Ingest::open`]; see the crate's documentation.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    config: IngestConfig,
    clock: Arc<dyn Clock>,
    warehouse: Arc<dyn Warehouse>,
    attribution: Arc<dyn Attribution>,
    door: Arc<Door>,
    cells: Arc<Cells>,
    books: Arc<Books>,
    gate: Gate,
    desk: Desk,
    exposures: ExposureSender,
    closing: CancellationToken,
    /// Alive while the folder is locked.
    locked: Weak<Folder>,
    running: Mutex<Option<Running>>,
}

/// What runs until shutdown.
struct Running {
    writer: Thread<()>,
    keeper: Thread<()>,
    appender: JoinHandle<Result<Appender, Error>>,
    drain: JoinHandle<()>,
    ticker: JoinHandle<()>,
    space: JoinHandle<()>,
}

/// The parts, made by `open` and not yet running.
pub(crate) struct Parts {
    pub config: IngestConfig,
    pub clock: Arc<dyn Clock>,
    pub warehouse: Arc<dyn Warehouse>,
    pub attribution: Arc<dyn Attribution>,
    pub door: Arc<Door>,
    pub cells: Arc<Cells>,
    pub books: Arc<Books>,
    pub gate: Gate,
    pub desk: Desk,
    pub exposures: ExposureSender,
    pub closing: CancellationToken,
    pub locked: Weak<Folder>,
    pub writer: Writer,
    pub appender: Appender,
    pub drain: Drain,
}

impl Ingest {
    pub(crate) fn start(parts: Parts) -> Result<Self, Error> {
        let Parts { writer, appender, drain, .. } = parts;
        let keeper = Keeper { door: Arc::clone(&parts.door), _folder: parts.locked.upgrade().ok_or(Error::Closed)? };
        let running = Running {
            writer: spawn("event-log", move || writer.run())?,
            keeper: spawn("event-keys", move || keeper.run())?,
            appender: tokio::spawn(appender.run()),
            drain: tokio::spawn(drain.run()),
            ticker: tokio::spawn(tick(Arc::clone(&parts.door), parts.config.seal_after_ms)),
            space: tokio::spawn(disk_space::watch(Arc::clone(&parts.gate.space))),
        };
        let inner = Inner {
            config: parts.config,
            clock: parts.clock,
            warehouse: parts.warehouse,
            attribution: parts.attribution,
            door: parts.door,
            cells: parts.cells,
            books: parts.books,
            gate: parts.gate,
            desk: parts.desk,
            exposures: parts.exposures,
            closing: parts.closing,
            locked: parts.locked,
            running: Mutex::new(Some(running)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Admits the events of one request; answers when all that is accepted is on disk. `source` names the protocol.
    ///
    /// # Errors
    /// [`Error::Backlog`] while the warehouse is too far behind, [`Error::LowDisk`] while the disk is nearly full,
    /// [`Error::Disk`] when the log could not be written, [`Error::Closed`] during shutdown. After an error nothing was
    /// acknowledged, and the same request may be sent again; of one of many megabytes some events may be duplicates then.
    pub async fn admit(
        &self,
        environment: u64,
        events: Vec<ParsedEvent>,
        source: &'static str,
    ) -> Result<Receipt, Error> {
        let inner = &*self.inner;
        self.check_gate()?;
        let admission = Admission {
            environment,
            source,
            now: inner.clock.now(),
            plausibility: self.plausibility(),
            attribution: &*inner.attribution,
            room: inner.desk.held.room(),
        };
        let Judged { parts, rejected, mut quarantined, skewed } = admission.judge(events);
        let mut receipt = Receipt { rejected, ..Receipt::default() };
        let (mut held, mut duplicates) = (Vec::new(), 0);
        // One after the other: together the parts of a large request could be more than the queue takes.
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let mut entered = self.enter(part).await?;
            entered.durable().await?;
            held.append(&mut entered.held);
            receipt.accepted += entered.accepted as u64;
            duplicates += entered.duplicates;
        }
        let mut fresh = held.into_iter();
        quarantined.retain(|_| fresh.next() == Some(true));
        receipt.quarantined = quarantined;
        receipt.duplicates = duplicates as u64;
        if duplicates > 0 {
            counters::add(&inner.cells.duplicates, duplicates);
            inner.books.repeat(environment, receipt.duplicates);
        }
        counters::add(&inner.cells.rejected, receipt.rejected.len());
        counters::add(&inner.cells.skewed, skewed);
        Ok(receipt)
    }

    /// The way in for exposures that the server sees while evaluating.
    pub fn exposures(&self) -> ExposureSender {
        self.inner.exposures.clone()
    }

    /// What was counted since this node opened, and how it stands.
    pub fn counters(&self) -> Counters {
        let inner = &*self.inner;
        let queue = inner.door.queue();
        let (pending, oldest) = inner.books.pending();
        let waiting_us = oldest.map_or(0, |oldest| inner.clock.now().micros_since(oldest));
        Counters {
            pending,
            oldest_pending_ms: u64::try_from(waiting_us / 1_000).unwrap_or(0),
            write_queue: queue.requests as u64,
            write_queue_bytes: queue.bytes as u64,
            exposure_queue: inner.exposures.waiting() as u64,
            quarantine_events: inner.desk.held.len() as u64,
            quarantine_bytes: inner.desk.held.room().used_bytes(),
            disk_free_bytes: inner.gate.space.free_bytes(),
            ..inner.cells.read()
        }
    }

    /// The books: what became of every event that this node has accepted, by the environment's number. Exact at every
    /// instant, and over restarts, but for events whose bytes were damaged: see [`EnvironmentLedger`].
    pub fn ledger(&self) -> BTreeMap<u64, EnvironmentLedger> {
        self.inner.books.read()
    }

    /// How many server-side exposures of a run were lost since this node opened.
    pub fn exposures_dropped(&self, environment: u64, run: u64) -> u64 {
        self.inner.cells.dropped(environment, run)
    }

    /// The same by the environment's number and the run's flag, of all that lost any.
    pub fn exposures_dropped_by_flag(&self) -> BTreeMap<(u64, String), u64> {
        self.inner.cells.dropped_by_flag()
    }

    /// Stops in order: exposures are drained, everything is sealed and appended, the warehouse flushes, and the log is
    /// released as far as it has become durable. A second call has nothing left to do.
    ///
    /// # Errors
    /// [`Error::Warehouse`] when the warehouse does not take or flush everything: the log keeps it for the next start. [`Error::Disk`]
    /// when the last events could not be sealed: likewise.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let Some(running) = self.stop_ticking() else {
            return Ok(());
        };
        self.inner.closing.cancel();
        let _ = running.drain.await;
        self.inner.door.close(Job::Finish);
        join(running.writer).await;
        join(running.keeper).await;
        let mut appender = running.appender.await.map_err(|_| Error::Closed)??;
        self.inner.warehouse.flush().await.map_err(|error| Error::Warehouse(Arc::new(error)))?;
        appender.release().await;
        let pending = self.counters().pending;
        if pending > 0 {
            let error =
                std::io::Error::other(format!("{pending} events could not be sealed; the next start hands them over"));
            return Err(Error::Disk(Arc::new(error)));
        }
        Ok(())
    }

    /// Stops as a crash would: nothing is drained, sealed, appended or flushed. What was acknowledged is in the log, and
    /// the next start finds it. Returns once the folder can be opened again.
    pub async fn abandon(&self) {
        let Some(running) = self.stop_ticking() else {
            return;
        };
        self.inner.door.close(Job::Abandon);
        running.drain.abort();
        running.appender.abort();
        join(running.writer).await;
        join(running.keeper).await;
        let _ = running.drain.await;
        let _ = running.appender.await;
        // A release that was under way on another thread ends by itself.
        while self.inner.locked.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    pub(crate) fn attribution(&self) -> &dyn Attribution {
        &*self.inner.attribution
    }

    /// The times that are believed now.
    pub(crate) fn plausibility(&self) -> Plausibility {
        Plausibility::at(self.inner.clock.now(), self.inner.config.retention_ms)
    }

    /// Whether anything may be admitted now.
    pub(crate) fn check_gate(&self) -> Result<(), Error> {
        let refused = self.inner.gate.check();
        match &refused {
            Err(Error::LowDisk { .. }) => counters::add(&self.inner.cells.refused_low_disk, 1),
            Err(_) => counters::add(&self.inner.cells.refused_backlog, 1),
            Ok(()) => {}
        }
        refused
    }

    pub(crate) async fn enter(&self, prepared: Prepared) -> Result<Entered, Error> {
        self.inner.door.enter(prepared).await
    }

    /// Whether an event is on its way to disk.
    #[cfg(test)]
    pub(crate) fn is_pending(&self, environment: u64, event_id: &str) -> bool {
        self.inner.door.is_pending(environment, event_id)
    }

    /// What the rows of sealed batches that wait in memory take in the log.
    #[cfg(test)]
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.inner.cells.resident_bytes.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn stop_ticking(&self) -> Option<Running> {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        running.ticker.abort();
        running.space.abort();
        Some(running)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.door.close(Job::Abandon);
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.ticker.abort();
            running.space.abort();
            running.drain.abort();
            running.appender.abort();
        }
    }
}

/// Tells the writer that a seal interval is over, again and again, until the node closes.
async fn tick(door: Arc<Door>, seal_after_ms: u64) {
    let mut interval = tokio::time::interval(Duration::from_millis(seal_after_ms.max(1)));
    // The first tick comes at once; the first interval is not over yet.
    interval.tick().await;
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if door.send(Job::Tick).is_err() {
            return;
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Error> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| Error::Disk(Arc::new(error)))
}

async fn join(thread: Thread<()>) {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("The thread of the event log panicked; what it had acknowledged is on disk.");
    }
}
