//! The books add up, also over restarts.

use std::sync::atomic::Ordering;

use liftgate_domain::Warehouse;
use liftgate_ingest::{EnvironmentLedger, QuarantineFilter, QuarantineSelection, ReplayTime};

use crate::node::{ENVIRONMENT, Node, early, metric};

fn ledger(node: &Node) -> EnvironmentLedger {
    let ledger = node.ingest.ledger().get(&ENVIRONMENT).copied().unwrap_or_default();
    assert!(ledger.is_balanced(), "{ledger:?}");
    ledger
}

#[tokio::test]
async fn each_environment_has_books_of_its_own() {
    let node = Node::new().await;
    node.admit(vec![metric("a"), metric("b"), metric("a"), early("c")]).await;
    node.ingest.admit(ENVIRONMENT + 1, vec![metric("a")], "native").await.unwrap();
    node.settled().await;
    let expected = EnvironmentLedger { accepted: 3, duplicates: 1, stored: 2, quarantined: 1, ..Default::default() };
    assert_eq!(ledger(&node), expected);
    let other = EnvironmentLedger { accepted: 1, stored: 1, ..Default::default() };
    assert_eq!(node.ingest.ledger()[&(ENVIRONMENT + 1)], other);
}

#[tokio::test]
async fn the_books_go_on_after_crashes_and_restarts() {
    let mut node = Node::new().await;
    for round in 0..6_u64 {
        node.send(&[&format!("{round}-a"), &format!("{round}-b"), "every round"]).await;
        if round % 2 == 0 {
            node.settled().await;
        }
        node = match round % 3 {
            0 => node.crash().await,
            1 => node.crash_and(|node| node.warehouse.crash()).await,
            _ => node.restart().await,
        };
        assert_eq!(ledger(&node).accepted, 2 * (round + 1) + 1, "round {round}");
        assert_eq!(ledger(&node).duplicates, 0, "repeats are counted since the node opened");
    }
    node.settled().await;
    assert_eq!(ledger(&node), EnvironmentLedger { accepted: 13, stored: 13, ..Default::default() });
    assert_eq!(node.warehouse.ids().len(), 13);
}

#[tokio::test]
async fn what_the_warehouse_has_not_taken_is_pending() {
    let node = Node::new().await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    node.send(&["a", "b"]).await;
    node.clock.advance_ms(3_000);
    let counters = node.until(|counters| counters.batch_queue == 1).await;
    assert_eq!((counters.pending, counters.last_batch_rows), (2, 2));
    // Stamps may be some microseconds ahead of the clock, which stands still.
    assert!((2_999..=3_000).contains(&counters.oldest_pending_ms), "{}", counters.oldest_pending_ms);
    assert!(counters.last_batch_bytes > 0);
    assert_eq!((ledger(&node).pending, ledger(&node).stored), (2, 0));
    let node = node.crash().await;
    assert_eq!((ledger(&node).pending, ledger(&node).stored), (2, 0));
    let counters = node.until(|counters| counters.batch_queue == 1).await;
    assert!(counters.pending == 2 && counters.oldest_pending_ms >= 2_999, "{counters:?}");
    node.warehouse.away.store(false, Ordering::SeqCst);
    node.settled().await;
    assert_eq!((ledger(&node).pending, ledger(&node).stored), (0, 2));
    assert_eq!(node.ingest.counters().oldest_pending_ms, 0);
}

#[tokio::test]
async fn a_checkpoint_that_is_damaged_is_moved_aside_and_the_books_begin_with_what_is_there() {
    let node = Node::new().await;
    node.admit(vec![metric("a"), early("b"), early("d"), early("e")]).await;
    let node = node.restart().await;
    assert_eq!(ledger(&node).accepted, 4);
    node.send(&["c"]).await;
    node.settled().await;
    let node = node
        .crash_and(|node| {
            let path = node.config.dir.join("checkpoint");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[20] ^= 1;
            std::fs::write(path, bytes).unwrap();
        })
        .await;
    assert_eq!((node.report.damage.len(), node.report.epoch), (1, 1));
    node.settled().await;
    let books = ledger(&node);
    assert_eq!((books.accepted, books.stored, books.quarantined), (4, 1, 3), "what the released log had is not known");
    assert_eq!(node.send(&["a", "b", "c"]).await, (0, 3), "and no id is forgotten");
    for selection in [early_one(&node, 0).await, early_one(&node, 1).await] {
        node.ingest.replay(ENVIRONMENT, selection, ReplayTime::ReceivedAt).await.unwrap();
    }
    node.ingest.discard(ENVIRONMENT, QuarantineSelection::All).await.unwrap();
    node.settled().await;
    let expected = EnvironmentLedger { accepted: 4, stored: 3, discarded: 1, ..Default::default() };
    assert_eq!(EnvironmentLedger { duplicates: 0, ..ledger(&node) }, expected);
    let node = node.restart().await;
    assert_eq!(node.report.segments, 1);
    assert_eq!(ledger(&node), expected, "also once the log has been released");
}

/// The event in quarantine at this place.
async fn early_one(node: &Node, place: usize) -> QuarantineSelection {
    let page = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter::default()).await.unwrap();
    QuarantineSelection::Ids([page.events[place].id].into())
}

#[tokio::test]
async fn events_that_become_unreadable_in_the_log_are_counted_as_lost() {
    let node = Node::new().await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    node.send(&["a"]).await;
    node.until(|counters| counters.batch_queue == 1).await;
    let first = std::fs::read(&node.segments()[0]).unwrap().len();
    node.send(&["b"]).await;
    node.until(|counters| counters.batch_queue == 2).await;
    // After a restart batches are read from the log when their turn comes.
    let node = node.crash().await;
    let mut bytes = std::fs::read(&node.segments()[0]).unwrap();
    bytes[first + 40] ^= 1;
    std::fs::write(&node.segments()[0], bytes).unwrap();
    node.warehouse.away.store(false, Ordering::SeqCst);
    node.settled().await;
    let expected = EnvironmentLedger { accepted: 2, stored: 1, lost: 1, ..Default::default() };
    assert_eq!(ledger(&node), expected);
    node.send(&["c"]).await;
    node.settled().await;
    node.warehouse.flush().await.unwrap();
    node.until(|_| node.segments().len() == 1).await;
    let node = node.restart().await;
    let expected = EnvironmentLedger { accepted: 3, stored: 2, ..expected };
    assert_eq!(ledger(&node), expected, "also once the log has been released");
}
