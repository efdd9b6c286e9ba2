//! What senders of events get wrong: each refusal names the field, and the good neighbours go through.

use std::io::Write;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, shop};

fn now_ms() -> i64 {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000
}

fn good(id: &str) -> Value {
    json!({"type": "metric", "id": id, "timestamp": now_ms(), "unit": {"id": "u1"}, "event": "purchase", "value": 3.5})
}

/// One edit of a good event, and the code and field that its refusal must carry.
fn table() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut event = good("bad");
        event[name] = value;
        event
    };
    let without = |name: &str| {
        let mut event = good("bad");
        event.as_object_mut().unwrap().remove(name);
        event
    };
    vec![
        ("an event without unit", without("unit"), "missing_field", "unit"),
        ("an event without id", without("id"), "missing_field", "id"),
        ("a metric event without its name", without("event"), "missing_field", "event"),
        ("a unit that is no object", with("unit", json!("u1")), "wrong_type", "unit"),
        ("a value that is a text", with("value", json!("many")), "wrong_type", "value"),
        ("a value that is NaN", with("value", json!("NaN")), "value_not_finite", "value"),
        ("an unknown type", with("type", json!("exposition")), "unknown_type", "type"),
        ("an unknown field", with("valeu", json!(1)), "unknown_field", "valeu"),
        ("a timestamp that is none", with("timestamp", json!("yesterday")), "invalid_value", "timestamp"),
        ("an id that is too long", with("id", json!("x".repeat(129))), "too_large", "id"),
        ("an event over the limit", with("properties", json!({"text": "x".repeat(40_000)})), "too_large", ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_never_blocks_its_neighbours_and_is_refused_by_name() {
    let server = Server::start().await;
    let key = shop(&server).await;
    for (index, (what, bad, code, field)) in table().into_iter().enumerate() {
        let batch = json!({"events": [good(&format!("a{index}")), bad, good(&format!("b{index}"))]});
        let (status, receipt) = server.send(&key, "application/json", batch.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{what}: {receipt:#}");
        assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(2), &json!(0)), "{what}: {receipt:#}");
        let refusal = &receipt["rejected"][0];
        assert_eq!(refusal["index"], json!(1), "{what}: {receipt:#}");
        assert_eq!(refusal["code"], json!(code), "{what}: {receipt:#}");
        if !field.is_empty() {
            assert!(refusal["field"].as_str().unwrap_or_default().contains(field), "{what}: {receipt:#}");
        }
    }
    let stored = u64::try_from(table().len() * 2).unwrap();
    assert_eq!(stored_metrics(&server, stored).await, stored);
}

/// Waits until as many metric events are stored, and says how many there are.
async fn stored_metrics(server: &Server, expected: u64) -> u64 {
    let mut seen = 0;
    for _ in 0..100 {
        let counts = server.get("/projects/shop/environments/production/events/counts").await;
        seen = counts["stored"]["metrics"].as_u64().unwrap();
        if seen >= expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_no_json_is_refused_whole_and_nothing_of_it_is_taken() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let (status, problem) = server.send(&key, "application/json", "{\"events\": [").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem:#}");
    assert_eq!(problem["code"], json!("malformed_json"));
    assert!(problem["next"].as_str().unwrap().contains("nothing of this batch"));

    let lines = format!("{}\nnot json\n{}\n", good("n1"), good("n2"));
    let (status, receipt) = server.send(&key, "application/x-ndjson", lines).await;
    assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(2)), "{receipt:#}");
    assert_eq!(receipt["rejected"][0]["code"], json!("malformed_json"), "{receipt:#}");
    assert_eq!(receipt["rejected"][0]["index"], json!(1), "{receipt:#}");
    assert_eq!(stored_metrics(&server, 2).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_batches_are_taken_and_bombs_are_refused() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let send = |body: Vec<u8>| {
        server
            .http()
            .post(server.url("/ingest/v1/events"))
            .header("x-api-key", &key)
            .header("content-type", "application/json")
            .header("content-encoding", "gzip")
            .body(body)
            .send()
    };
    let batch = json!({"events": [good("z1"), good("z1"), good("z2")]}).to_string();
    let receipt: Value = send(pack(batch.as_bytes())).await.unwrap().json().await.unwrap();
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(2), &json!(1)), "{receipt:#}");
    let bomb = send(pack(&vec![b' '; 8 * 1024 * 1024])).await.unwrap();
    assert_eq!(bomb.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let broken = send(b"not gzip".to_vec()).await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    let large = server.send(&key, "application/json", vec![b' '; 6 * 1024 * 1024]).await;
    assert_eq!((large.0, &large.1["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_again_is_all_duplicates_and_other_environments_keep_their_own() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let applied = server.apply("{kind: environment, project: shop, key: staging}").await;
    let staging = applied["results"][0]["client_key"].as_str().unwrap().to_owned();
    let batch = json!({"events": (0..50).map(|i| good(&format!("e{i}"))).collect::<Vec<_>>()}).to_string();
    for round in 0..3 {
        let (_, receipt) = server.send(&key, "application/json", batch.clone()).await;
        let (accepted, duplicates) = if round == 0 { (50, 0) } else { (0, 50) };
        assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(accepted), &json!(duplicates)));
    }
    let (_, receipt) = server.send(&staging, "application/json", batch).await;
    assert_eq!(receipt["accepted"], json!(50), "an id belongs to its environment: {receipt:#}");
    assert_eq!(stored_metrics(&server, 50).await, 50);
}
