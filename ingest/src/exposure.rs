//! Exposures that the server itself saw happen while evaluating. They must never slow an evaluation down: sending never
//! blocks, repeats are dropped at the source, and what a full queue loses is counted by flag.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use liftgate_domain::{EventRow, RowKind, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3Default;

use crate::Error;
use crate::counters::{self, Cells};
use crate::door::{Door, Prepared};
use crate::key_index::Key;
use crate::recent::Recent;

/// Exposures that share a record of the log.
const RECORD_EXPOSURES_MAX: usize = 1024;
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Attempts to log what is left at shutdown.
const CLOSING_ATTEMPTS_MAX: u32 = 5;
const SOURCE: &str = "server";

/// A unit was served a variation by a run, just now.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedExposure {
    /// The environment's number.
    pub environment: u64,
    /// The flag.
    pub flag: String,
    /// The variation served.
    pub variation: String,
    /// The unit's type.
    pub unit_type: String,
    /// The unit's id.
    pub unit_id: String,
    /// The run that served it.
    pub run: u64,
    /// The run's stage.
    pub stage: u32,
    /// The arm; `None` for a unit that is served and not analysed.
    pub arm: Option<String>,
    /// The unit's bucket, 0 to 99 999.
    pub bucket: u32,
    /// The ruleset revision that served it.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
}

/// What became of an exposure.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Sent {
    /// On its way to the log.
    Queued,
    /// The same unit was sent in the same run and arm before.
    Repeated,
    /// The queue is full, or the node is shutting down.
    Dropped,
}

/// Sends exposures to the log. Cheap to clone.
#[derive(Clone)]
pub struct ExposureSender {
    queue: mpsc::Sender<(Key, ServedExposure)>,
    recent: Arc<Recent>,
    cells: Arc<Cells>,
}

impl ExposureSender {
    pub(crate) fn new(queue: mpsc::Sender<(Key, ServedExposure)>, cells: Arc<Cells>) -> Self {
        Self { queue, recent: Arc::default(), cells }
    }

    /// Queues an exposure for the log. Never blocks.
    pub fn try_send(&self, exposure: ServedExposure) -> Sent {
        let key = exposure.key();
        if !self.recent.insert(key) {
            counters::add(&self.cells.exposures_deduplicated, 1);
            return Sent::Repeated;
        }
        match self.queue.try_send((key, exposure)) {
            Ok(()) => {
                counters::add(&self.cells.exposures_sent, 1);
                Sent::Queued
            }
            Err(mpsc::error::TrySendError::Full((key, lost)) | mpsc::error::TrySendError::Closed((key, lost))) => {
                // Not remembered, so that the unit's next evaluation makes up for it.
                self.recent.remove(key);
                self.cells.count_dropped(lost.environment, &lost.flag);
                Sent::Dropped
            }
        }
    }
}

impl ServedExposure {
    /// One key for each unit in each arm of a run.
    fn key(&self) -> Key {
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.environment.to_le_bytes());
        hasher.update(&self.run.to_le_bytes());
        for part in [Some(&self.unit_type), Some(&self.unit_id), self.arm.as_ref()] {
            // The length keeps neighbours apart; the marker keeps no arm apart from an empty one.
            hasher.update(&[u8::from(part.is_some())]);
            let text = part.map_or("", String::as_str);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.digest128()
    }

    fn into_row(self, key: Key) -> EventRow {
        let mut event_id = String::with_capacity(34);
        write!(event_id, "x-{key:032x}").expect("writing to a string cannot fail");
        EventRow {
            event_id,
            environment: self.environment,
            kind: RowKind::Exposure,
            ts: self.at,
            received_at: Timestamp(0),
            unit_hash: EventRow::unit_hash_of(self.environment, &self.unit_type, &self.unit_id),
            unit_type: self.unit_type,
            unit_id: self.unit_id,
            name: self.flag,
            variation: Some(self.variation),
            run: Some(self.run),
            stage: Some(self.stage),
            arm: self.arm,
            bucket: Some(self.bucket),
            value: None,
            properties: None,
            source: SOURCE.to_owned(),
            revision: self.revision,
        }
    }
}

/// Carries queued exposures to the log, until the queue is empty and closed.
pub(crate) struct Drain {
    pub queue: mpsc::Receiver<(Key, ServedExposure)>,
    pub door: Arc<Door>,
    pub cells: Arc<Cells>,
    pub closing: CancellationToken,
}

impl Drain {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(RECORD_EXPOSURES_MAX);
        loop {
            tokio::select! {
                count = self.queue.recv_many(&mut waiting, RECORD_EXPOSURES_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.log(&waiting).await;
                    waiting.clear();
                }
                () = self.closing.cancelled(), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    async fn log(&self, exposures: &[(Key, ServedExposure)]) {
        let mut closing_attempts = 0;
        loop {
            match self.try_log(exposures).await {
                Ok(repeated) => return counters::add(&self.cells.exposures_deduplicated, repeated),
                Err(error) => {
                    tracing::warn!(%error, count = exposures.len(), "Exposures wait because they could not be logged.")
                }
            }
            if self.closing.is_cancelled() {
                closing_attempts += 1;
                if closing_attempts == CLOSING_ATTEMPTS_MAX {
                    break;
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        for (_, lost) in exposures {
            self.cells.count_dropped(lost.environment, &lost.flag);
        }
    }

    /// Answers how many were logged before.
    async fn try_log(&self, exposures: &[(Key, ServedExposure)]) -> Result<usize, Error> {
        let mut prepared = Prepared::default();
        for (key, exposure) in exposures {
            prepared.push(exposure.clone().into_row(*key));
        }
        let mut entered = self.door.enter(prepared)?;
        entered.durable().await?;
        Ok(entered.duplicates)
    }
}
