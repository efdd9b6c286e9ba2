//! A log that was cut or changed on disk: the node starts, keeps every valid frame, and says what it lost.

use std::path::Path;

use liftgate_domain::Warehouse;
use liftgate_ingest::{Error, QuarantineSelection, ReplayTime};

use crate::node::{ENVIRONMENT, Node, early};

/// A node with one request a frame and no seal, crashed; answers its segment's bytes and where its frames begin.
async fn crashed(ids: &[&str]) -> (Node, Vec<u8>, Vec<usize>) {
    let node = Node::with(|config| config.seal_after_ms = 3_600_000).await;
    for id in ids {
        node.send(&[id]).await;
    }
    node.ingest.abandon().await;
    let bytes = std::fs::read(only_segment(&node)).unwrap();
    let mut starts = vec![0];
    while let Some(head) = bytes.get(*starts.last().unwrap()..).filter(|rest| !rest.is_empty()) {
        let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        starts.push(starts.last().unwrap() + 16 + length);
    }
    assert_eq!(starts.len(), ids.len() + 2, "a head, a frame for each request, and the end");
    (node, bytes, starts)
}

fn only_segment(node: &Node) -> std::path::PathBuf {
    let segments = node.segments();
    assert_eq!(segments.len(), 1);
    segments[0].clone()
}

/// Opens a copy of the node's folder whose log has these bytes, in a node of its own.
async fn reopened(node: &Node, bytes: &[u8]) -> Node {
    let segment = only_segment(node);
    let copy = Node::new().await;
    copy.crash_and(|copy| {
        for old in copy.segments() {
            std::fs::remove_file(old).unwrap();
        }
        std::fs::write(copy.config.dir.join("wal").join(segment.file_name().unwrap()), bytes).unwrap();
    })
    .await
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn a_log_cut_at_any_byte_of_its_last_frame_keeps_the_others() {
    let (node, bytes, starts) = crashed(&["a", "b", "c"]).await;
    let last = starts[3];
    for length in last..bytes.len() {
        let node = reopened(&node, &bytes[..length]).await;
        assert_eq!(node.warehouse.ids(), ["a", "b"], "cut at {length}");
        assert_eq!(node.report.damage.len(), usize::from(length > last));
        assert_eq!(node.report.epoch, 1, "a torn end goes on in its epoch");
        if let Some(damage) = node.report.damage.first() {
            assert_eq!((damage.offset, damage.bytes), (last as u64, (length - last) as u64));
            assert!(damage.torn_tail);
            assert_eq!(content(&damage.moved_to), bytes[last..length]);
            assert_eq!(node.ingest.counters().damaged_frames, 1);
        }
        assert_eq!(node.send(&["a", "c"]).await, (1, 1), "what was lost can be sent again");
    }
}

#[tokio::test]
async fn a_log_cut_anywhere_has_an_event_in_quarantine_or_in_the_warehouse_or_nowhere() {
    let node = Node::with(|config| config.seal_after_ms = 3_600_000).await;
    node.send(&["a"]).await;
    let length = || content(&only_segment(&node)).len();
    let before_held = length();
    node.admit(vec![early("b")]).await;
    let before_release = length();
    let replay = node.ingest.replay(ENVIRONMENT, QuarantineSelection::All, ReplayTime::ReceivedAt);
    assert_eq!(replay.await.unwrap().replayed, 1);
    node.ingest.abandon().await;
    let bytes = content(&only_segment(&node));
    // Every byte of one kind of frame is cut above; here every third is enough.
    let cuts = (before_held..bytes.len()).step_by(3);
    for length in cuts.chain([before_release - 1, before_release, bytes.len()]) {
        let node = reopened(&node, &bytes[..length]).await;
        let (stored, quarantined, repeats): (&[&str], u64, u64) = match length {
            _ if length == bytes.len() => (&["a", "b"], 0, 1),
            _ if length >= before_release => (&["a"], 1, 1),
            _ => (&["a"], 0, 0),
        };
        assert_eq!(node.warehouse.ids(), stored, "cut at {length}");
        let ledger = node.ingest.ledger()[&ENVIRONMENT];
        assert_eq!((ledger.stored, ledger.quarantined), (stored.len() as u64, quarantined), "cut at {length}");
        assert!(ledger.is_balanced(), "cut at {length}: {ledger:?}");
        assert_eq!(node.admit(vec![early("b")]).await.duplicates, repeats, "cut at {length}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_costs_one_frame() {
    let (node, bytes, starts) = crashed(&["a", "b", "c", "d"]).await;
    let (from, to) = (starts[2], starts[3]);
    // Every byte, and a bit of it that differs from byte to byte.
    for at in from..to {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let node = reopened(&node, &flipped).await;
        assert_eq!(node.warehouse.ids(), ["a", "c", "d"], "flipped at {at}");
        assert_eq!((node.report.damage.len(), node.report.damage[0].torn_tail, node.report.epoch), (1, false, 2));
        assert_eq!(content(&node.report.damage[0].moved_to), flipped[from..to]);
        let node = node.crash().await;
        assert_eq!(node.report.damage, [], "damage is moved aside once");
        assert_eq!(node.warehouse.ids(), ["a", "c", "d"]);
    }
}

#[tokio::test]
async fn a_lost_seal_is_known_from_the_frame_after_it() {
    let node = Node::new().await;
    node.send(&["a"]).await;
    node.settled().await;
    let sealed_bytes = std::fs::read(only_segment(&node)).unwrap().len();
    node.send(&["b"]).await;
    node.settled().await;
    let before = node.warehouse.rows();
    let epoch = node.report.epoch;
    let node = node
        .crash_and(|node| {
            let segment = only_segment(node);
            let mut bytes = content(&segment);
            bytes[sealed_bytes - 1] ^= 1;
            std::fs::write(segment, bytes).unwrap();
        })
        .await;
    assert_eq!((node.report.damage.len(), node.report.epoch), (1, epoch + 1));
    assert_eq!((node.report.batches_recovered, node.report.rows_recovered), (2, 2));
    assert_eq!(node.warehouse.rows(), before, "the batch had the same rows under the same name");
}

#[tokio::test]
async fn a_torn_seal_that_the_warehouse_has_seen_is_not_given_out_again() {
    for is_flushed in [true, false] {
        let node = Node::new().await;
        node.send(&["a"]).await;
        node.settled().await;
        if is_flushed {
            node.warehouse.flush().await.unwrap();
        }
        let node = node
            .crash_and(|node| {
                node.warehouse.crash();
                let segment = only_segment(node);
                let bytes = content(&segment);
                std::fs::write(segment, &bytes[..bytes.len() - 1]).unwrap();
            })
            .await;
        assert!(node.report.damage[0].torn_tail);
        // A warehouse that has lost the batch too may have its name again.
        let expected = if is_flushed { (2, 0) } else { (1, 1) };
        assert_eq!((node.report.epoch, node.report.rows_recovered), expected);
        assert_eq!(node.send(&["a", "b"]).await, (1, 1));
        node.settled().await;
        assert_eq!(node.warehouse.ids(), ["a", "b"]);
    }
}

#[tokio::test]
async fn batches_behind_one_whose_rows_are_lost_are_released() {
    let node = Node::new().await;
    let mut ends = Vec::new();
    for id in ["a", "b", "c"] {
        node.send(&[id]).await;
        node.settled().await;
        ends.push(content(&only_segment(&node)).len());
    }
    let mut node = node
        .crash_and(|node| {
            node.warehouse.crash();
            let segment = only_segment(node);
            let mut bytes = content(&segment);
            bytes[ends[0] + 40] ^= 1;
            std::fs::write(segment, bytes).unwrap();
        })
        .await;
    assert_eq!((node.report.batches_recovered, node.report.rows_recovered), (3, 2));
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["a", "c"]);
    node.warehouse.flush().await.unwrap();
    node.until(|_| node.segments().len() == 1).await;
    for id in ["d", "e"] {
        node.send(&[id]).await;
        node = node.restart().await;
        assert_eq!((node.report.segments, node.report.batches_recovered), (1, 0));
    }
}

#[tokio::test]
async fn the_log_of_a_batch_that_is_missing_in_the_middle_is_kept() {
    let node = Node::new().await;
    for id in ["a", "b", "c"] {
        node.send(&[id]).await;
        node.settled().await;
    }
    node.warehouse.flush().await.unwrap();
    let epoch = node.report.epoch;
    let node = node.crash_and(|node| node.warehouse.lose(epoch, 2)).await;
    assert_eq!((node.report.batches_recovered, node.report.rows_recovered), (1, 1));
    node.settled().await;
    // Heartbeats go on; nothing is let go of while the second batch could still be lost.
    let mut evidence = node.warehouse.evidence();
    for round in 1..=3 {
        node.clock.advance_ms(1_000);
        let reached = crate::node::NOON.plus_millis(round * 1_000);
        evidence.wait_for(|watermark| watermark.time().is_some_and(|time| time >= reached)).await.unwrap();
    }
    assert_eq!(node.segments().len(), 2);
    let node = node.crash_and(|node| node.warehouse.crash()).await;
    node.settled().await;
    assert_eq!(node.warehouse.ids(), ["a", "b", "c"]);
    // Once it is durable the batches behind it, which were never missing, hold the log back no longer.
    node.warehouse.flush().await.unwrap();
    node.until(|_| node.segments().len() == 1).await;
}

#[tokio::test]
async fn damage_of_a_seal_and_of_what_follows_costs_no_row_before_it() {
    for is_flushed in [false, true] {
        let node = Node::new().await;
        node.send(&["a"]).await;
        node.settled().await;
        if is_flushed {
            node.warehouse.flush().await.unwrap();
        }
        let sealed = content(&only_segment(&node)).len();
        node.send(&["b"]).await;
        node.settled().await;
        let node = node
            .crash_and(|node| {
                node.warehouse.crash();
                let segment = only_segment(node);
                let mut bytes = content(&segment);
                // One bad stretch: the seal of the first batch, and the rows of the second. Its seal is whole.
                bytes[sealed - 1..sealed + 41].fill(0x55);
                std::fs::write(segment, bytes).unwrap();
            })
            .await;
        assert_eq!(node.report.damage.len(), 1);
        node.settled().await;
        assert_eq!(node.warehouse.ids(), ["a"], "flushed: {is_flushed}");
        let ledger = node.ingest.ledger()[&ENVIRONMENT];
        assert_eq!((ledger.accepted, ledger.stored, ledger.lost), (1, 1, 0));
        assert_eq!(node.send(&["a", "b"]).await, (1, 1));
    }
}

#[tokio::test]
async fn a_log_of_nothing_but_damage_begins_anew() {
    let (node, bytes, _) = crashed(&["a", "b"]).await;
    for broken in [vec![0; 5000], bytes.iter().map(|byte| !byte).collect(), Vec::new()] {
        let node = reopened(&node, &broken).await;
        assert_eq!(node.report.damage.len(), usize::from(!broken.is_empty()));
        assert_eq!(node.send(&["a"]).await, (1, 0));
        node.settled().await;
        assert_eq!(node.warehouse.ids(), ["a"]);
    }
}

#[tokio::test]
async fn a_damaged_key_file_is_moved_aside() {
    let node = Node::new().await;
    node.send(&["a"]).await;
    let node = node.restart().await;
    let node = node
        .crash_and(|node| {
            let file = node.files("keys").pop().unwrap();
            let mut bytes = content(&file);
            bytes[9] ^= 4;
            std::fs::write(file, bytes).unwrap();
        })
        .await;
    assert_eq!((node.report.damage.len(), node.report.keys), (1, 0));
    assert_eq!(node.report.epoch, 2, "the ids may come again, and the warehouse looks for them across epochs only");
    assert!(node.files("keys").is_empty());
}

#[tokio::test]
async fn a_look_up_that_cannot_read_its_file_is_refused_and_never_guessed() {
    let node = Node::new().await;
    node.send(&["a"]).await;
    let node = node.restart().await;
    let file = node.files("keys").pop().unwrap();
    let mut bytes = content(&file);
    bytes[9] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    for _ in 0..2 {
        let outcome = node.ingest.admit(crate::node::ENVIRONMENT, vec![crate::node::metric("a")], "native").await;
        assert!(matches!(outcome, Err(Error::Disk(_))), "{outcome:?}");
    }
    assert_eq!(node.send(&["b"]).await, (1, 0), "what needs no look-up in it goes on");
    let node = node.crash().await;
    assert_eq!((node.report.damage.len(), node.report.epoch, node.report.keys), (1, 2, 1));
    assert!(node.report.damage[0].moved_to.exists());
    assert_eq!(node.send(&["b"]).await, (0, 1));
}
