//! The warehouse on ClickHouse: inserts with names that retries repeat, marks for all nodes, questions as SQL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use clickhouse::Row;
use liftgate_domain::{
    Clock, EventCounts, MomentsAnswer, MomentsQuery, NodeMark, SealedBatch, StoreError, Timestamp, Warehouse,
    Watermark, failpoint,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::attempts::Attempts;
use super::breaker::Breaker;
use super::chunk::{Chunk, chunks};
use super::connection::{Connection, InsertTerms};
use super::health::{ClickHouseHealth, Counters, add, read};
use super::layout::{Layout, quoted};
use super::ledger::{Ledger, Unrecorded, straggler};
use super::options::ClickHouseOptions;
use super::question::Seen;
use super::record::Record;
use super::relation::{Relation, Repeats, repeats_sql};
use super::repeats::KnownRepeats;
use super::statement::Parameters;
use super::{expiry, migrate, readout};

/// How many of a node's last batches are looked up at the start. No log holds so many.
const BATCHES_READ: u64 = 1_000_000;
/// The year 2100, in microseconds.
const FAR_MICROS: i64 = 4_102_444_800_000_000;
/// Attempts at a count while repeated events arrive; the last stands, and is right again once they have.
const COUNT_ATTEMPTS_MAX: u32 = 8;
/// How often marks are written and those of other nodes read.
const TURN: Duration = Duration::from_secs(1);

/// Events on a ClickHouse server or cluster, which any number of nodes write to.
pub struct ClickHouseWarehouse {
    inner: Arc<Inner>,
    turning: AbortHandle,
}

struct Inner {
    connection: Connection,
    layout: Layout,
    clock: Arc<dyn Clock>,
    ledger: Mutex<Ledger>,
    breaker: Mutex<Breaker>,
    attempts: Mutex<Attempts>,
    counters: Counters,
    repeats: KnownRepeats,
    evidence: watch::Sender<Watermark>,
    /// One writer of marks at a time, so that older ones never follow newer ones.
    recording: tokio::sync::Mutex<()>,
}

#[derive(Row, Serialize)]
struct BatchRecord<'a> {
    node: &'a str,
    epoch: u64,
    sequence: u64,
    received_through: i64,
    rows: u64,
}

#[derive(Row, Serialize)]
struct MarkRecord<'a> {
    node: &'a str,
    mark: (u64, u64),
    received_through: i64,
}

#[derive(Row, Deserialize)]
struct FoundMark {
    node: String,
    mark: (u64, u64),
    received_through: i64,
}

#[derive(Row, Deserialize)]
struct FoundBatches {
    node: String,
    epoch: u64,
    first: u64,
    last: u64,
}

#[derive(Row, Deserialize)]
struct FoundCounts {
    exposures: u64,
    metrics: u64,
    distinct: u64,
}

impl ClickHouseWarehouse {
    /// Connects: checks the server, makes the tables, and reads what is stored already. Must be called within a tokio
    /// runtime, in which it goes on to exchange marks with other nodes until it is dropped. An error says what to do.
    pub async fn connect(options: ClickHouseOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        options.check()?;
        let pause_ms = i64::try_from(options.breaker_pause.as_millis()).unwrap_or(i64::MAX);
        let breaker = Mutex::new(Breaker::new(options.breaker_failures, pause_ms));
        let attempts = Mutex::new(Attempts::since(clock.now()));
        let connection = Connection::new(options);
        let layout = migrate::prepare(&connection).await?;
        let inner = Arc::new(Inner {
            connection,
            layout,
            clock,
            ledger: Mutex::default(),
            breaker,
            attempts,
            counters: Counters::default(),
            repeats: KnownRepeats::default(),
            evidence: watch::Sender::default(),
            recording: tokio::sync::Mutex::default(),
        });
        inner.check_rights().await?;
        inner.read_batches().await?;
        inner.read_marks().await?;
        let turning = tokio::spawn(take_turns(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, turning })
    }

    /// How it is.
    pub fn health(&self) -> ClickHouseHealth {
        let inner = &self.inner;
        let breaker = lock(&inner.breaker);
        let counters = &inner.counters;
        ClickHouseHealth {
            breaker: breaker.state(inner.clock.now()),
            failures: breaker.failures(),
            breaker_opened: breaker.opened(),
            inserts: read(&counters.inserts),
            rows: read(&counters.rows),
            bytes: read(&counters.bytes),
            inserts_failed: read(&counters.inserts_failed),
            last_insert_us: read(&counters.last_insert_us),
            questions: read(&counters.questions),
            unrecorded_batches: lock(&inner.ledger).unrecorded().batches.len() as u64,
        }
    }

    /// Deletes the environment's events whose days (UTC, by their corrected time) end no later than `before`. Answers how
    /// many distinct events went; [`ClickHouseWarehouse::expired`] adds them up. What no mark covers yet goes the next
    /// time. On a cluster without Keeper it deletes those of the server that it is connected to: call it on each. When
    /// the server takes longer than the timeout of queries, it goes on by itself after the error.
    pub async fn expire(&self, environment: u64, before: Timestamp) -> Result<u64, StoreError> {
        let inner = &self.inner;
        inner.record().await?;
        inner.read_marks().await?;
        let marks = lock(&inner.ledger).recorded().clone();
        expiry::expire(&inner.connection, &inner.layout, environment, before, &marks).await
    }

    /// How many distinct events of an environment have expired so far, whichever node took them out.
    pub async fn expired(&self, environment: u64) -> Result<u64, StoreError> {
        expiry::expired(&self.inner.connection, environment).await
    }

    /// Forgets the mark of a node that is gone for good, which would hold the watermark back for ever. Its rows stay.
    /// On a cluster without Keeper it must be called on the server that has the mark; others answer `Invalid`.
    pub async fn retire(&self, node: &str) -> Result<(), StoreError> {
        {
            let _turn = self.inner.recording.lock().await;
            let mut parameters = Parameters::default();
            let condition = format!("node = {}", parameters.text(node));
            let connection = &self.inner.connection;
            let sql = self.inner.layout.delete_sql(&connection.options().database, "marks", &condition);
            connection.execute(parameters.query(&connection.inside(), &sql)).await?;
            lock(&self.inner.ledger).forget(node);
        }
        self.inner.read_marks().await?;
        if self.inner.evidence.borrow().nodes.contains_key(node) {
            return Err(StoreError::Invalid(format!(
                "the mark of node `{node}` is on another server of the cluster, or the node has just written; retire it \
                 there, once it has stopped"
            )));
        }
        Ok(())
    }
}

impl Drop for ClickHouseWarehouse {
    fn drop(&mut self) {
        self.turning.abort();
    }
}

#[async_trait]
impl Warehouse for ClickHouseWarehouse {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        self.inner.append(&batch).await
    }

    fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        lock(&self.inner.ledger).durable_through(node, epoch)
    }

    fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        lock(&self.inner.ledger).is_durable(node, epoch, sequence)
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.record().await
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.inner.evidence.subscribe()
    }

    async fn moments(&self, query: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        let watermark = self.inner.evidence.borrow().clone();
        let answer = readout::answer(&self.inner.connection, &self.inner.repeats, query, watermark).await?;
        add(&self.inner.counters.questions, 1);
        Ok(answer)
    }

    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError> {
        self.inner.counts(environment).await
    }
}

impl Inner {
    /// Refuses a user who could not append: better now than with the first batch.
    async fn check_rights(&self) -> Result<(), StoreError> {
        let options = self.connection.options();
        let (database, user) = (&options.database, &options.user);
        let sql = format!("CHECK GRANT SELECT, INSERT ON {}.*", quoted(database));
        if self.connection.row::<u8>(self.connection.inside().query_raw(&sql)).await? == 1 {
            return Ok(());
        }
        Err(StoreError::Invalid(format!(
            "user `{user}` may not read or write in database `{database}` of ClickHouse; an administrator can allow it \
             with GRANT SELECT, INSERT ON `{database}`.* TO `{user}`"
        )))
    }

    async fn append(&self, batch: &SealedBatch) -> Result<(), StoreError> {
        let is_known = lock(&self.ledger).has(&batch.node, batch.epoch, batch.sequence);
        let mut stored = 0;
        if !batch.rows.is_empty() && !is_known {
            stored = self.store(batch).await?;
            failpoint::hit("clickhouse.inserted");
        }
        lock(&self.ledger).appended(batch, stored);
        failpoint::hit("clickhouse.remembered");
        self.publish();
        Ok(())
    }

    /// Inserts the rows of a batch; answers how many.
    async fn store(&self, batch: &SealedBatch) -> Result<u64, StoreError> {
        if !lock(&self.breaker).admits(self.clock.now()) {
            let pause_s = self.connection.options().breaker_pause.as_secs();
            return Err(StoreError::Unavailable(format!(
                "ClickHouse failed several times in a row; nothing is tried for {pause_s} s"
            )));
        }
        let began = self.clock.now();
        let is_doubtful = lock(&self.attempts).begin(batch);
        let chunks = chunks(batch);
        let rows = chunks.iter().map(|chunk| chunk.rows.len() as u64).sum();
        let mut outcome = self.insert(batch, &chunks, "").await;
        if is_doubtful && outcome.is_ok() {
            outcome = match self.found(batch).await {
                Ok(found) if found >= rows => Ok(()),
                Ok(found) => {
                    tracing::warn!(
                        node = &*batch.node,
                        batch.epoch,
                        batch.sequence,
                        rows,
                        found,
                        "ClickHouse remembers a batch without having all of its rows; they are inserted anew."
                    );
                    self.insert(batch, &chunks, &format!("~{}", began.as_micros())).await
                }
                Err(error) => Err(error),
            };
        }
        if let Err(error) = outcome {
            lock(&self.breaker).failed(self.clock.now());
            add(&self.counters.inserts_failed, 1);
            // What is wrong with a server can be mended while the log keeps the batch.
            return Err(StoreError::Unavailable(match error {
                StoreError::Unavailable(text) => text,
                other => other.to_string(),
            }));
        }
        lock(&self.attempts).stored(batch);
        lock(&self.breaker).succeeded();
        add(&self.counters.rows, rows);
        let took = self.clock.now().micros_since(began);
        self.counters.last_insert_us.store(u64::try_from(took).unwrap_or(0), std::sync::atomic::Ordering::Relaxed);
        Ok(rows)
    }

    async fn insert(&self, batch: &SealedBatch, chunks: &[Chunk<'_>], suffix: &str) -> Result<(), StoreError> {
        for chunk in chunks {
            let token = format!("{}{suffix}", chunk.token);
            let terms = InsertTerms { token: Some(&token), quorum: self.layout.quorum() };
            let records = chunk.rows.iter().map(|row| Record::of(row, batch));
            self.connection.insert::<Record<'_>>("events", &terms, records).await?;
            add(&self.counters.inserts, 1);
            add(&self.counters.bytes, chunk.bytes as u64);
        }
        Ok(())
    }

    /// How many rows of the batch the server really has.
    async fn found(&self, batch: &SealedBatch) -> Result<u64, StoreError> {
        let times = batch.rows.iter().map(|row| row.ts_client.as_micros());
        let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
        let mut parameters = Parameters::default();
        let node = parameters.text(&*batch.node);
        // Months in which the batch has no rows need not be read; the server knows no times far outside our era.
        let months = match (0..FAR_MICROS).contains(&first) && (0..FAR_MICROS).contains(&last) {
            true => {
                format!(" AND ts_client BETWEEN fromUnixTimestamp64Micro({first}) AND fromUnixTimestamp64Micro({last})")
            }
            false => String::new(),
        };
        let sql = format!(
            "SELECT uniqExact(environment, event_id, unit_type) FROM events WHERE node = {node} AND epoch = {} AND \
             sequence = {}{months}",
            batch.epoch, batch.sequence
        );
        self.connection.row(parameters.query(&self.connection.reading(), &sql)).await
    }

    /// Writes down which batches are stored and how far the evidence reaches.
    async fn record(&self) -> Result<(), StoreError> {
        let _turn = self.recording.lock().await;
        let unrecorded = lock(&self.ledger).unrecorded();
        let Unrecorded { batches, marks } = &unrecorded;
        let terms = InsertTerms { token: None, quorum: self.layout.quorum() };
        if !batches.is_empty() {
            let records = batches.iter().map(|((node, epoch, sequence), confirmed)| BatchRecord {
                node,
                epoch: *epoch,
                sequence: *sequence,
                received_through: confirmed.received_through.as_micros(),
                rows: confirmed.rows,
            });
            self.connection.insert::<BatchRecord<'_>>("batches", &terms, records).await?;
            failpoint::hit("clickhouse.batches_recorded");
        }
        if !marks.is_empty() {
            let records = marks.iter().map(|(node, mark)| MarkRecord {
                node,
                mark: (mark.epoch, mark.sequence),
                received_through: mark.received_at.as_micros(),
            });
            self.connection.insert::<MarkRecord<'_>>("marks", &terms, records).await?;
            failpoint::hit("clickhouse.marks_recorded");
        }
        lock(&self.ledger).record(&unrecorded);
        Ok(())
    }

    async fn read_marks(&self) -> Result<(), StoreError> {
        let _turn = self.recording.lock().await;
        let sql = "SELECT toString(node) AS node, max(marks.mark) AS mark, \
                   toUnixTimestamp64Micro(max(marks.received_through)) AS received_through FROM marks GROUP BY node";
        let found: Vec<FoundMark> = self.connection.rows(self.connection.inside().query_raw(sql)).await?;
        let mark = |found: FoundMark| {
            let received_at = Timestamp(found.received_through);
            (found.node, NodeMark { epoch: found.mark.0, sequence: found.mark.1, received_at })
        };
        lock(&self.ledger).read(Watermark { nodes: found.into_iter().map(mark).collect() });
        self.publish();
        Ok(())
    }

    async fn read_batches(&self) -> Result<(), StoreError> {
        // Neighbouring sequences, less their position, have the same number: an unbroken range.
        let sql = format!(
            "SELECT toString(node) AS node, epoch, min(sequence) AS first, max(sequence) AS last FROM \
                   (SELECT node, epoch, sequence, sequence - row_number() OVER (PARTITION BY node, epoch ORDER BY \
                   sequence) AS range FROM (SELECT DISTINCT node, epoch, sequence FROM batches GLOBAL INNER JOIN \
                   (SELECT node, epoch, max(sequence) AS newest FROM batches GROUP BY node, epoch) AS ends \
                   USING (node, epoch) WHERE sequence + {BATCHES_READ} > newest)) GROUP BY node, epoch, range"
        );
        let found: Vec<FoundBatches> = self.connection.rows(self.connection.inside().query_raw(&sql)).await?;
        let mut ledger = lock(&self.ledger);
        for batches in found {
            ledger.found(&batches.node, batches.epoch, batches.first, batches.last);
        }
        Ok(())
    }

    /// Tells whoever waits for evidence, when there is something new.
    fn publish(&self) {
        let ledger = lock(&self.ledger);
        self.evidence.send_if_modified(|published| {
            let watermark = ledger.watermark();
            let is_new = *published != watermark;
            *published = watermark;
            is_new
        });
    }

    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError> {
        let mut repeats = self.repeats(environment).await?;
        let mut attempt = 1;
        loop {
            let counts = self.counts_without(environment, &repeats).await?;
            // A row that came between the two statements may repeat one that was there, and was counted beside it.
            let now = self.repeats(environment).await?;
            if now == repeats || attempt == COUNT_ATTEMPTS_MAX {
                return Ok(counts);
            }
            repeats = now;
            attempt += 1;
        }
    }

    /// What has several rows now.
    async fn repeats(&self, environment: u64) -> Result<Repeats, StoreError> {
        let client = self.connection.reading();
        let mut hashes: Vec<u64> = self.connection.rows(client.query_raw(&repeats_sql(environment))).await?;
        hashes.sort_unstable();
        Ok(Repeats::of(hashes))
    }

    async fn counts_without(&self, environment: u64, repeats: &Repeats) -> Result<EventCounts, StoreError> {
        let client = self.connection.reading();
        let count = format!("SELECT count() FROM events WHERE environment = {environment}");
        let stored: u64 = self.connection.row(client.query_raw(&count)).await?;
        let seen = Seen { through: None, by_node: Vec::new() };
        let relation = Relation { environment, seen: &seen, repeats };
        let mut parameters = Parameters::default();
        let events = relation.select(&["kind", "unit_index"], "1", &mut parameters);
        let sql = format!(
            "SELECT countIf(kind = 'exposure' AND unit_index = 0) AS exposures, \
             countIf(kind = 'metric' AND unit_index = 0) AS metrics, count() AS distinct FROM ({events})"
        );
        let found: FoundCounts = self.connection.row(parameters.query(&client, &sql)).await?;
        // Rows that arrived between the statements are events, not repeats.
        let still_stored: u64 = self.connection.row(client.query_raw(&count)).await?;
        let surplus = stored.min(still_stored).saturating_sub(found.distinct);
        Ok(EventCounts { exposures: found.exposures, metrics: found.metrics, surplus })
    }
}

/// Writes marks and reads those of others until the warehouse is gone.
async fn take_turns(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(TURN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut is_failing, mut behind) = (false, None);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let outcome = match inner.record().await {
            Ok(()) => inner.read_marks().await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) if is_failing => tracing::info!("Marks are exchanged through ClickHouse again."),
            Err(error) if !is_failing => {
                tracing::warn!(%error, "Marks cannot be exchanged through ClickHouse; it is tried every second.");
            }
            _ => {}
        }
        is_failing = outcome.is_err();
        let now_behind = straggler(&inner.evidence.borrow()).map(str::to_owned);
        if let Some(node) = now_behind.as_deref().filter(|_| now_behind != behind) {
            tracing::warn!(
                node,
                "A node is far behind the others and holds all decisions back: start it, or retire it."
            );
        }
        behind = now_behind;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is small and leaves the state whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
