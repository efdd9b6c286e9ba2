//! Tests of a disk that fails while the node runs.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{Attributed, Attribution, ManualClock, Sighting, Timestamp, Warehouse};

use crate::medium::{self, Medium, Opener};
use crate::{Error, Ingest, IngestConfig, ParsedEvent, QuarantineSelection, RawBody, RawEvent, RawUnit, ReplayTime};

#[allow(dead_code, reason = "shared with the integration tests, which use more of it")]
#[path = "../tests/it/warehouse.rs"]
mod warehouse;

use warehouse::KeepingWarehouse;

const WORKS: u8 = 0;
const APPEND_FAILS: u8 = 1;
const SYNC_FAILS: u8 = 2;
const ALL_FAILS: u8 = 3;
const OPEN_FAILS: u8 = 4;
/// Before every time that is believed.
const LONG_AGO: Timestamp = Timestamp(0);

/// What the disk does, and a gate that holds its syncs back.
#[derive(Default)]
struct Fault {
    mode: AtomicU8,
    /// Files that could not be opened.
    refused: AtomicU32,
    held: Mutex<bool>,
    released: Condvar,
}

struct Faulty {
    inner: Box<dyn Medium>,
    fault: Arc<Fault>,
}

impl Fault {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    fn check(&self, failing: &[u8]) -> io::Result<()> {
        if failing.contains(&self.mode.load(Ordering::SeqCst)) {
            return Err(io::Error::other("told to fail"));
        }
        Ok(())
    }
}

impl Medium for Faulty {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.fault.check(&[APPEND_FAILS, ALL_FAILS]).is_err() {
            // A full disk takes a part.
            self.inner.append(&bytes[..bytes.len() / 2])?;
        }
        self.fault.check(&[APPEND_FAILS, ALL_FAILS])?;
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut held = self.fault.held.lock().unwrap();
        while *held {
            held = self.fault.released.wait(held).unwrap();
        }
        self.fault.check(&[SYNC_FAILS, ALL_FAILS])?;
        self.inner.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.fault.check(&[ALL_FAILS])?;
        self.inner.truncate(length)
    }
}

struct NoRun;

impl Attribution for NoRun {
    fn attribute(&self, _: &Sighting<'_>) -> Option<Attributed> {
        None
    }
}

async fn open(dir: &Path, warehouse: &Arc<KeepingWarehouse>, fault: &Arc<Fault>) -> Ingest {
    open_with(dir, warehouse, fault, |_| {}).await
}

async fn open_with(
    dir: &Path,
    warehouse: &Arc<KeepingWarehouse>,
    fault: &Arc<Fault>,
    change: impl FnOnce(&mut IngestConfig),
) -> Ingest {
    let fault = Arc::clone(fault);
    let opener: Opener = Arc::new(move |path: &Path| -> io::Result<Box<dyn Medium>> {
        fault.check(&[OPEN_FAILS]).inspect_err(|_| {
            fault.refused.fetch_add(1, Ordering::SeqCst);
        })?;
        Ok(Box::new(Faulty { inner: medium::open_file(path)?, fault: Arc::clone(&fault) }))
    });
    let mut config = IngestConfig {
        dir: dir.to_owned(),
        seal_after_ms: 3_600_000,
        group_commit_ms: 0,
        disk_free_min_bytes: 0,
        ..IngestConfig::default()
    };
    change(&mut config);
    let clock = Arc::new(ManualClock::at(Timestamp(1_767_268_800_000_000)));
    let entropy = SeededEntropy::new(1);
    let opened = Ingest::open_on(config, clock, &entropy, Arc::clone(warehouse) as _, Arc::new(NoRun), opener).await;
    opened.unwrap().0
}

fn event(id: &str) -> RawEvent {
    RawEvent {
        id: id.to_owned(),
        timestamp: Timestamp(1_767_268_800_000_000),
        unit_type: "user".to_owned(),
        unit_id: "u".to_owned(),
        other_units: Vec::new(),
        sent_at: None,
        body: RawBody::Metric { event: "purchase".to_owned(), value: None, properties: None },
    }
}

/// An event that takes about a quarter of a megabyte in the log.
fn large(id: &str) -> RawEvent {
    let unit = |n: u32| RawUnit { unit_type: format!("type{n}"), unit_id: "u".to_owned() };
    let properties = [("text".to_owned(), "x".repeat(32 << 10).into())].into_iter().collect();
    let body = RawBody::Metric { event: "purchase".to_owned(), value: None, properties: Some(properties) };
    RawEvent { other_units: (1..8).map(unit).collect(), body, ..event(id) }
}

async fn send(ingest: &Ingest, ids: &[&str]) -> Result<(u64, u64), Error> {
    let events = ids.iter().map(|id| ParsedEvent::Ok(event(id)));
    let receipt = ingest.admit(1, events.collect(), "native").await?;
    Ok((receipt.accepted, receipt.duplicates))
}

/// Returns once the condition holds; the test's own time limit is the bound.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Takes everything out of quarantine; how much that was.
async fn empty(ingest: Ingest, is_replay: bool) -> u64 {
    let all = QuarantineSelection::All;
    match is_replay {
        true => ingest.replay(1, all, ReplayTime::ReceivedAt).await.unwrap().replayed,
        false => ingest.discard(1, all).await.unwrap().discarded,
    }
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_behind_and_can_be_sent_again() {
    for mode in [APPEND_FAILS, SYNC_FAILS, ALL_FAILS] {
        let dir = tempfile::tempdir().unwrap();
        let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
        let ingest = open(dir.path(), &warehouse, &fault).await;
        assert_eq!(send(&ingest, &["a"]).await.unwrap(), (1, 0));
        fault.mode.store(mode, Ordering::SeqCst);
        for _ in 0..3 {
            let error = send(&ingest, &["a", "b"]).await.unwrap_err();
            assert!(matches!(error, Error::Disk(_)), "{error}");
        }
        assert_eq!(send(&ingest, &["a"]).await.unwrap(), (0, 1), "what was durable before still is");
        fault.mode.store(WORKS, Ordering::SeqCst);
        assert_eq!(send(&ingest, &["a", "b", "c"]).await.unwrap(), (2, 1));
        assert_eq!(ingest.counters().accepted, 3);
        ingest.abandon().await;
        let ingest = open(dir.path(), &warehouse, &fault).await;
        assert_eq!(ingest.counters().damaged_frames, 0, "mode {mode}");
        assert_eq!(warehouse.ids(), ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_crash_before_the_repair_counts_once_too() {
    let dir = tempfile::tempdir().unwrap();
    let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
    let ingest = open(dir.path(), &warehouse, &fault).await;
    fault.mode.store(ALL_FAILS, Ordering::SeqCst);
    assert!(send(&ingest, &["a", "b"]).await.is_err());
    ingest.abandon().await;
    fault.mode.store(WORKS, Ordering::SeqCst);
    let ingest = open(dir.path(), &warehouse, &fault).await;
    send(&ingest, &["a", "b"]).await.unwrap();
    ingest.shutdown().await.unwrap();
    assert_eq!(warehouse.ids(), ["a", "b"]);
}

#[tokio::test]
async fn a_shutdown_that_cannot_seal_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
    let ingest = open(dir.path(), &warehouse, &fault).await;
    send(&ingest, &["a"]).await.unwrap();
    fault.mode.store(ALL_FAILS, Ordering::SeqCst);
    assert!(matches!(ingest.shutdown().await, Err(Error::Disk(_))));
    fault.mode.store(WORKS, Ordering::SeqCst);
    let ingest = open(dir.path(), &warehouse, &fault).await;
    assert_eq!(send(&ingest, &["a"]).await.unwrap(), (0, 1));
    assert_eq!(warehouse.ids(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_of_an_event_on_its_way_shares_its_fate() {
    for (mode, outcome) in [(WORKS, Some((0, 1))), (SYNC_FAILS, None)] {
        let dir = tempfile::tempdir().unwrap();
        let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
        let ingest = open(dir.path(), &warehouse, &fault).await;
        fault.mode.store(mode, Ordering::SeqCst);
        fault.hold(true);
        let first = tokio::spawn({
            let ingest = ingest.clone();
            async move { send(&ingest, &["a"]).await }
        });
        while !ingest.is_pending(1, "a") {
            tokio::task::yield_now().await;
        }
        let mut repeat = tokio::spawn({
            let ingest = ingest.clone();
            async move { send(&ingest, &["a"]).await }
        });
        let early = tokio::time::timeout(Duration::from_millis(30), &mut repeat).await;
        assert!(early.is_err(), "no answer before the sync");
        fault.hold(false);
        assert_eq!(first.await.unwrap().ok(), outcome.map(|_| (1, 0)));
        assert_eq!(repeat.await.unwrap().ok(), outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_quarantine_leaves_once_when_its_request_is_dropped() {
    for is_replay in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
        let ingest = open(dir.path(), &warehouse, &fault).await;
        let old = ParsedEvent::Ok(RawEvent { timestamp: LONG_AGO, ..event("a") });
        assert_eq!(ingest.admit(1, vec![old], "native").await.unwrap().quarantined.len(), 1);
        fault.hold(true);
        let first = tokio::spawn(empty(ingest.clone(), is_replay));
        until(|| ingest.counters().write_queue == 1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = tokio::spawn(empty(ingest.clone(), is_replay));
        let early = tokio::time::timeout(Duration::from_millis(30), &mut second).await;
        assert!(early.is_err(), "no answer while the first write is on its way");
        fault.hold(false);
        assert_eq!(second.await.unwrap(), 0, "the first one took it out");
        let ledger = ingest.ledger()[&1];
        assert!(ledger.is_balanced(), "{ledger:?}");
        assert_eq!((ledger.accepted, ledger.quarantined, ledger.discarded), (1, 0, u64::from(!is_replay)));
        ingest.shutdown().await.unwrap();
        let stored: &[&str] = if is_replay { &["a"] } else { &[] };
        assert_eq!(warehouse.ids(), stored);
    }
}

#[tokio::test]
async fn a_segment_that_could_not_be_begun_leaves_nothing_and_is_begun_without_further_events() {
    for is_mended in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
        let ingest = open_with(dir.path(), &warehouse, &fault, |config| {
            config.seal_after_ms = 5;
            config.backlog_bytes_max = 1 << 20;
        })
        .await;
        fault.mode.store(OPEN_FAILS, Ordering::SeqCst);
        for id in ["a", "b"] {
            ingest.admit(1, vec![ParsedEvent::Ok(large(id))], "native").await.unwrap();
        }
        until(|| ingest.counters().pending == 0).await;
        let refused = fault.refused.load(Ordering::SeqCst);
        // Once for the last write, which may still be under way, and then again without any.
        until(|| fault.refused.load(Ordering::SeqCst) >= refused + 2).await;
        if is_mended {
            fault.mode.store(WORKS, Ordering::SeqCst);
            warehouse.flush().await.unwrap();
            until(|| ingest.counters().log_bytes < 1_000).await;
        }
        ingest.abandon().await;
        // A head of a segment that is not used would repeat the number of a record.
        assert_eq!(std::fs::read_dir(dir.path().join("wal")).unwrap().count(), 1, "mended: {is_mended}");
        fault.mode.store(WORKS, Ordering::SeqCst);
        let ingest = open(dir.path(), &warehouse, &fault).await;
        assert_eq!((ingest.counters().damaged_frames, warehouse.ids().len()), (0, 16));
    }
}

#[tokio::test]
async fn large_batches_wait_in_the_log_and_not_in_memory() {
    const EVENTS: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let (warehouse, fault) = (KeepingWarehouse::new(), Arc::new(Fault::default()));
    let ingest = open(dir.path(), &warehouse, &fault).await;
    warehouse.away.store(true, Ordering::SeqCst);
    for first in (0..EVENTS).step_by(10) {
        let events = (first..first + 10).map(|n| ParsedEvent::Ok(large(&format!("{n:03}"))));
        assert_eq!(ingest.admit(1, events.collect(), "native").await.unwrap().accepted, 10);
    }
    let counters = ingest.counters();
    assert!(counters.batches_sealed >= 4, "large batches are sealed early: {}", counters.batches_sealed);
    assert!(counters.log_bytes > 72 << 20);
    let resident_bytes = ingest.resident_bytes();
    assert!((1..=64 << 20).contains(&resident_bytes), "{resident_bytes}");
    warehouse.away.store(false, Ordering::SeqCst);
    ingest.shutdown().await.unwrap();
    assert_eq!((warehouse.ids().len(), ingest.resident_bytes()), (EVENTS * 8, 0));
}
