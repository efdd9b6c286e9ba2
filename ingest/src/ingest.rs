//! The handle that servers hold, and how its parts are started and stopped: the writer's thread, and three tasks
//! (appender, exposure drain, ticker).

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle as Thread;
use std::time::Duration;

use liftgate_domain::{Attribution, Clock, Warehouse};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::appender::Appender;
use crate::counters::{self, Cells};
use crate::door::Door;
use crate::exposure::{Drain, ExposureSender};
use crate::folder::Folder;
use crate::writer::{Job, Writer};
use crate::{Counters, Error, IngestConfig, ParsedEvent, Receipt};

const RETRY_AFTER_S: u64 = 5;

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
    exposures: ExposureSender,
    closing: CancellationToken,
    /// Alive while the folder is locked.
    locked: Weak<Folder>,
    running: Mutex<Option<Running>>,
}

/// What runs until shutdown.
struct Running {
    writer: Thread<()>,
    appender: JoinHandle<Result<Appender, Error>>,
    drain: JoinHandle<()>,
    ticker: JoinHandle<()>,
}

/// The parts, made by `open` and not yet running.
pub(crate) struct Parts {
    pub config: IngestConfig,
    pub clock: Arc<dyn Clock>,
    pub warehouse: Arc<dyn Warehouse>,
    pub attribution: Arc<dyn Attribution>,
    pub door: Arc<Door>,
    pub cells: Arc<Cells>,
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
        let thread = std::thread::Builder::new().name("event-log".to_owned()).spawn(move || writer.run());
        let running = Running {
            writer: thread.map_err(|error| Error::Disk(Arc::new(error)))?,
            appender: tokio::spawn(appender.run()),
            drain: tokio::spawn(drain.run()),
            ticker: tokio::spawn(tick(Arc::clone(&parts.door), parts.config.seal_after_ms)),
        };
        let inner = Inner {
            config: parts.config,
            clock: parts.clock,
            warehouse: parts.warehouse,
            attribution: parts.attribution,
            door: parts.door,
            cells: parts.cells,
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
    /// [`Error::Backlog`] while the warehouse is too far behind, [`Error::Disk`] when the log could not be written,
    /// [`Error::Closed`] during shutdown. After an error nothing was acknowledged, and the same request may be sent again.
    pub async fn admit(
        &self,
        environment: u64,
        events: Vec<ParsedEvent>,
        source: &'static str,
    ) -> Result<Receipt, Error> {
        let inner = &*self.inner;
        if inner.cells.read().log_bytes > inner.config.backlog_bytes_max {
            return Err(Error::Backlog { retry_after_s: RETRY_AFTER_S });
        }
        let admission = Admission {
            environment,
            source,
            now: inner.clock.now(),
            retention_ms: inner.config.retention_ms,
            attribution: &*inner.attribution,
        };
        let (prepared, rejected) = admission.prepare(events);
        let mut receipt = Receipt { rejected, ..Receipt::default() };
        if !prepared.is_empty() {
            let mut entered = inner.door.enter(prepared)?;
            entered.durable().await?;
            receipt.accepted = entered.accepted as u64;
            receipt.duplicates = entered.duplicates as u64;
            counters::add(&inner.cells.duplicates, entered.duplicates);
        }
        counters::add(&inner.cells.rejected, receipt.rejected.len());
        Ok(receipt)
    }

    /// The way in for exposures that the server sees while evaluating.
    pub fn exposures(&self) -> ExposureSender {
        self.inner.exposures.clone()
    }

    /// What was counted since this node opened.
    pub fn counters(&self) -> Counters {
        self.inner.cells.read()
    }

    /// How many server-side exposures of a run were lost since this node opened.
    pub fn exposures_dropped(&self, environment: u64, run: u64) -> u64 {
        self.inner.cells.dropped(environment, run)
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
        let _ = running.drain.await;
        let _ = running.appender.await;
        // A release that was under way on another thread ends by itself.
        while self.inner.locked.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether an event is on its way to disk.
    #[cfg(test)]
    pub(crate) fn is_pending(&self, environment: u64, event_id: &str) -> bool {
        self.inner.door.is_pending(environment, event_id)
    }

    fn stop_ticking(&self) -> Option<Running> {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        running.ticker.abort();
        Some(running)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.door.close(Job::Abandon);
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.ticker.abort();
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

async fn join(thread: Thread<()>) {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("The thread of the event log panicked; what it had acknowledged is on disk.");
    }
}
