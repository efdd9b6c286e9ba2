//! A node on a temporary folder that can crash and come back, and short ways to make events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{Attributed, Attribution, Clock, ManualClock, Sighting, Timestamp, Warehouse};
use liftgate_ingest::{Counters, Ingest, IngestConfig, OpenReport, ParsedEvent, RawBody, RawEvent, Receipt};

use crate::warehouse::KeepingWarehouse;

/// Where the clock of every test begins.
pub const NOON: Timestamp = Timestamp(1_767_268_800_000_000);
pub const ENVIRONMENT: u64 = 7;
pub const DAY_MS: i64 = 86_400_000;

/// Knows one run: number 3 of flag `checkout`, which randomizes users, everybody in the treatment.
pub struct OneRun;

impl Attribution for OneRun {
    fn attribute(&self, sighting: &Sighting<'_>) -> Option<Attributed> {
        let told = sighting.told_run.filter(|run| *run != 3);
        let arm = told.is_none().then(|| "on".to_owned());
        let attributed = Attributed { run: 3, stage: 1, arm, bucket: 42, variation: "on".to_owned() };
        (sighting.flag == "checkout" && sighting.unit_type == "user").then_some(attributed)
    }
}

pub struct Node {
    pub ingest: Ingest,
    pub report: OpenReport,
    pub warehouse: Arc<KeepingWarehouse>,
    pub clock: Arc<ManualClock>,
    pub config: IngestConfig,
    _dir: Arc<tempfile::TempDir>,
}

impl Node {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut IngestConfig)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut config = IngestConfig {
            dir: dir.path().join("node"),
            seal_after_ms: 5,
            group_commit_ms: 0,
            // Tests run wherever there is room for them.
            disk_free_min_bytes: 0,
            ..IngestConfig::default()
        };
        change(&mut config);
        let clock = Arc::new(ManualClock::at(NOON));
        Self::open(dir, config, KeepingWarehouse::new(), clock).await
    }

    async fn open(
        dir: Arc<tempfile::TempDir>,
        config: IngestConfig,
        warehouse: Arc<KeepingWarehouse>,
        clock: Arc<ManualClock>,
    ) -> Self {
        let entropy = SeededEntropy::new(1);
        let opened = Ingest::open(
            config.clone(),
            Arc::clone(&clock) as _,
            &entropy,
            Arc::clone(&warehouse) as _,
            Arc::new(OneRun),
        );
        let (ingest, report) = opened.await.unwrap();
        Self { ingest, report, warehouse, clock, config, _dir: dir }
    }

    /// Kills the node, lets `between` do things to the folder, and opens it again.
    pub async fn crash_and(self, between: impl FnOnce(&Self)) -> Self {
        self.ingest.abandon().await;
        between(&self);
        Self::open(self._dir, self.config, self.warehouse, self.clock).await
    }

    pub async fn crash(self) -> Self {
        self.crash_and(|_| {}).await
    }

    /// Shuts the node down in order, and opens it again.
    pub async fn restart(self) -> Self {
        self.ingest.shutdown().await.unwrap();
        Self::open(self._dir, self.config, self.warehouse, self.clock).await
    }

    pub async fn admit(&self, events: Vec<ParsedEvent>) -> Receipt {
        self.ingest.admit(ENVIRONMENT, events, "native").await.unwrap()
    }

    /// Admits metric events with these ids; answers (accepted, duplicates).
    pub async fn send(&self, ids: &[&str]) -> (u64, u64) {
        let receipt = self.admit(ids.iter().map(|id| metric(id)).collect()).await;
        assert!(receipt.rejected.is_empty());
        (receipt.accepted, receipt.duplicates)
    }

    /// Returns once the counters are as expected; the test's own time limit is the bound.
    pub async fn until(&self, expected: impl Fn(&Counters) -> bool) -> Counters {
        loop {
            let counters = self.ingest.counters();
            if expected(&counters) {
                return counters;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns once everything admitted is in the warehouse.
    pub async fn settled(&self) {
        self.until(|counters| counters.pending == 0).await;
    }

    /// Moves the clock, and returns once the node has seen it.
    pub async fn wait_ms(&self, ms: i64) {
        self.clock.advance_ms(ms);
        let (now, mut evidence) = (self.clock.now(), self.warehouse.evidence());
        evidence.wait_for(|watermark| watermark.time().is_some_and(|time| time >= now)).await.unwrap();
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        self.files("wal")
    }

    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let dir = self.config.dir.join(folder);
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// A metric event.
pub fn metric(id: &str) -> ParsedEvent {
    event(id, RawBody::Metric { event: "purchase".to_owned(), value: Some(2.5), properties: None })
}

/// A metric event that is two days ahead.
pub fn early(id: &str) -> ParsedEvent {
    match metric(id) {
        ParsedEvent::Ok(event) => ParsedEvent::Ok(RawEvent { timestamp: NOON.plus_millis(2 * DAY_MS), ..event }),
        bad => bad,
    }
}

/// An exposure as a client reports it.
pub fn exposure(id: &str, flag: &str, variation: &str) -> ParsedEvent {
    event(id, RawBody::Exposure { flag: flag.to_owned(), variation: variation.to_owned(), attributes: None })
}

fn event(id: &str, body: RawBody) -> ParsedEvent {
    ParsedEvent::Ok(RawEvent {
        id: id.to_owned(),
        timestamp: NOON,
        unit_type: "user".to_owned(),
        unit_id: format!("unit of {id}"),
        other_units: Vec::new(),
        sent_at: None,
        body,
    })
}
