//! Exposures that the server itself sees.

use std::sync::atomic::Ordering;

use liftgate_domain::RowKind;
use liftgate_ingest::{Sent, ServedExposure};

use crate::node::{ENVIRONMENT, NOON, Node, metric};

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
async fn each_unit_is_recorded_once_in_each_stage_and_arm_of_a_run() {
    let node = Node::new().await;
    let sender = node.ingest.exposures();
    assert_eq!(sender.try_send(served("u1")), Sent::Queued);
    assert_eq!(sender.try_send(served("u2")), Sent::Queued);
    assert_eq!(sender.try_send(ServedExposure { at: NOON.plus_millis(5), ..served("u1") }), Sent::Repeated);
    assert_eq!(sender.try_send(ServedExposure { arm: None, ..served("u1") }), Sent::Queued);
    assert_eq!(sender.try_send(ServedExposure { run: 4, ..served("u1") }), Sent::Queued);
    assert_eq!(sender.try_send(ServedExposure { stage: 3, ..served("u1") }), Sent::Queued);
    let counters = node.until(|counters| counters.stored == 5).await;
    assert_eq!((counters.exposures_sent, counters.exposures_deduplicated, counters.unattributable), (5, 1, 0));
    let rows = node.warehouse.rows();
    let first = &rows[0];
    assert_eq!((first.kind, first.ts, first.run, first.stage), (RowKind::Exposure, NOON, Some(3), Some(2)));
    assert_eq!((first.bucket, first.revision, first.source.as_str()), (Some(17), 9, "server"));
    assert!(first.event_id.starts_with("x-") && first.event_id.len() == 34, "{}", first.event_id);

    let node = node.crash().await;
    assert_eq!(node.ingest.exposures().try_send(served("u1")), Sent::Queued, "a new process remembers nothing");
    node.until(|counters| counters.exposures_deduplicated == 1).await;
    node.settled().await;
    assert_eq!(node.warehouse.rows().len(), 5, "and the log still knows the id");
}

#[tokio::test]
async fn a_unit_that_is_still_served_is_recorded_again_every_five_minutes() {
    let node = Node::new().await;
    let sender = node.ingest.exposures();
    // Noon is where a slice of five minutes begins.
    let after = |ms| ServedExposure { at: NOON.plus_millis(ms), ..served("u1") };
    let sent = [0, 299_999, 300_000, 599_999, 600_000].map(|ms| sender.try_send(after(ms)));
    assert_eq!(sent, [Sent::Queued, Sent::Repeated, Sent::Queued, Sent::Repeated, Sent::Queued]);
    node.until(|counters| counters.stored == 3).await;
    let times: Vec<_> = node.warehouse.rows().iter().map(|row| row.ts).collect();
    assert_eq!(times, [0, 300_000, 600_000].map(|ms| NOON.plus_millis(ms)));
}

#[tokio::test]
async fn what_is_too_long_is_dropped_and_holds_nothing_up() {
    let node = Node::new().await;
    let sender = node.ingest.exposures();
    let long_id = ServedExposure { unit_id: "x".repeat(1025), ..served("u1") };
    let long_type = ServedExposure { unit_type: "x".repeat(257), ..served("u1") };
    assert_eq!([sender.try_send(long_id), sender.try_send(long_type)], [Sent::Dropped, Sent::Dropped]);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, 3), 2);
    let longest = ServedExposure { unit_id: "x".repeat(1024), unit_type: "x".repeat(256), ..served("") };
    assert_eq!(sender.try_send(longest), Sent::Queued);
    node.until(|counters| counters.stored == 1).await;

    // Beyond what one record of the log takes, the queue's other exposures go in without it.
    let giant = ServedExposure { variation: "x".repeat(33 << 20), ..served("u2") };
    for exposure in [served("u1"), giant, served("u3"), served("u4")] {
        assert_eq!(sender.try_send(exposure), Sent::Queued);
    }
    node.until(|counters| counters.stored == 4 && counters.exposures_dropped == 3).await;
    let units: Vec<_> = node.warehouse.rows().into_iter().skip(1).map(|row| row.unit_id).collect();
    assert_eq!(units, ["u1", "u3", "u4"]);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, 3), 3);
}

#[tokio::test]
async fn exposures_wait_while_the_log_is_full_and_are_counted_once_the_queue_is_too() {
    let node = Node::with(|config| (config.exposure_queue, config.backlog_bytes_max) = (2, 1 << 16)).await;
    node.warehouse.away.store(true, Ordering::SeqCst);
    let long = "x".repeat(100);
    for i in 0..1_000 {
        let full = node.ingest.admit(ENVIRONMENT, vec![metric(&format!("{i}-{long}"))], "native").await.is_err();
        if full {
            break;
        }
    }
    let sender = node.ingest.exposures();
    let mut queued = 0;
    while sender.try_send(served(&format!("u{queued}"))) == Sent::Queued {
        queued += 1;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(queued <= 2 + 2, "{queued} of which at most two are out of the queue");
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, 3), 1);
    assert!(node.warehouse.rows().is_empty());
    node.warehouse.away.store(false, Ordering::SeqCst);
    node.ingest.shutdown().await.unwrap();
    let exposures = node.warehouse.rows().iter().filter(|row| row.kind == RowKind::Exposure).count();
    assert_eq!(exposures, queued, "what was queued is not lost");
}

#[tokio::test]
async fn a_full_queue_drops_at_once_and_counts_by_run() {
    let node = Node::with(|config| config.exposure_queue = 3).await;
    let sender = node.ingest.exposures();
    // This test's runtime has one thread, so nothing leaves the queue until the test itself waits.
    let sent: Vec<Sent> = (0..5).map(|i| sender.try_send(served(&format!("u{i}")))).collect();
    assert_eq!(sent, [Sent::Queued, Sent::Queued, Sent::Queued, Sent::Dropped, Sent::Dropped]);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, 3), 2);
    assert_eq!(node.ingest.exposures_dropped(ENVIRONMENT, 4), 0);
    let banner = ServedExposure { flag: "banner".to_owned(), run: 4, ..served("u1") };
    let next_run = ServedExposure { run: 5, ..served("u1") };
    assert_eq!([banner, next_run].map(|exposure| sender.try_send(exposure)), [Sent::Dropped, Sent::Dropped]);
    let by_flag = [("banner", 1), ("checkout", 3)].map(|(flag, count)| ((ENVIRONMENT, flag.to_owned()), count));
    assert_eq!(node.ingest.exposures_dropped_by_flag(), by_flag.into());
    node.until(|counters| counters.stored == 3).await;
    assert_eq!(sender.try_send(served("u4")), Sent::Queued, "a dropped one is not taken for a repeat");
    node.until(|counters| counters.stored == 4).await;
    assert_eq!(node.ingest.counters().exposures_dropped, 4);
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
