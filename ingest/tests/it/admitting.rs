//! What a receipt promises, one node, no crash.

use std::sync::atomic::Ordering;

use liftgate_domain::RowKind;
use liftgate_ingest::{Error, ParsedEvent, RejectCode, Rejection};

use crate::node::{ENVIRONMENT, NOON, Node, exposure, metric};

#[tokio::test]
async fn counts_repeats_within_and_across_requests() {
    let node = Node::new().await;
    assert_eq!(node.send(&["a", "b", "a"]).await, (2, 1));
    assert_eq!(node.send(&["b", "c"]).await, (1, 1));
    assert_eq!(node.send(&[]).await, (0, 0));
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["a", "b", "c"]);
    let other = node.ingest.admit(ENVIRONMENT + 1, vec![metric("a")], "native").await.unwrap();
    assert_eq!(other.accepted, 1, "ids belong to an environment");
    let counters = node.until(|counters| counters.stored == 4).await;
    assert_eq!((counters.accepted, counters.duplicates, counters.pending), (4, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_are_accepted_once() {
    let node = Node::with(|config| config.group_commit_ms = 1).await;
    let senders: Vec<_> = (0..16)
        .map(|sender| {
            let ingest = node.ingest.clone();
            tokio::spawn(async move {
                let mut accepted = 0;
                for round in 0..20 {
                    // Every sender sends the same ids, in an order of its own.
                    let ids = (0..10).map(|i| format!("{round}-{}", (i + sender) % 10));
                    let events = ids.map(|id| metric(&id)).collect();
                    let receipt = ingest.admit(ENVIRONMENT, events, "native").await.unwrap();
                    assert_eq!(receipt.accepted + receipt.duplicates, 10);
                    accepted += receipt.accepted;
                }
                accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for sender in senders {
        accepted += sender.await.unwrap();
    }
    assert_eq!(accepted, 200);
    node.settled().await;
    let mut ids = node.warehouse.ids();
    assert_eq!(ids.len(), 200);
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[tokio::test]
async fn refuses_implausible_times_and_keeps_the_neighbours() {
    let node = Node::new().await;
    let at = |id: &str, offset_ms: i64| match metric(id) {
        ParsedEvent::Ok(mut event) => {
            event.timestamp = NOON.plus_millis(offset_ms);
            ParsedEvent::Ok(event)
        }
        bad => bad,
    };
    let day = 86_400_000;
    let bad = Rejection { index: 99, id: None, code: RejectCode::MissingField, field: None, detail: String::new() };
    let receipt = node
        .admit(vec![
            at("old", -400 * day - 1),
            at("oldest", -400 * day),
            ParsedEvent::Bad(bad),
            at("newest", day),
            at("future", day + 1),
        ])
        .await;
    let rejected: Vec<_> = receipt.rejected.iter().map(|r| (r.index, r.code, r.field.as_deref())).collect();
    let out = RejectCode::TimestampOutOfRange;
    assert_eq!(
        rejected,
        [(0, out, Some("timestamp")), (2, RejectCode::MissingField, None), (4, out, Some("timestamp"))]
    );
    assert!(receipt.rejected[2].detail.contains("2026-01-02T12:00:00Z"), "{}", receipt.rejected[2].detail);
    assert_eq!(receipt.accepted, 2);
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["newest", "oldest"]);
}

#[tokio::test]
async fn stamps_exposures_that_a_run_explains() {
    let node = Node::new().await;
    node.admit(vec![
        exposure("explained", "checkout", "on"),
        exposure("contradicted", "checkout", "off"),
        exposure("unknown", "other", "on"),
    ])
    .await;
    node.settled().await;
    assert_eq!(node.ingest.counters().unattributable, 2);
    for row in node.warehouse.rows() {
        let explained = row.event_id == "explained";
        assert_eq!((row.kind, row.received_at, row.ts), (RowKind::Exposure, NOON, NOON));
        assert_eq!(row.run, explained.then_some(3), "{}", row.event_id);
        assert_eq!(row.arm.as_deref(), explained.then_some("on"));
        assert_eq!((row.stage, row.bucket), (explained.then_some(1), explained.then_some(42)));
        assert_eq!(row.variation.as_deref(), Some(if row.event_id == "contradicted" { "off" } else { "on" }));
    }
}

#[tokio::test]
async fn refuses_events_while_the_backlog_is_full_and_recovers() {
    let node = Node::with(|config| config.backlog_bytes_max = 100_000).await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    let refused = loop {
        let ids: Vec<String> = (0..100).map(|i| format!("{}-{i}", acknowledged.len())).collect();
        let events = ids.iter().map(|id| metric(id)).collect();
        match node.ingest.admit(ENVIRONMENT, events, "native").await {
            Ok(receipt) => assert_eq!(receipt.accepted, 100),
            Err(error) => break error,
        }
        acknowledged.extend(ids);
    };
    assert!(matches!(refused, Error::Backlog { retry_after_s } if retry_after_s > 0), "{refused}");
    assert!(node.ingest.counters().log_bytes > 100_000);
    node.warehouse.away.store(false, Ordering::SeqCst);
    node.until(|counters| counters.log_bytes < 50_000).await;
    assert_eq!(node.send(&["late"]).await, (1, 0));
    acknowledged.push("late".to_owned());
    acknowledged.sort();
    node.settled().await;
    assert_eq!(node.warehouse.ids(), acknowledged);
}

#[tokio::test]
async fn a_closed_node_says_so() {
    let node = Node::new().await;
    node.send(&["a"]).await;
    node.ingest.shutdown().await.unwrap();
    assert_eq!(node.warehouse.ids(), ["a"]);
    let error = node.ingest.admit(ENVIRONMENT, vec![metric("b")], "native").await.unwrap_err();
    assert!(matches!(error, Error::Closed));
    node.ingest.shutdown().await.unwrap();
}
