//! Exposures that the server itself saw happen while evaluating. They must never slow an evaluation down: sending never
//! blocks, repeats are dropped at the source, and what a full queue loses is counted by run.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use liftgate_domain::{EventRow, RowKind, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3Default;

use crate::Error;
use crate::counters::{self, Cells};
use crate::door::Door;
use crate::gate::Gate;
use crate::keys::Key;
use crate::native::{NAME_BYTES_MAX, UNIT_ID_BYTES_MAX};
use crate::prepared::Prepared;
use crate::recent::Recent;

/// Exposures that share a record of the log.
const RECORD_EXPOSURES_MAX: usize = 1024;
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a unit that keeps being served is recorded again. Whether an arm is still being served shows from its newest
/// exposures, which must not end with its last new unit.
const SEEN_AGAIN_MICROS: i64 = 5 * 60 * 1_000_000;
/// Attempts to log what is left at shutdown.
const CLOSING_ATTEMPTS_MAX: u32 = 5;
const SOURCE: &str = "server";

/// A unit was served a variation by a run, just now.
///
/// It is recorded once for each run, stage and arm in every five minutes of `at`, however often it is served. A unit's
/// first exposure is a minimum, so recording it again changes no statistics; it shows that the arm is still served.
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
    /// The same unit was sent in the same run, stage and arm within these five minutes.
    Repeated,
    /// The queue is full, the node is shutting down, or the unit's id or type is longer than any event may have.
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

    /// How many wait to be logged.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Queues an exposure for the log. Never blocks.
    pub fn try_send(&self, exposure: ServedExposure) -> Sent {
        if exposure.unit_id.len() > UNIT_ID_BYTES_MAX || exposure.unit_type.len() > NAME_BYTES_MAX {
            self.cells.count_dropped(exposure.environment, exposure.run, &exposure.flag);
            return Sent::Dropped;
        }
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
                self.cells.count_dropped(lost.environment, lost.run, &lost.flag);
                Sent::Dropped
            }
        }
    }
}

impl ServedExposure {
    /// One key for each unit in each stage and arm of a run, and slice of time.
    fn key(&self) -> Key {
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.environment.to_le_bytes());
        hasher.update(&self.run.to_le_bytes());
        hasher.update(&self.stage.to_le_bytes());
        hasher.update(&self.at.0.div_euclid(SEEN_AGAIN_MICROS).to_le_bytes());
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
            ts_client: self.at,
            received_at: Timestamp(0),
            unit_index: 0,
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
    /// While it is shut, exposures wait in the queue as requests are refused.
    pub gate: Gate,
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
        let mut parts = vec![exposures];
        while let Some(part) = parts.pop() {
            match self.log_part(part).await {
                Ok(repeated) => counters::add(&self.cells.exposures_deduplicated, repeated),
                // Not one of them may hold the others up for ever.
                Err(Error::TooLarge { .. }) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error) => {
                    tracing::error!(%error, count = part.len(), "Exposures are lost because they could not be logged.");
                    for (_, lost) in part {
                        self.cells.count_dropped(lost.environment, lost.run, &lost.flag);
                    }
                }
            }
        }
    }

    /// Tries until the exposures are logged, they turn out too large, or the node closes. Answers how many were logged
    /// before.
    async fn log_part(&self, exposures: &[(Key, ServedExposure)]) -> Result<usize, Error> {
        let (mut closing_attempts, mut is_told) = (0, false);
        loop {
            let error = match self.try_log(exposures).await {
                Err(error) if !matches!(error, Error::TooLarge { .. }) => error,
                outcome => return outcome,
            };
            if self.closing.is_cancelled() {
                closing_attempts += 1;
                if closing_attempts == CLOSING_ATTEMPTS_MAX {
                    return Err(error);
                }
            }
            if !is_told {
                tracing::warn!(%error, count = exposures.len(), "Exposures wait because they could not be logged.");
                is_told = true;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Answers how many were logged before.
    async fn try_log(&self, exposures: &[(Key, ServedExposure)]) -> Result<usize, Error> {
        // At the end what is left goes in nevertheless: it is no more than a queue, and would be lost.
        if !self.closing.is_cancelled() {
            self.gate.check()?;
        }
        let mut prepared = Prepared::default();
        for (key, exposure) in exposures {
            prepared.push(exposure.clone().into_row(*key));
        }
        let mut entered = self.door.enter(prepared).await?;
        entered.durable().await?;
        Ok(entered.duplicates)
    }
}
