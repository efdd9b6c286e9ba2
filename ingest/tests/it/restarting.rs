//! Exactly once over crashes and restarts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{ManualClock, Warehouse};
use liftgate_ingest::{Error, Ingest};

use crate::node::{NOON, Node, OneRun};
use crate::warehouse::KeepingWarehouse;

/// An interval that does not end within a test: only what a test asks for is sealed.
const NEVER_MS: u64 = 3_600_000;

#[tokio::test]
async fn what_no_batch_had_is_sealed_after_a_crash() {
    let node = Node::with(|config| config.seal_after_ms = NEVER_MS).await;
    node.send(&["a", "b"]).await;
    node.send(&["c"]).await;
    assert!(node.warehouse.ids().is_empty());
    let node = node.crash().await;
    assert_eq!((node.report.rows_recovered, node.report.batches_recovered, node.report.keys), (3, 0, 3));
    assert_eq!(node.warehouse.ids(), ["a", "b", "c"]);
    assert_eq!(node.send(&["c", "d"]).await, (1, 1));
    let counters = node.ingest.counters();
    assert_eq!(counters.accepted + 3, counters.stored + counters.pending);
}

#[tokio::test]
async fn batches_that_the_warehouse_lost_are_appended_again_the_same() {
    let mut node = Node::new().await;
    for round in 0..5 {
        node.send(&[&format!("{round}-a"), &format!("{round}-b")]).await;
        node.settled().await;
        if round == 2 {
            node.warehouse.flush().await.unwrap();
        }
        let before = node.warehouse.rows();
        let epoch = node.report.epoch;
        node = node
            .crash_and(|node| {
                if round % 2 == 0 {
                    node.warehouse.crash()
                }
            })
            .await;
        assert_eq!(node.report.epoch, epoch, "a crash continues the epoch");
        node.settled().await;
        assert_eq!(node.warehouse.rows(), before, "round {round}");
    }
    assert_eq!(node.report.batches_recovered, 2, "the durable ones are not appended again");
}

#[tokio::test]
async fn batches_wait_in_the_log_while_the_warehouse_is_away() {
    let node = Node::with(|config| config.seal_rows = 2).await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    for round in 0..4 {
        node.send(&[&format!("{round}-a"), &format!("{round}-b")]).await;
    }
    node.until(|counters| counters.batches_sealed == 4).await;
    let node = node.crash().await;
    assert!(node.warehouse.ids().is_empty());
    assert_eq!((node.report.batches_recovered, node.ingest.counters().pending), (4, 8));
    assert_eq!(node.send(&["0-a", "4-a"]).await, (1, 1));
    node.warehouse.away.store(false, Ordering::SeqCst);
    node.settled().await;
    assert_eq!(node.warehouse.ids().len(), 9);
}

#[tokio::test]
async fn a_shutdown_hands_everything_over_or_says_that_it_did_not() {
    let node = Node::with(|config| config.seal_after_ms = NEVER_MS).await;
    node.send(&["a"]).await;
    let node = node.restart().await;
    assert_eq!(node.warehouse.ids(), ["a"]);
    assert_eq!((node.report.rows_recovered, node.report.keys), (0, 1));
    node.send(&["b"]).await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    assert!(matches!(node.ingest.shutdown().await, Err(Error::Warehouse(_))));
    node.warehouse.away.store(false, Ordering::SeqCst);
    let node = node.crash().await;
    assert_eq!(node.warehouse.ids(), ["a", "b"]);
}

#[tokio::test]
async fn two_servers_cannot_share_a_folder() {
    let node = Node::new().await;
    let entropy = SeededEntropy::new(2);
    let second = Ingest::open(
        node.config.clone(),
        Arc::new(ManualClock::at(NOON)),
        &entropy,
        KeepingWarehouse::new(),
        Arc::new(OneRun),
    );
    let error = second.await.err().unwrap();
    assert!(matches!(&error, Error::Locked { dir } if *dir == node.config.dir));
    assert!(error.to_string().contains("node` is in use by another server"), "{error}");
}

#[tokio::test]
async fn a_log_that_is_gone_begins_a_new_epoch() {
    let node = Node::new().await;
    node.send(&["a"]).await;
    node.settled().await;
    let (id, epoch) = (node.report.node.clone(), node.report.epoch);
    let node = node.crash_and(|node| std::fs::remove_dir_all(node.config.dir.join("wal")).unwrap()).await;
    assert_eq!((&node.report.node, node.report.epoch), (&id, epoch + 1));
    node.send(&["b"]).await;
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["a", "b"], "the new batch is not taken for the old one");
}

#[tokio::test]
async fn rows_of_a_seal_that_only_the_warehouse_knows_are_not_stored_again() {
    let node = Node::new().await;
    let epoch = node.report.epoch;
    node.send(&["a"]).await;
    node.settled().await;
    node.warehouse.flush().await.unwrap();
    let mut node = node
        .crash_and(|node| {
            // The log's end is lost at the edge of a frame, where nothing shows it: the seal is gone.
            let segment = node.segments().pop().unwrap();
            let bytes = std::fs::read(&segment).unwrap();
            let seal_bytes = 16 + 1 + 8 + 24 + 8;
            std::fs::write(&segment, &bytes[..bytes.len() - seal_bytes]).unwrap();
        })
        .await;
    assert!(node.report.damage.is_empty());
    assert_eq!((node.report.epoch, node.report.rows_recovered), (epoch + 1, 0));
    for round in 0..3 {
        assert_eq!(node.send(&["a", &format!("b{round}")]).await, (1, 1));
        node.settled().await;
        node = node.crash().await;
        assert_eq!(node.report.epoch, epoch + 1);
    }
    assert_eq!(node.warehouse.ids(), ["a", "b0", "b1", "b2"]);
}
