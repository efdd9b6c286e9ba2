//! What a receipt promises, one node, no crash.

use std::sync::atomic::Ordering;

use liftgate_domain::RowKind;
use liftgate_ingest::{Error, ParsedEvent, QuarantineReason, RawBody, RawUnit, RejectCode, Rejection};
use serde_json::{Value, json};

use crate::node::{DAY_MS, ENVIRONMENT, NOON, Node, exposure, metric};

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

/// A metric event that happened so much after noon by the sender's clock, and was sent at another time by that clock.
fn at(id: &str, offset_ms: i64, sent_offset_ms: Option<i64>) -> ParsedEvent {
    match metric(id) {
        ParsedEvent::Ok(mut event) => {
            event.timestamp = NOON.plus_millis(offset_ms);
            event.sent_at = sent_offset_ms.map(|offset_ms| NOON.plus_millis(offset_ms));
            ParsedEvent::Ok(event)
        }
        bad => bad,
    }
}

#[tokio::test]
async fn implausible_times_go_into_quarantine_and_the_neighbours_through() {
    let node = Node::new().await;
    let bad = Rejection { index: 99, id: None, code: RejectCode::MissingField, field: None, detail: String::new() };
    let sent = vec![
        at("old", -400 * DAY_MS - 1, None),
        at("oldest", -400 * DAY_MS, None),
        ParsedEvent::Bad(bad),
        at("newest", DAY_MS, None),
        at("future", DAY_MS + 1, None),
        at("odd", i64::MAX / 1_000, Some(i64::MIN / 1_000)),
    ];
    let receipt = node.admit(sent.clone()).await;
    let rejected: Vec<_> = receipt.rejected.iter().map(|r| (r.index, r.code)).collect();
    assert_eq!(rejected, [(2, RejectCode::MissingField)]);
    let quarantined: Vec<_> = receipt.quarantined.iter().map(|q| (q.index, q.id.as_str(), q.code)).collect();
    let (too_old, in_future) = (QuarantineReason::TimestampTooOld, QuarantineReason::TimestampInFuture);
    assert_eq!(quarantined, [(0, "old", too_old), (4, "future", in_future), (5, "odd", in_future)]);
    let detail = &receipt.quarantined[1].detail;
    assert!(detail.ends_with("is after 2026-01-02T12:00:00Z, a day ahead of this node's clock"), "{detail}");
    assert_eq!((receipt.accepted, receipt.duplicates), (5, 0), "what is in quarantine is accepted");
    let again = node.admit(sent).await;
    assert_eq!((again.accepted, again.duplicates, again.quarantined.len()), (0, 5, 0), "and deduplicated");
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["newest", "oldest"]);
    let counters = node.ingest.counters();
    assert_eq!((counters.accepted, counters.quarantined, counters.quarantine_events), (5, 3, 3));
}

#[tokio::test]
async fn what_quarantine_has_no_room_for_is_rejected() {
    let node = Node::with(|config| config.quarantine_bytes_max = 300).await;
    let receipt =
        node.admit(vec![at("q1", -500 * DAY_MS, None), at("q2", -500 * DAY_MS, None), at("ok", 0, None)]).await;
    assert_eq!((receipt.accepted, receipt.quarantined.len()), (2, 1));
    let rejected = &receipt.rejected[0];
    assert_eq!((rejected.index, rejected.code), (1, RejectCode::TimestampOutOfRange));
    assert!(rejected.detail.ends_with("quarantine is full"), "{}", rejected.detail);
    // Repeats give back the room that they were charged for.
    for _ in 0..3 {
        let receipt = node.admit(vec![at("q1", -500 * DAY_MS, None)]).await;
        assert_eq!((receipt.duplicates, receipt.rejected.len()), (0, 1), "full is full, also for repeats");
    }
    let used = node.ingest.counters().quarantine_bytes;
    assert!(used > 0 && used <= 300, "{used}");
}

#[tokio::test]
async fn times_are_corrected_by_when_the_sender_says_it_sent() {
    let node = Node::new().await;
    let hour = 3_600_000;
    let receipt = node
        .admit(vec![
            at("behind", -2 * hour, Some(-hour)),
            at("on time", -hour, Some(-4_000)),
            at("ahead by a week", 7 * DAY_MS - 5_000, Some(7 * DAY_MS)),
            at("as sent", -hour, None),
        ])
        .await;
    assert_eq!(receipt.quarantined.len(), 1, "a time that absurd would be filed absurdly, however it is corrected");
    assert_eq!(receipt.quarantined[0].id, "ahead by a week");
    node.settled().await;
    let times = |offset_ms: i64| NOON.plus_millis(offset_ms);
    let stored: Vec<_> = node.warehouse.rows().into_iter().map(|row| (row.event_id, row.ts, row.ts_client)).collect();
    let expected = [("behind", -hour, -2 * hour), ("on time", -hour + 4_000, -hour), ("as sent", -hour, -hour)];
    assert_eq!(stored, expected.map(|(id, ts, ts_client)| (id.to_owned(), times(ts), times(ts_client))));
    assert_eq!(node.ingest.counters().skewed, 2, "more than 5 seconds");
}

#[tokio::test]
async fn an_event_of_several_units_is_one_event_with_a_row_for_each() {
    let node = Node::new().await;
    let both = |id: &str| match exposure(id, "checkout", "on") {
        ParsedEvent::Ok(mut event) => {
            let account = RawUnit { unit_type: "account".to_owned(), unit_id: "a9".to_owned() };
            let device = RawUnit { unit_type: "device".to_owned(), unit_id: "d1".to_owned() };
            event.other_units = vec![account, device];
            ParsedEvent::Ok(event)
        }
        bad => bad,
    };
    let receipt = node.admit(vec![both("e1"), metric("m1"), both("e1"), both("e2")]).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (3, 1));
    node.settled().await;
    let rows = node.warehouse.rows();
    let seen: Vec<_> = rows.iter().map(|row| (row.event_id.as_str(), row.unit_index, row.unit_type.as_str())).collect();
    let of = |id| [(id, 0, "user"), (id, 1, "account"), (id, 2, "device")];
    assert_eq!(seen, [of("e1").as_slice(), &[("m1", 0, "user")], &of("e2")].concat());
    // The run randomizes users: of an account it explains nothing.
    let runs: Vec<_> = rows.iter().map(|row| row.run).collect();
    assert_eq!(runs, [Some(3), None, None, None, Some(3), None, None]);
    assert_ne!(rows[0].unit_hash, rows[1].unit_hash);
    let counters = node.ingest.counters();
    assert_eq!((counters.accepted, counters.duplicates, counters.stored, counters.pending), (3, 1, 3, 0));
    assert_eq!((counters.pending_rows, counters.unattributable), (0, 0));
    let node = node.crash().await;
    assert_eq!(node.report.rows_recovered, 7);
    node.settled().await;
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.stored), (3, 3), "the books count events");
    assert_eq!(node.send(&["e1", "e2", "m1"]).await, (0, 3));
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
async fn the_run_that_a_client_was_told_is_asked_about() {
    let node = Node::new().await;
    let told = |id: &str, properties: Value| {
        let ParsedEvent::Ok(mut event) = exposure(id, "checkout", "on") else { panic!("it is well-formed") };
        let Value::Object(attributes) = properties else { panic!("it is an object") };
        event.body =
            RawBody::Exposure { flag: "checkout".to_owned(), variation: "on".to_owned(), attributes: Some(attributes) };
        ParsedEvent::Ok(event)
    };
    // The node's attribution gives no arm to those who were told of another run than its own, which is 3.
    let rows = [
        ("number", json!({"experiment_id": 3}), true),
        ("text", json!({"experiment_id": "3"}), true),
        ("other", json!({"experiment_id": 4, "run": 3}), false),
        ("own", json!({"run": 4}), false),
        ("name", json!({"experiment_id": "checkout", "run": -1}), true),
        ("nothing", json!({"plan": "pro"}), true),
    ];
    node.admit(rows.iter().map(|(id, properties, _)| told(id, properties.clone())).collect()).await;
    node.settled().await;
    let stored = node.warehouse.rows();
    assert_eq!(stored.len(), rows.len());
    for row in stored {
        let (_, _, has_arm) = rows.iter().find(|(id, ..)| *id == row.event_id).unwrap();
        assert_eq!((row.run, row.arm.is_some()), (Some(3), *has_arm), "{}", row.event_id);
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
