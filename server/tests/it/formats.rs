//! What our own format allows beyond one batch of events of one unit: repeats, several units, clocks that are off, packed
//! lines.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    crash::until_stored,
    harness::{Server, TOKEN, liftgate, read, shop},
};

fn now_ms() -> i64 {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_several_units_counts_once_and_the_books_agree() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let events: Vec<Value> = (0..20)
        .map(|i| json!({"type": "metric", "id": format!("e{i}"), "timestamp": now_ms(), "units": {"user": format!("u{i}"), "account": "acme"}, "event": "purchase"}))
        .collect();
    let (status, receipt) = server.send(&key, "application/json", json!({ "events": events }).to_string()).await;
    assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(20)), "{receipt:#}");
    assert_eq!(until_stored(&server, 20).await, json!({"exposures": 0, "metrics": 20, "surplus": 0}));
    let output = liftgate().args(["doctor", "events", "--url", &server.url(""), "--token", TOKEN]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("20 accepted = 20 stored: it adds up"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_corrected_by_when_it_says_it_sent() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let hour_fast = now_ms() + 3_600_000;
    let event = json!({"type": "metric", "id": "e", "timestamp": hour_fast, "unit": {"id": "u"}, "event": "purchase"});
    let body = json!({"sent_at": hour_fast + 1_000, "events": [event]});
    let (_, receipt) = server.send(&key, "application/json", body.to_string()).await;
    assert_eq!((&receipt["accepted"], &receipt["quarantined"]), (&json!(1), &Value::Null), "{receipt:#}");
    let metrics = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("liftgate_events_skewed_total 1"), "{metrics}");
    assert_eq!(until_stored(&server, 1).await["metrics"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_taken_packed_with_gzip_or_zstd_under_any_usual_content_type() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let line = |id: &str| {
        json!({"type": "metric", "id": id, "timestamp": now_ms(), "unit": {"id": "u"}, "event": "purchase"}).to_string()
    };
    let mut count = 0;
    for content_type in ["application/x-ndjson", "application/ndjson; charset=utf-8", "application/jsonl"] {
        for encoding in ["zstd", "identity"] {
            let text = format!("{}\n{}\n", line(&format!("a{count}")), line(&format!("b{count}")));
            let body =
                if encoding == "zstd" { zstd::encode_all(text.as_bytes(), 3).unwrap() } else { text.into_bytes() };
            let request = server.http().post(server.url("/ingest/v1/events")).header("x-api-key", &key);
            let request = request.header("content-type", content_type).header("content-encoding", encoding).body(body);
            let (status, receipt) = read(request.send().await.unwrap()).await;
            assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(2)), "{content_type}: {receipt:#}");
            count += 2;
        }
    }
    assert_eq!(until_stored(&server, count).await["metrics"], json!(count));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_a_hundred_times_overlapping_reordered_and_at_once_count_once() {
    const EVENTS: usize = 300;
    const SENDERS: usize = 4;
    let server = Server::start().await;
    let key = shop(&server).await;
    let events: Vec<Value> = (0..EVENTS)
        .map(|i| json!({"type": "metric", "id": format!("e{i}"), "timestamp": now_ms(), "unit": {"id": "u"}, "event": "purchase"}))
        .collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (http, url, key, events) =
                (server.http().clone(), server.url("/ingest/v1/events"), key.clone(), events.clone());
            tokio::spawn(async move {
                let mut accepted = 0;
                for round in 0..100 / SENDERS {
                    // Another cut of the ring each time, backwards every other time, some of it twice.
                    let start = (sender * 71 + round * 37) % EVENTS;
                    let mut batch: Vec<&Value> = (0..EVENTS + 20).map(|i| &events[(start + i) % EVENTS]).collect();
                    if round % 2 == 1 {
                        batch.reverse();
                    }
                    let answer = http.post(&url).header("x-api-key", &key).json(&json!({ "events": batch })).send();
                    let (status, receipt) = read(answer.await.unwrap()).await;
                    assert_eq!(status, StatusCode::OK, "{receipt:#}");
                    let count = |name: &str| receipt[name].as_u64().unwrap();
                    assert_eq!(count("accepted") + count("duplicates"), EVENTS as u64 + 20, "{receipt:#}");
                    accepted += count("accepted");
                }
                accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for sender in senders {
        accepted += sender.await.unwrap();
    }
    assert_eq!(accepted, EVENTS as u64, "each event is accepted by one request alone");
    let expected = json!({"exposures": 0, "metrics": EVENTS, "surplus": 0});
    assert_eq!(until_stored(&server, EVENTS as u64).await, expected);
}
