//! Events that are not believed: kept, listed, replayed once, discarded.

use std::collections::BTreeSet;

use liftgate_domain::{RowKind, Timestamp};
use liftgate_ingest::{
    ParsedEvent, QuarantineFilter, QuarantineId, QuarantineReason, QuarantineSelection, RawBody, RawUnit, ReplayTime,
    Replayed,
};

use crate::node::{DAY_MS, ENVIRONMENT, NOON, Node, early, exposure, metric};

fn old(event: ParsedEvent) -> ParsedEvent {
    match event {
        ParsedEvent::Ok(mut event) => {
            event.timestamp = NOON.plus_millis(-500 * DAY_MS);
            ParsedEvent::Ok(event)
        }
        bad => bad,
    }
}

/// The ids of the senders of what is in quarantine.
async fn inside(node: &Node) -> Vec<String> {
    let page = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter::default()).await.unwrap();
    assert_eq!(page.events.len() as u64, node.ingest.counters().quarantine_events);
    page.events.into_iter().map(|event| event.rows[0].event_id.clone()).collect()
}

async fn replay(node: &Node, selection: QuarantineSelection, time: ReplayTime) -> Replayed {
    node.ingest.replay(ENVIRONMENT, selection, time).await.unwrap()
}

fn balanced(node: &Node) {
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert!(ledger.is_balanced(), "{ledger:?}");
}

#[tokio::test]
async fn events_are_listed_by_page_and_reason() {
    let node = Node::new().await;
    node.admit(vec![early("f1"), metric("a"), old(metric("o1")), early("f2")]).await;
    node.admit(vec![old(metric("o2"))]).await;
    node.ingest.admit(ENVIRONMENT + 1, vec![early("of another")], "native").await.unwrap();
    let mut filter = QuarantineFilter { limit: Some(3), ..QuarantineFilter::default() };
    let first = node.ingest.quarantined(ENVIRONMENT, filter).await.unwrap();
    let ids: Vec<_> = first.events.iter().map(|event| event.rows[0].event_id.as_str()).collect();
    assert_eq!(ids, ["f1", "o1", "f2"]);
    let event = &first.events[1];
    assert_eq!((event.code, event.received_at), (QuarantineReason::TimestampTooOld, event.rows[0].received_at));
    assert_eq!(event.ts, NOON.plus_millis(-500 * DAY_MS));
    assert!(event.detail.contains("where retention begins"), "{}", event.detail);
    filter.after = first.next;
    let second = node.ingest.quarantined(ENVIRONMENT, filter).await.unwrap();
    assert_eq!((second.events.len(), second.next), (1, None));
    let reason = Some(QuarantineReason::TimestampInFuture);
    let page = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter { reason, ..Default::default() }).await.unwrap();
    assert_eq!(page.events.len(), 2);
    let json = serde_json::to_value(&page.events[0]).unwrap();
    assert_eq!(
        (&json["code"], json["id"].as_str()),
        (&"timestamp_in_future".into(), Some(&*page.events[0].id.to_string()))
    );
}

#[tokio::test]
async fn what_time_has_made_plausible_is_replayed_and_the_rest_stays() {
    let node = Node::new().await;
    node.admit(vec![early("future"), old(metric("old")), exposure("x", "checkout", "on")]).await;
    let none = replay(&node, QuarantineSelection::All, ReplayTime::AsSent).await;
    assert_eq!(none, Replayed { still_refused: 2, ..Replayed::default() });
    node.clock.advance_ms(2 * DAY_MS);
    let some = replay(&node, QuarantineSelection::All, ReplayTime::AsSent).await;
    assert_eq!(some, Replayed { replayed: 1, still_refused: 1, ..Replayed::default() });
    assert_eq!(inside(&node).await, ["old"]);
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["future", "x"]);
    let row = node.warehouse.rows().pop().unwrap();
    assert_eq!((row.ts, row.received_at), (NOON.plus_millis(2 * DAY_MS), NOON.plus_millis(2 * DAY_MS)));
    let reason = QuarantineSelection::Reason(QuarantineReason::TimestampInFuture);
    assert_eq!(replay(&node, reason, ReplayTime::AsSent).await, Replayed::default());
    balanced(&node);
}

#[tokio::test]
async fn a_replay_may_take_the_time_of_receipt_and_is_attributed_anew() {
    let node = Node::new().await;
    node.admit(vec![old(exposure("x", "checkout", "on")), old(metric("m"))]).await;
    node.clock.advance_ms(60_000);
    let page = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter::default()).await.unwrap();
    let absent = QuarantineId { record: 999, position: 0 };
    let ids = BTreeSet::from([page.events[0].id, absent]);
    assert_eq!(replay(&node, QuarantineSelection::Ids(ids), ReplayTime::ReceivedAt).await.replayed, 1);
    assert_eq!(inside(&node).await, ["m"]);
    node.settled().await;
    let row = node.warehouse.rows().pop().unwrap();
    assert_eq!((row.kind, row.run, row.ts, row.ts_client), (RowKind::Exposure, Some(3), NOON, NOON));
    assert!(row.received_at > NOON, "it is received when it is replayed");
}

#[tokio::test]
async fn discarded_events_are_gone_and_counted_and_stay_known() {
    let node = Node::new().await;
    node.admit(vec![early("a"), old(metric("b"))]).await;
    let selection = QuarantineSelection::Reason(QuarantineReason::TimestampInFuture);
    assert_eq!(node.ingest.discard(ENVIRONMENT, selection).await.unwrap().discarded, 1);
    let node = node.crash().await;
    assert_eq!((node.report.quarantined, inside(&node).await), (1, vec!["b".to_owned()]));
    assert_eq!(node.admit(vec![early("a")]).await.duplicates, 1);
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.quarantined, ledger.discarded), (2, 1, 1));
    balanced(&node);
}

#[tokio::test]
async fn quarantine_outlives_the_log_and_restarts() {
    let mut node = Node::new().await;
    node.admit(vec![early("a"), early("b"), old(metric("c")), metric("m")]).await;
    for round in 0..3 {
        node = node.restart().await;
        assert_eq!((node.report.segments, node.report.quarantined), (1, 3), "round {round}");
        assert_eq!(node.files("quarantine").len(), 1);
        assert_eq!(inside(&node).await, ["a", "b", "c"]);
        assert_eq!(node.admit(vec![early("a")]).await.duplicates, 1);
        balanced(&node);
    }
    let bytes = node.ingest.counters().quarantine_bytes;
    node.clock.advance_ms(2 * DAY_MS);
    assert_eq!(replay(&node, QuarantineSelection::All, ReplayTime::AsSent).await.replayed, 2);
    assert!(node.ingest.counters().quarantine_bytes < bytes);
    node = node.crash_and(|node| node.warehouse.crash()).await;
    assert_eq!(inside(&node).await, ["c"], "the log knows what has left the file");
    node = node.restart().await;
    assert_eq!(
        (node.report.segments, node.report.quarantined),
        (1, 1),
        "and the file is rewritten before the log goes"
    );
    assert_eq!(node.ingest.discard(ENVIRONMENT, QuarantineSelection::All).await.unwrap().discarded, 1);
    node = node.restart().await;
    assert_eq!(node.files("quarantine"), Vec::<std::path::PathBuf>::new());
    assert_eq!(node.ingest.counters().quarantine_bytes, 0);
    assert_eq!(node.warehouse.ids(), ["a", "b", "m"]);
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.stored, ledger.discarded), (4, 3, 1));
}

#[tokio::test]
async fn a_replay_after_the_window_never_repeats_what_came_in_again() {
    let node = Node::with(|config| config.dedup_window_ms = DAY_MS).await;
    node.admit(vec![early("a"), early("b")]).await;
    let node = node.restart().await;
    for _ in 0..4 {
        node.wait_ms(DAY_MS).await;
    }
    let node = node.restart().await;
    assert_eq!(
        node.admit(vec![early("a")]).await.accepted,
        1,
        "the id was forgotten, and the time is plausible by now"
    );
    node.settled().await;
    let outcome = replay(&node, QuarantineSelection::All, ReplayTime::AsSent).await;
    assert_eq!(outcome, Replayed { replayed: 1, duplicates: 1, ..Replayed::default() });
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["a", "b"]);
    assert_eq!(node.admit(vec![early("a"), early("b")]).await.duplicates, 2, "a replayed id is known anew");
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.stored, ledger.discarded, ledger.quarantined), (3, 2, 1, 0));
}

#[tokio::test]
async fn many_are_replayed_in_chunks_while_others_come_in() {
    let node = Node::new().await;
    for round in 0..3 {
        node.admit((0..500).map(|i| early(&format!("{round}-{i:03}"))).collect()).await;
    }
    node.clock.advance_ms(2 * DAY_MS);
    let (replayed, receipt) = tokio::join!(
        replay(&node, QuarantineSelection::All, ReplayTime::AsSent),
        node.admit((0..100).map(|i| metric(&format!("m{i}"))).collect()),
    );
    assert_eq!((replayed.replayed, receipt.accepted), (1_500, 100));
    node.settled().await;
    let mut ids = node.warehouse.ids();
    ids.dedup();
    assert_eq!(ids.len(), 1_600);
}

#[tokio::test]
async fn two_replays_at_once_take_each_event_once() {
    let node = Node::new().await;
    node.admit((0..50).map(|i| early(&i.to_string())).collect()).await;
    node.clock.advance_ms(2 * DAY_MS);
    let (one, two) = tokio::join!(
        replay(&node, QuarantineSelection::All, ReplayTime::AsSent),
        replay(&node, QuarantineSelection::All, ReplayTime::AsSent),
    );
    assert_eq!(one.replayed + two.replayed, 50);
    node.settled().await;
    assert_eq!(node.warehouse.ids().len(), 50);
}

#[tokio::test]
async fn a_damaged_quarantine_file_costs_what_was_damaged_and_the_books_say_so() {
    let node = Node::new().await;
    node.admit(vec![early("a")]).await;
    node.admit(vec![early("b")]).await;
    let node = node.restart().await;
    let node = node
        .crash_and(|node| {
            let file = node.files("quarantine").pop().unwrap();
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[30] ^= 1;
            std::fs::write(file, bytes).unwrap();
        })
        .await;
    assert_eq!((node.report.damage.len(), node.report.epoch), (1, 1));
    assert_eq!(inside(&node).await, ["b"]);
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.quarantined, ledger.lost), (2, 1, 1));
    balanced(&node);
    let node = node.crash().await;
    assert_eq!(node.report.damage, [], "damage is moved aside once");
    assert_eq!(node.ingest.ledger()[&ENVIRONMENT], ledger);
}

#[tokio::test]
async fn what_cannot_be_read_any_more_is_said_and_can_be_discarded() {
    let node = Node::new().await;
    node.admit(vec![early("a")]).await;
    node.admit(vec![early("b")]).await;
    let node = node.restart().await;
    let file = node.files("quarantine").pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let outcome = replay(&node, QuarantineSelection::All, ReplayTime::ReceivedAt).await;
    assert_eq!(outcome, Replayed { replayed: 1, unreadable: 1, ..Replayed::default() });
    assert_eq!(node.ingest.discard(ENVIRONMENT, QuarantineSelection::All).await.unwrap().discarded, 1);
    balanced(&node);
}

#[tokio::test]
async fn a_record_number_is_not_used_again_when_the_log_is_gone() {
    let node = Node::new().await;
    node.admit(vec![early("a")]).await;
    let node = node.restart().await;
    let node = node.crash_and(|node| std::fs::remove_dir_all(node.config.dir.join("wal")).unwrap()).await;
    node.admit(vec![early("b")]).await;
    let page = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter::default()).await.unwrap();
    let ids: BTreeSet<QuarantineId> = page.events.iter().map(|event| event.id).collect();
    assert_eq!((ids.len(), inside(&node).await), (2, vec!["a".to_owned(), "b".to_owned()]));
    let node = node.restart().await;
    assert_eq!(inside(&node).await, ["a", "b"]);
    assert!(node.ingest.ledger()[&ENVIRONMENT].is_balanced());
    assert!(page.events[0].received_at >= Timestamp(NOON.0));
}

#[tokio::test]
async fn what_became_unreadable_in_a_quarantine_file_is_moved_aside_before_the_file_is_rewritten() {
    let node = Node::new().await;
    node.admit(vec![early("a")]).await;
    node.admit(vec![early("b")]).await;
    let node = node.restart().await;
    let file = node.files("quarantine").pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(replay(&node, QuarantineSelection::All, ReplayTime::ReceivedAt).await.replayed, 1);
    let node = node.restart().await;
    assert_eq!((node.report.damage.len(), node.files("quarantine").len()), (0, 0));
    let aside = std::fs::read(&node.files("damaged")[0]).unwrap();
    assert!(bytes.starts_with(&aside) && aside.len() > 30);
    let ledger = node.ingest.ledger()[&ENVIRONMENT];
    assert_eq!((ledger.accepted, ledger.stored, ledger.lost), (2, 1, 1));
    balanced(&node);
}

#[tokio::test]
async fn what_has_left_stays_away_when_the_log_can_no_longer_tell() {
    let node = Node::new().await;
    node.admit(vec![early("a"), early("b")]).await;
    let node = node.restart().await;
    let segment = node.segments().pop().unwrap();
    let before = std::fs::read(&segment).unwrap().len();
    let first = node.ingest.quarantined(ENVIRONMENT, QuarantineFilter::default()).await.unwrap().events[0].id;
    assert_eq!(replay(&node, QuarantineSelection::Ids([first].into()), ReplayTime::ReceivedAt).await.replayed, 1);
    node.settled().await;
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[before + 40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let node = node.restart().await;
    assert_eq!((node.report.damage.len(), inside(&node).await), (0, vec!["b".to_owned()]));
    assert_eq!(node.warehouse.ids(), ["a"]);
    balanced(&node);
}

/// A metric event that takes a quarter of a megabyte in the log, where each of its units has its properties.
fn large(id: &str) -> ParsedEvent {
    let ParsedEvent::Ok(mut event) = metric(id) else { unreachable!("it is well-formed") };
    let unit = |n: u32| RawUnit { unit_type: format!("type{n}"), unit_id: "u".to_owned() };
    event.other_units = (1..8).map(unit).collect();
    let properties = [("text".to_owned(), "x".repeat(32 << 10).into())].into_iter().collect();
    event.body = RawBody::Metric { event: "purchase".to_owned(), value: None, properties: Some(properties) };
    ParsedEvent::Ok(event)
}

#[tokio::test]
async fn a_request_of_any_valid_size_is_admitted_and_replayed() {
    let node = Node::new().await;
    // As JSON this is less than 5 MiB.
    let ids: Vec<String> = (0..135).map(|n| format!("{n}")).collect();
    let mut sent = vec![metric("m")];
    sent.extend(ids.iter().map(|id| old(large(id))));
    sent.extend([metric("m"), metric("n")]);
    let receipt = node.admit(sent).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (137, 1), "repeats are found over the bounds of its writes");
    assert!(receipt.quarantined.iter().map(|of| &of.id).eq(&ids));
    let outcome = replay(&node, QuarantineSelection::All, ReplayTime::ReceivedAt).await;
    assert_eq!(outcome, Replayed { replayed: 135, ..Replayed::default() });
    node.settled().await;
    assert_eq!(node.warehouse.rows().len(), 135 * 8 + 2);
    balanced(&node);
}
