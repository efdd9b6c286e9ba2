//! `kill -9` at random points under load: what was acknowledged is there exactly once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    clickhouse_server::ClickHouse,
    crash::until_stored,
    harness::{Server, shop},
};

const SENDERS: usize = 3;
const BATCH_EVENTS: u64 = 20;
/// How long after the server was ready it is killed at most.
const LIFE_MS_MAX: u64 = 150;

/// Sends batch after batch until told to stop, each again and again until it is acknowledged; answers how many events
/// were.
async fn send(http: reqwest::Client, url: String, key: String, sender: usize, stop: Arc<AtomicBool>) -> u64 {
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000;
        let events: Vec<Value> = (acknowledged..acknowledged + BATCH_EVENTS)
            .map(|i| json!({"type": "metric", "id": format!("s{sender}-{i}"), "timestamp": now, "unit": {"id": format!("u{i}")}, "event": "purchase"}))
            .collect();
        let body = json!({ "events": events }).to_string();
        loop {
            let answer = http.post(&url).header("x-api-key", &key).body(body.clone()).send().await;
            if let Ok(answer) = answer
                && answer.status().is_success()
                && let Ok(receipt) = answer.json::<Value>().await
            {
                let taken = receipt["accepted"].as_u64().unwrap() + receipt["duplicates"].as_u64().unwrap();
                assert_eq!(taken, BATCH_EVENTS, "{receipt:#}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        acknowledged += BATCH_EVENTS;
    }
    acknowledged
}

async fn every_acknowledged_event_is_there_once(settings: &[(&str, &str)], kills: u32, seed: u64) {
    let mut server = Server::start_with(settings).await;
    let key = shop(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let url = server.url("/ingest/v1/events");
            tokio::spawn(send(server.http().clone(), url, key.clone(), sender, stop.clone()))
        })
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MS_MAX))).await;
        server.kill_and_restart().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for sender in senders {
        acknowledged += sender.await.unwrap();
    }
    assert!(acknowledged > u64::from(kills) * BATCH_EVENTS, "there was hardly any load: {acknowledged} events");
    let stored = until_stored(&server, acknowledged).await;
    assert_eq!(stored, json!({"exposures": 0, "metrics": acknowledged, "surplus": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_points_on_parquet() {
    every_acknowledged_event_is_there_once(&[("LIFTGATE_WAREHOUSE_FLUSH_AFTER", "50ms")], 50, 20_260_301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_points_on_clickhouse() {
    let clickhouse = ClickHouse::start().await;
    let settings = [("LIFTGATE_WAREHOUSE", "clickhouse"), ("LIFTGATE_CLICKHOUSE_URL", &clickhouse.url())];
    every_acknowledged_event_is_there_once(&settings, 50, 20_260_302).await;
}
