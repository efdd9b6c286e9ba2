//! Tests of a disk that fails while the node runs.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{Attributed, Attribution, ManualClock, Timestamp};

use crate::medium::{self, Medium, Opener};
use crate::{Error, Ingest, IngestConfig, ParsedEvent, RawBody, RawEvent};

#[allow(dead_code, reason = "shared with the integration tests, which use more of it")]
#[path = "../tests/it/warehouse.rs"]
mod warehouse;

use warehouse::KeepingWarehouse;

const WORKS: u8 = 0;
const APPEND_FAILS: u8 = 1;
const SYNC_FAILS: u8 = 2;
const ALL_FAILS: u8 = 3;

/// What the disk does, and a gate that holds its syncs back.
#[derive(Default)]
struct Fault {
    mode: AtomicU8,
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
    fn attribute(&self, _: u64, _: &str, _: &str, _: &str, _: Timestamp) -> Option<Attributed> {
        None
    }
}

async fn open(dir: &Path, warehouse: &Arc<KeepingWarehouse>, fault: &Arc<Fault>) -> Ingest {
    let fault = Arc::clone(fault);
    let opener: Opener = Arc::new(move |path: &Path| -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Faulty { inner: medium::open_file(path)?, fault: Arc::clone(&fault) }))
    });
    let config =
        IngestConfig { dir: dir.to_owned(), seal_after_ms: 3_600_000, group_commit_ms: 0, ..IngestConfig::default() };
    let clock = Arc::new(ManualClock::at(Timestamp(1_767_268_800_000_000)));
    let entropy = SeededEntropy::new(1);
    let opened = Ingest::open_on(config, clock, &entropy, Arc::clone(warehouse) as _, Arc::new(NoRun), opener).await;
    opened.unwrap().0
}

async fn send(ingest: &Ingest, ids: &[&str]) -> Result<(u64, u64), Error> {
    let events = ids.iter().map(|id| {
        ParsedEvent::Ok(RawEvent {
            id: (*id).to_owned(),
            timestamp: Timestamp(1_767_268_800_000_000),
            unit_type: "user".to_owned(),
            unit_id: "u".to_owned(),
            other_units: Vec::new(),
            sent_at: None,
            body: RawBody::Metric { event: "purchase".to_owned(), value: None, properties: None },
        })
    });
    let receipt = ingest.admit(1, events.collect(), "native").await?;
    Ok((receipt.accepted, receipt.duplicates))
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
        let early = tokio::time::timeout(std::time::Duration::from_millis(30), &mut repeat).await;
        assert!(early.is_err(), "no answer before the sync");
        fault.hold(false);
        assert_eq!(first.await.unwrap().ok(), outcome.map(|_| (1, 0)));
        assert_eq!(repeat.await.unwrap().ok(), outcome);
    }
}
