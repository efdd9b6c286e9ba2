//! What survives: everything acknowledged, through `kill -9`, a damaged log and a graceful stop.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, shop};

fn batch(first: usize, count: usize) -> String {
    let now = liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000;
    let events: Vec<Value> = (first..first + count)
        .map(|i| json!({"type": "metric", "id": format!("e{i}"), "timestamp": now, "unit": {"id": format!("u{i}")}, "event": "purchase"}))
        .collect();
    json!({ "events": events }).to_string()
}

async fn counts(server: &Server) -> Value {
    server.get("/projects/shop/environments/production/events/counts").await["stored"].clone()
}

/// The counts, once as many metric events are stored, or after a minute.
pub async fn until_stored(server: &Server, expected: u64) -> Value {
    let mut stored = counts(server).await;
    for _ in 0..600 {
        if stored["metrics"].as_u64().unwrap() >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        stored = counts(server).await;
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_counted_once_after_each_kill() {
    let mut server = Server::start_with(&[("LIFTGATE_WAREHOUSE_FLUSH_AFTER", "300ms")]).await;
    let key = shop(&server).await;
    for round in 0..4_u64 {
        for part in 0..5_usize {
            let first = usize::try_from(round).unwrap() * 500 + part * 100;
            let (status, receipt) = server.send(&key, "application/json", batch(first, 100)).await;
            assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(100)), "{receipt:#}");
        }
        server.kill_and_restart().await;
        // A client that did not hear the answer sends again.
        let first = usize::try_from(round).unwrap() * 500;
        let (_, receipt) = server.send(&key, "application/json", batch(first, 500)).await;
        assert_eq!(receipt["duplicates"], json!(500), "{receipt:#}");
        let stored = until_stored(&server, (round + 1) * 500).await;
        assert_eq!(stored, json!({"exposures": 0, "metrics": (round + 1) * 500, "surplus": 0}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_tail_is_moved_aside_and_everything_before_it_is_kept() {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    let (_, receipt) = server.send(&key, "application/json", batch(0, 200)).await;
    assert_eq!(receipt["accepted"], json!(200));
    let dir = server.dir().to_owned();
    let damage = move || {
        let mut logs: Vec<_> =
            walk(&dir.join("log")).into_iter().filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
        logs.sort();
        let last = logs.last().expect("there is a log file");
        let mut bytes = std::fs::read(last).unwrap();
        bytes.extend_from_slice(b"\x40\x00\x00\x00torn in the middle of a frame");
        std::fs::write(last, bytes).unwrap();
    };
    server.kill_then(damage).await;
    let stored = until_stored(&server, 200).await;
    assert_eq!(stored, json!({"exposures": 0, "metrics": 200, "surplus": 0}));
    assert!(server.log().contains("moved aside"), "{}", server.log());
    let (_, receipt) = server.send(&key, "application/json", batch(0, 300)).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(100), &json!(200)), "{receipt:#}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_flushes_everything_into_parquet_and_ends_with_code_0() {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    let (_, receipt) = server.send(&key, "application/json", batch(0, 200)).await;
    assert_eq!(receipt["accepted"], json!(200));
    assert_eq!(server.terminate().await, Some(0), "{}", server.log());
    let files = walk(&server.dir().join("warehouse"));
    assert!(files.iter().any(|path| path.extension().is_some_and(|it| it == "parquet")), "{files:?}");
    assert!(server.log().contains("has stopped"), "{}", server.log());
}
