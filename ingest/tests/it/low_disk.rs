//! A disk that fills up: a real one, a small tmpfs. Only root may mount one, so without it these tests say that they were
//! skipped.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use liftgate_domain::Warehouse;
use liftgate_ingest::{Error, IngestConfig, ParsedEvent};

use crate::node::{ENVIRONMENT, Node, early, metric};

const EVENTS: usize = 100;

/// A file system of its own, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Arc<Self>> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Arc::new(Self(dir))),
            refused => {
                eprintln!("SKIPPED: a tmpfs cannot be mounted here (are you root?): {refused:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that is still being dropped may have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

async fn node(disk: &SmallDisk, free_min_bytes: u64) -> Node {
    let dir = disk.path().join("node");
    let change = |config: &mut IngestConfig| {
        config.dir = dir;
        config.disk_free_min_bytes = free_min_bytes;
        // Small segments, so that the log can be let go of bit by bit.
        config.backlog_bytes_max = 1 << 20;
    };
    Node::with(change).await
}

fn request(number: usize) -> (Vec<String>, Vec<ParsedEvent>) {
    let ids: Vec<String> = (0..EVENTS).map(|i| format!("{number:04}-{i:03}")).collect();
    let events = ids.iter().map(|id| if id.ends_with("00") { early(id) } else { metric(id) }).collect();
    (ids, events)
}

/// Sends requests until one is refused; answers the ids of those that were acknowledged, and the refused number.
async fn fill(node: &Node, from: usize) -> (Vec<String>, usize) {
    let mut acknowledged = Vec::new();
    for number in from.. {
        let (ids, events) = request(number);
        match node.ingest.admit(ENVIRONMENT, events, "native").await {
            Ok(receipt) => assert_eq!(receipt.accepted, EVENTS as u64),
            Err(error) => {
                assert!(matches!(error, Error::LowDisk { retry_after_s } if retry_after_s > 0), "{error}");
                return (acknowledged, number);
            }
        }
        acknowledged.extend(ids);
    }
    unreachable!("a disk is finite")
}

/// What the warehouse should have of these ids, and quarantine.
fn expected(ids: &[String]) -> (Vec<String>, u64) {
    let (held, mut stored): (Vec<String>, Vec<String>) = ids.iter().cloned().partition(|id| id.ends_with("00"));
    stored.sort();
    (stored, held.len() as u64)
}

#[tokio::test]
async fn events_are_refused_while_there_is_little_room_and_admitted_again_once_the_log_is_released() {
    let Some(disk) = SmallDisk::mount(3 << 20) else { return };
    let mut node = node(&disk, 2 << 20).await;
    let mut acknowledged = Vec::new();
    let mut next = 0;
    for round in 0..3 {
        let (ids, refused) = fill(&node, next).await;
        assert!(!ids.is_empty(), "round {round}");
        acknowledged.extend(ids);
        next = refused;
        assert!(node.ingest.counters().refused_low_disk > 0);
        node.settled().await;
        node.warehouse.flush().await.unwrap();
        node = node.restart().await;
    }
    let (stored, held) = expected(&acknowledged);
    assert_eq!(node.warehouse.ids(), stored);
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert!(ledger.is_balanced());
    assert_eq!(
        (ledger.accepted, ledger.stored, ledger.quarantined),
        (acknowledged.len() as u64, stored.len() as u64, held)
    );
}

#[tokio::test]
async fn a_disk_that_is_full_acknowledges_nothing_it_does_not_have() {
    let Some(disk) = SmallDisk::mount(1 << 20) else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 300 << 10]).unwrap();
    let node = node(&disk, 0).await;
    let (mut acknowledged, refused) = fill(&node, 0).await;
    assert!(node.ingest.counters().write_failures > 0, "the disk itself refused");
    // Refused whole: once there is room, all of it is new.
    std::fs::remove_file(&ballast).unwrap();
    let (ids, events) = request(refused);
    let receipt = node.ingest.admit(ENVIRONMENT, events, "native").await.unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates), (EVENTS as u64, 0));
    acknowledged.extend(ids);
    let node = node.crash_and(|node| node.warehouse.crash()).await;
    assert_eq!(node.report.damage, []);
    node.settled().await;
    let (stored, held) = expected(&acknowledged);
    assert_eq!(node.warehouse.ids(), stored);
    assert_eq!(node.report.quarantined, held);
    let (ids, events) = request(refused);
    let again = node.ingest.admit(ENVIRONMENT, events, "native").await.unwrap();
    assert_eq!(again.duplicates, ids.len() as u64);
}
