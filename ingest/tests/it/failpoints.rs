//! A process that is killed between any two steps: everything acknowledged is there exactly once, and the books add up.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{ManualClock, failpoint};
use liftgate_ingest::{
    Error, FAILPOINTS, Ingest, IngestConfig, ParsedEvent, QuarantineReason, QuarantineSelection, ReplayTime,
};

use crate::file_warehouse::FileWarehouse;
use crate::node::{DAY_MS, ENVIRONMENT, NOON, OneRun, early, metric};

const DIR: &str = "LIFTGATE_TEST_DIR";
/// Far more than any failpoint needs to be reached three times.
const ROUNDS: usize = 2_000;
const EVENTS: usize = 24;
const SIGABRT: i32 = 6;

async fn open(dir: &Path) -> (Ingest, Arc<FileWarehouse>) {
    let warehouse = FileWarehouse::open(&dir.join("warehouse"));
    let config = IngestConfig {
        dir: dir.join("node"),
        seal_after_ms: 5,
        group_commit_ms: 0,
        // Segments of 16 KiB: the log is let go of all the time.
        backlog_bytes_max: 64 << 10,
        disk_free_min_bytes: 0,
        ..IngestConfig::default()
    };
    let clock = Arc::new(ManualClock::at(NOON));
    let entropy = SeededEntropy::new(1);
    let opened = Ingest::open(config, clock, &entropy, Arc::clone(&warehouse) as _, Arc::new(OneRun)).await;
    (opened.unwrap().0, warehouse)
}

/// One in four is early, and replayed later; one in four is old, and discarded later.
fn event(id: &str, number: usize) -> ParsedEvent {
    match (number % 4, metric(id)) {
        (1, _) => early(id),
        (2, ParsedEvent::Ok(mut event)) => {
            event.timestamp = NOON.plus_millis(-500 * DAY_MS);
            ParsedEvent::Ok(event)
        }
        (_, event) => event,
    }
}

fn id_of(sender: usize, round: usize, number: usize) -> String {
    let fate = ["plain", "early", "old", "plain"][number % 4];
    format!("{fate}-{}-{sender}-{round:03}-{number:02}", std::process::id())
}

/// Sends without end, until the process is killed: what was acknowledged goes to a file first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of its own, started and killed by the test below"]
async fn child() {
    let dir = std::path::PathBuf::from(std::env::var(DIR).unwrap());
    let (ingest, _) = open(&dir).await;
    let senders = (0..2).map(|sender| {
        let (ingest, dir) = (ingest.clone(), dir.clone());
        tokio::spawn(async move { send(&ingest, &dir, sender).await })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
}

async fn send(ingest: &Ingest, dir: &Path, sender: usize) {
    let mut acknowledged = OpenOptions::new().create(true).append(true).open(dir.join("acknowledged")).unwrap();
    for round in 0..ROUNDS {
        let ids: Vec<String> = (0..EVENTS).map(|number| id_of(sender, round, number)).collect();
        let events: Vec<_> = ids.iter().enumerate().map(|(number, id)| event(id, number)).collect();
        while ingest.admit(ENVIRONMENT, events.clone(), "native").await.is_err() {
            // The log is full for a moment.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        acknowledged.write_all(format!("{}\n", ids.join("\n")).as_bytes()).unwrap();
        if round % 5 == sender {
            let future = QuarantineSelection::Reason(QuarantineReason::TimestampInFuture);
            let _ = ingest.replay(ENVIRONMENT, future, ReplayTime::ReceivedAt).await;
            let old = QuarantineSelection::Reason(QuarantineReason::TimestampTooOld);
            let _ = ingest.discard(ENVIRONMENT, old).await;
        }
    }
}

/// Starts a child that dies at the point.
fn kill_at(point: &str, count: u32, dir: &Path) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failpoints::child", "--ignored"])
        .env(failpoint::VARIABLE, format!("{point}:{count}"))
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "{point} was not reached {count} times: {status}");
}

/// Answers how many events have been acknowledged.
async fn check(point: &str, dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join("acknowledged")).unwrap_or_default();
    let acknowledged: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let (ingest, warehouse) = open(dir).await;
    let ledger = ingest.ledger().get(&ENVIRONMENT).copied().unwrap_or_default();
    assert!(ledger.is_balanced(), "{point}: {ledger:?}");
    assert!(ledger.accepted >= acknowledged.len() as u64, "{point}: {ledger:?}");
    // Every acknowledged id is known, wherever it is by now.
    let events: Vec<_> = acknowledged.iter().map(|id| metric(id)).collect();
    let repeated = loop {
        match ingest.admit(ENVIRONMENT, events.clone(), "native").await {
            // What the first life has left may fill the log until it is let go of.
            Err(Error::Backlog { .. }) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            outcome => break outcome.unwrap(),
        }
    };
    assert_eq!((repeated.accepted, repeated.duplicates), (0, acknowledged.len() as u64), "{point}");
    let future = QuarantineSelection::Reason(QuarantineReason::TimestampInFuture);
    ingest.replay(ENVIRONMENT, future, ReplayTime::ReceivedAt).await.unwrap();
    ingest.discard(ENVIRONMENT, QuarantineSelection::All).await.unwrap();
    ingest.shutdown().await.unwrap();
    let ledger = ingest.ledger().get(&ENVIRONMENT).copied().unwrap_or_default();
    let ids = warehouse.ids();
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), distinct.len(), "{point}: nothing is stored twice");
    assert!(!ids.iter().any(|id| id.starts_with("old")), "{point}: what is discarded is not stored");
    let missing: Vec<_> = acknowledged.iter().filter(|id| !id.starts_with("old") && !distinct.contains(*id)).collect();
    assert!(missing.is_empty(), "{point}: {missing:?}");
    assert_eq!((ledger.stored, ledger.pending, ledger.quarantined), (ids.len() as u64, 0, 0), "{point}");
    assert_eq!(ledger.accepted, ledger.stored + ledger.discarded, "{point}: {ledger:?}");
    acknowledged.len()
}

#[test]
fn a_process_killed_between_any_two_steps_loses_and_repeats_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut acknowledged = 0;
    for point in FAILPOINTS {
        let dir = tempfile::tempdir().unwrap();
        // The second life goes on with what the first has left.
        for count in [1, 3] {
            kill_at(point, count, dir.path());
            acknowledged += runtime.block_on(check(point, dir.path()));
        }
    }
    assert!(acknowledged > 1_000, "{acknowledged} events are too few to show anything");
}
