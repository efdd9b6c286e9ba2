//! The watermark moves on while the node is idle, and never past an event that is not yet visible.

use std::sync::atomic::Ordering;

use liftgate_domain::{Timestamp, Warehouse};

use crate::node::{NOON, Node};

async fn reaches(node: &Node, instant: Timestamp) {
    let mut evidence = node.warehouse.evidence();
    evidence.wait_for(|watermark| watermark.time().is_some_and(|time| time >= instant)).await.unwrap();
}

#[tokio::test]
async fn an_idle_node_moves_its_watermark() {
    let node = Node::new().await;
    reaches(&node, NOON).await;
    node.clock.advance_ms(1_000);
    reaches(&node, NOON.plus_millis(1_000)).await;
    let mark = node.warehouse.evidence().borrow().nodes[&node.report.node];
    assert_eq!((mark.epoch, mark.sequence, mark.received_at), (node.report.epoch, 0, NOON.plus_millis(1_000)));
}

#[tokio::test]
async fn an_event_after_a_heartbeat_is_received_after_it() {
    let node = Node::new().await;
    for round in 1..=20 {
        reaches(&node, NOON).await;
        let before = node.warehouse.evidence().borrow().time().unwrap();
        node.send(&[&format!("{round}")]).await;
        node.settled().await;
        let received = node.warehouse.rows().last().unwrap().received_at;
        assert!(received > before, "the clock stands still, so only the order of stamps tells them apart");
    }
}

#[tokio::test]
async fn a_node_that_is_gone_does_not_hold_the_watermark_back() {
    let node = Node::new().await;
    reaches(&node, NOON).await;
    let gone = node.report.node.clone();
    node.clock.advance_ms(60_000);
    let node = node.crash_and(|node| std::fs::remove_dir_all(&node.config.dir).unwrap()).await;
    assert_ne!(node.report.node, gone);
    reaches(&node, NOON.plus_millis(60_000)).await;
    let evidence = node.warehouse.evidence();
    assert_eq!(evidence.borrow().nodes.keys().collect::<Vec<_>>(), [&node.report.node]);
}

#[tokio::test]
async fn the_watermark_waits_for_pending_events() {
    let node = Node::new().await;
    reaches(&node, NOON).await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    node.clock.advance_ms(1_000);
    node.send(&["a"]).await;
    node.until(|counters| counters.batches_sealed == 1).await;
    node.clock.advance_ms(1_000);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(node.warehouse.evidence().borrow().time(), Some(NOON), "the event was received a second later");
    node.warehouse.away.store(false, Ordering::SeqCst);
    reaches(&node, NOON.plus_millis(2_000)).await;
    assert_eq!(node.warehouse.ids(), ["a"]);
}

#[tokio::test]
async fn a_clock_that_went_back_does_not_take_the_watermark_along() {
    let node = Node::new().await;
    node.clock.advance_ms(60_000);
    reaches(&node, NOON.plus_millis(60_000)).await;
    let node = node.crash_and(|node| node.clock.set(NOON)).await;
    node.send(&["a"]).await;
    node.settled().await;
    assert!(node.warehouse.rows()[0].received_at > NOON.plus_millis(60_000));
}
