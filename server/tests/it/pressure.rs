//! When there is no room: events are refused with a status that senders wait on, and everything acknowledged arrives once
//! there is room again.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    clickhouse_server::ClickHouse,
    crash::until_stored,
    harness::{Server, TOKEN, liftgate, read, shop},
};

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000
}

fn batch(first: u64, count: u64, at_ms: i64) -> String {
    let text = "x".repeat(500);
    let events: Vec<Value> = (first..first + count)
        .map(|i| json!({"type": "metric", "id": format!("e{i}"), "timestamp": at_ms, "unit": {"id": format!("u{i}")}, "event": "purchase", "properties": {"text": text}}))
        .collect();
    json!({ "events": events }).to_string()
}

/// Sends a batch: status, `Retry-After` and answer.
async fn send(server: &Server, key: &str, body: String) -> (StatusCode, Option<String>, Value) {
    let request = server.http().post(server.url("/ingest/v1/events")).header("x-api-key", key).body(body);
    let answer = request.send().await.unwrap();
    let after = answer.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
    let (status, body) = read(answer).await;
    (status, after, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_refuses_events_until_there_is_room() {
    let mut server = Server::start_with(&[("LIFTGATE_INGEST_DISK_FREE_MIN", "8000TiB")]).await;
    let key = shop(&server).await;
    let (status, after, problem) = send(&server, &key, batch(0, 10, now_ms())).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("low_disk")), "{problem:#}");
    assert!(after.is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1));
    let request = server.http().post(server.url("/v1/track")).basic_auth(&key, Some(""));
    let refused = request.json(&json!({"userId": "u", "event": "e"})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"), "Segment's clients wait as they are told");
    let metrics = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("liftgate_requests_refused_low_disk_total 2"), "{metrics}");
    server.set("LIFTGATE_INGEST_DISK_FREE_MIN", "1MiB");
    server.kill_and_restart().await;
    assert_eq!(send(&server, &key, batch(0, 10, now_ms())).await.0, StatusCode::OK);
    assert_eq!(until_stored(&server, 10).await["metrics"], json!(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_refuses_events_and_drains_when_the_warehouse_is_back() {
    let mut clickhouse = ClickHouse::start().await;
    let url = clickhouse.url();
    let server = Server::start_with(&[
        ("LIFTGATE_WAREHOUSE", "clickhouse"),
        ("LIFTGATE_CLICKHOUSE_URL", &url),
        ("LIFTGATE_CLICKHOUSE_BREAKER_PAUSE", "300ms"),
        ("LIFTGATE_INGEST_BACKLOG_MAX", "1MiB"),
    ])
    .await;
    let key = shop(&server).await;
    clickhouse.kill();
    let mut sent = 0;
    loop {
        let (status, after, answer) = send(&server, &key, batch(sent, 100, now_ms())).await;
        if status == StatusCode::OK {
            assert_eq!(answer["accepted"], json!(100), "{answer:#}");
            sent += 100;
            assert!(sent < 100_000, "the backlog has no end");
            continue;
        }
        assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("backlog")), "{answer:#}");
        assert!(after.is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1));
        break;
    }
    clickhouse.start_again().await;
    assert_eq!(until_stored(&server, sent).await, json!({"exposures": 0, "metrics": sent, "surplus": 0}));
    // What was refused is taken now; what was acknowledged is known.
    loop {
        let (status, _, receipt) = send(&server, &key, batch(0, sent + 100, now_ms())).await;
        if status == StatusCode::OK {
            assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(100), &json!(sent)), "{receipt:#}");
            break;
        }
        assert_eq!(receipt["code"], json!("backlog"), "{receipt:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Old events leave once retention is shorter, and the young stay.
async fn retention_takes_the_old_and_leaves_the_young(settings: &[(&str, &str)]) -> Server {
    let mut server = Server::start_with(settings).await;
    let key = shop(&server).await;
    for (first, age_days) in [(0, 300), (100, 200), (200, 1)] {
        let (status, _, receipt) = send(&server, &key, batch(first, 100, now_ms() - age_days * DAY_MS)).await;
        assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(100)), "{receipt:#}");
    }
    assert_eq!(until_stored(&server, 300).await["metrics"], json!(300));
    assert_eq!(server.terminate().await, Some(0), "{}", server.log());
    server.set("LIFTGATE_RETENTION", "100d");
    server.start_again().await;
    let mut stored = Value::Null;
    for _ in 0..200 {
        stored = server.get("/projects/shop/environments/production/events/counts").await["stored"].clone();
        if stored["metrics"] == json!(100) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(stored, json!({"exposures": 0, "metrics": 100, "surplus": 0}), "{}", server.log());
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_leaves_parquet_and_the_books_say_so() {
    let server = retention_takes_the_old_and_leaves_the_young(&[]).await;
    the_books_say_what_is_gone(&server);
}

fn the_books_say_what_is_gone(server: &Server) {
    let output = liftgate().args(["doctor", "events", "--url", &server.url(""), "--token", TOKEN]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("300 accepted = 100 stored + 200 expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_leaves_clickhouse_and_the_books_say_so() {
    let clickhouse = ClickHouse::start().await;
    let settings = [("LIFTGATE_WAREHOUSE", "clickhouse"), ("LIFTGATE_CLICKHOUSE_URL", &clickhouse.url())];
    let server = retention_takes_the_old_and_leaves_the_young(&settings).await;
    the_books_say_what_is_gone(&server);
}
