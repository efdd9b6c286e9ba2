//! The log is let go once the warehouse is durable, and the ids outlive it.

use liftgate_domain::Warehouse;

use crate::node::Node;

#[tokio::test]
async fn ids_survive_the_release_of_their_segment_and_a_restart() {
    let node = Node::new().await;
    node.send(&["a", "b"]).await;
    let node = node.restart().await;
    assert_eq!(node.files("keys").len(), 1);
    assert_eq!((node.report.segments, node.report.keys), (1, 2), "only the empty open segment is left");
    assert_eq!(node.send(&["a", "c"]).await, (1, 1));
    let node = node.restart().await;
    assert_eq!(node.send(&["a", "b", "c", "d"]).await, (1, 3));
    let node = node.restart().await;
    assert_eq!(node.warehouse.ids(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn only_what_is_durable_is_released() {
    let node = Node::with(|config| config.backlog_bytes_max = 1 << 20).await;
    let long = "x".repeat(100);
    for round in 0..25 {
        let ids: Vec<String> = (0..50).map(|i| format!("{round:02}-{i:02}-{long}")).collect();
        node.send(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    node.settled().await;
    let closed = node.segments().len() - 1;
    assert!(closed >= 1, "the log has rotated");
    assert!(node.files("keys").is_empty());
    node.warehouse.flush().await.unwrap();
    node.until(|_| node.segments().len() == 1).await;
    assert_eq!(node.files("keys").len(), 1);
    let node = node.crash_and(|node| node.warehouse.crash()).await;
    assert_eq!(node.report.keys, 1250);
    node.settled().await;
    assert_eq!(node.warehouse.ids().len(), 1250);
    assert_eq!(node.send(&[&format!("00-00-{long}"), &format!("24-49-{long}")]).await, (0, 2));
}

#[tokio::test]
async fn ids_are_forgotten_after_the_window() {
    let day_ms = 86_400_000;
    let node = Node::with(|config| config.dedup_window_ms = 2 * day_ms).await;
    node.send(&["a"]).await;
    let node = node.restart().await;
    node.clock.advance_ms(2 * day_ms);
    assert_eq!(node.send(&["a", "b"]).await, (1, 1));
    let node = node.restart().await;
    assert_eq!(node.files("keys").len(), 2);
    node.clock.advance_ms(day_ms);
    let node = node.restart().await;
    assert_eq!(node.report.keys, 1);
    assert_eq!(node.files("keys").len(), 1);
    assert_eq!(node.send(&["a", "b"]).await, (1, 1));
}

#[tokio::test]
async fn a_clock_that_jumps_is_believed_after_some_minutes() {
    let (day_ms, minute_ms) = (86_400_000, 60_000);
    for is_running in [true, false] {
        let node = Node::with(|config| config.dedup_window_ms = 2 * day_ms).await;
        node.send(&["a"]).await;
        let mut node = node.restart().await;
        if is_running {
            node.wait_ms(9 * day_ms).await;
        } else {
            node = node.crash_and(|node| node.clock.advance_ms(9 * day_ms)).await;
            assert_eq!(node.report.keys, 1);
        }
        // By then the node has looked at its clock for what came before.
        node.wait_ms(1).await;
        assert_eq!(node.send(&["a"]).await, (0, 1), "running: {is_running}");
        node.clock.advance_ms(10 * minute_ms);
        // Nothing tells from outside when it is forgotten; until then it is a repeat.
        while node.send(&["a"]).await == (0, 1) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}
