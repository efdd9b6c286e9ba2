//! Exposures that the server itself sees.

use liftgate_domain::RowKind;
use liftgate_ingest::{Sent, ServedExposure};

use crate::node::{ENVIRONMENT, NOON, Node};

fn served(unit: &str) -> ServedExposure {
    ServedExposure {
        environment: ENVIRONMENT,
        flag: "checkout".to_owned(),
        variation: "on".to_owned(),
        unit_type: "user".to_owned(),
        unit_id: unit.to_owned(),
        run: 3,
        stage: 2,
        arm: Some("on".to_owned()),
        bucket: 17,
        revision: 9,
        at: NOON,
    }
}

#[tokio::test]
async fn each_unit_is_recorded_once_in_each_arm_of_a_run() {
    let node = Node::new().await;
    let sender = node.ingest.exposures();
    assert_eq!(sender.try_send(served("u1")), Sent::Queued);
    assert_eq!(sender.try_send(served("u2")), Sent::Queued);
    assert_eq!(sender.try_send(ServedExposure { at: NOON.plus_millis(5), ..served("u1") }), Sent::Repeated);
    assert_eq!(sender.try_send(ServedExposure { arm: None, ..served("u1") }), Sent::Queued);
    assert_eq!(sender.try_send(ServedExposure { run: 4, ..served("u1") }), Sent::Queued);
    let counters = node.until(|counters| counters.stored == 4).await;
    assert_eq!((counters.exposures_sent, counters.exposures_deduplicated, counters.unattributable), (4, 1, 0));
    let rows = node.warehouse.rows();
    let first = &rows[0];
    assert_eq!((first.kind, first.ts, first.run, first.stage), (RowKind::Exposure, NOON, Some(3), Some(2)));
    assert_eq!((first.bucket, first.revision, first.source.as_str()), (Some(17), 9, "server"));
    assert!(first.event_id.starts_with("x-") && first.event_id.len() == 34, "{}", first.event_id);

    let node = node.crash().await;
    assert_eq!(node.ingest.exposures().try_send(served("u1")), Sent::Queued, "a new process remembers nothing");
    node.until(|counters| counters.exposures_deduplicated == 1).await;
    node.settled().await;
    assert_eq!(node.warehouse.rows().len(), 4, "and the log still knows the id");
}

#[tokio::test]
async fn a_full_queue_drops_at_once_and_counts_by_flag() {
    let node = Node::with(|config| config.exposure_queue = 3).await;
    let sender = node.ingest.exposures();
    // This test's runtime has one thread, so nothing leaves the queue until the test itself waits.
    let sent: Vec<Sent> = (0..5).map(|i| sender.try_send(served(&format!("u{i}")))).collect();
    assert_eq!(sent, [Sent::Queued, Sent::Queued, Sent::Queued, Sent::Dropped, Sent::Dropped]);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, "checkout"), 2);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, "other"), 0);
    node.until(|counters| counters.stored == 3).await;
    assert_eq!(sender.try_send(served("u4")), Sent::Queued, "a dropped one is not taken for a repeat");
    node.until(|counters| counters.stored == 4).await;
    assert_eq!(node.ingest.counters().exposures_dropped, 2);
}

#[tokio::test]
async fn a_shutdown_drains_the_queue() {
    let node = Node::new().await;
    let sender = node.ingest.exposures();
    for i in 0..3000 {
        assert_eq!(sender.try_send(served(&format!("u{i}"))), Sent::Queued);
    }
    node.ingest.shutdown().await.unwrap();
    assert_eq!(node.warehouse.rows().len(), 3000);
    assert_eq!(sender.try_send(served("late")), Sent::Dropped);
}
