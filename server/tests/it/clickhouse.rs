//! The server on a real ClickHouse: several nodes on one, and a ClickHouse that goes away under load.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    clickhouse_server::ClickHouse,
    crash::until_stored,
    harness::{Server, TOKEN, liftgate, read, shop},
};

fn batch(first: u64, count: u64) -> String {
    let now = liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000;
    let events: Vec<Value> = (first..first + count)
        .map(|i| json!({"type": "metric", "id": format!("e{i}"), "timestamp": now, "unit": {"id": format!("u{i}")}, "event": "purchase"}))
        .collect();
    json!({ "events": events }).to_string()
}

fn settings(clickhouse: &ClickHouse) -> Vec<(&'static str, String)> {
    vec![
        ("LIFTGATE_WAREHOUSE", "clickhouse".to_owned()),
        ("LIFTGATE_CLICKHOUSE_URL", clickhouse.url()),
        ("LIFTGATE_CLICKHOUSE_DATABASE", "events".to_owned()),
        ("LIFTGATE_CLICKHOUSE_BREAKER_PAUSE", "300ms".to_owned()),
    ]
}

async fn start(settings: &[(&'static str, String)]) -> Server {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start_with(&settings).await
}

/// `liftgate doctor events` over these nodes: whether the books add up, and what it said.
fn doctor(nodes: &[&Server]) -> (bool, String) {
    let mut command = liftgate();
    command.args(["doctor", "events", "--url", &nodes[0].url(""), "--token", TOKEN]);
    for node in &nodes[1..] {
        command.args(["--node", &node.url("")]);
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_retries_through_the_other_node_is_counted_once() {
    let clickhouse = ClickHouse::start().await;
    let mut settings = settings(&clickhouse);
    let mut first = start(&settings).await;
    let key = shop(&first).await;
    settings.push(("LIFTGATE_CATALOG", format!("sqlite:{}", first.dir().join("catalog.db").display())));
    let second = start(&settings).await;

    // Every batch goes to both: the answer of the one was lost on its way, and the client asked the other.
    for part in 0..10 {
        let body = batch(part * 100, 100);
        let (status, receipt) = first.send(&key, "application/json", body.clone()).await;
        assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(100)), "{receipt:#}");
        if part == 4 {
            first.kill_and_restart().await;
        }
        let (status, receipt) = second.send(&key, "application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{receipt:#}");
    }
    let stored = until_stored(&second, 1_000).await;
    assert_eq!((&stored["metrics"], &stored["exposures"]), (&json!(1_000), &json!(0)), "{stored:#}");
    let (adds_up, said) = doctor(&[&first, &second]);
    assert!(adds_up && said.contains("2000 accepted = 1000 stored + 1000 repeated between nodes"), "{said}");

    // A node that is gone holds decisions back until it is retired.
    let nodes = until_nodes(&second, 2).await;
    let gone = nodes["nodes"].as_object().unwrap().keys().find(|it| nodes["node"] != json!(it)).unwrap().clone();
    let own = format!("/warehouse/nodes/{}", nodes["node"].as_str().unwrap());
    assert_eq!(second.manage(Method::DELETE, &own, None).await.0, StatusCode::CONFLICT);
    assert_eq!(second.manage(Method::DELETE, "/warehouse/nodes/nobody", None).await.0, StatusCode::NOT_FOUND);
    first.kill();
    let path = format!("/warehouse/nodes/{gone}");
    assert_eq!(second.manage(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    until_nodes(&second, 1).await;
}

/// Waits until as many nodes are known; nodes hear of each other about once a second.
async fn until_nodes(server: &Server, count: usize) -> Value {
    for _ in 0..200 {
        let warehouse = server.get("/warehouse").await;
        if warehouse["nodes"].as_object().is_some_and(|nodes| nodes.len() == count) {
            return warehouse;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are not {count} nodes:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_how_many_events_are_missing() {
    let clickhouse = ClickHouse::start().await;
    let server = start(&settings(&clickhouse)).await;
    let key = shop(&server).await;
    let (_, receipt) = server.send(&key, "application/json", batch(0, 100)).await;
    assert_eq!(receipt["accepted"], json!(100), "{receipt:#}");
    until_stored(&server, 100).await;
    assert!(doctor(&[&server]).0);
    let sql = "DELETE FROM events.events WHERE event_id IN ('e0', 'e1', 'e2')";
    let deleted = server.http().post(clickhouse.url()).body(sql).send().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.text().await.unwrap());
    let (adds_up, said) = doctor(&[&server]);
    assert!(
        !adds_up && said.contains("100 accepted = 97 stored: IT DOES NOT ADD UP: 3 were handed to the warehouse"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_clickhouse_is_away_events_are_taken_and_all_of_them_arrive_later() {
    let mut clickhouse = ClickHouse::start().await;
    let server = start(&settings(&clickhouse)).await;
    let key = shop(&server).await;
    let mut sent = 0;
    let mut send = async |count: u64| {
        for _ in 0..count {
            let (status, receipt) = server.send(&key, "application/json", batch(sent, 50)).await;
            assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(50)), "{receipt:#}");
            sent += 50;
        }
        sent
    };
    let before = send(10).await;
    until_stored(&server, before).await;
    clickhouse.kill();
    let mut metrics = String::new();
    while !metrics.contains("liftgate_clickhouse_breaker{state=\"open\"} 1") {
        send(2).await;
        metrics = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let counts = server.http().get(server.url("/manage/v1/projects/shop/environments/production/events/counts"));
    let (status, problem) = read(counts.bearer_auth(TOKEN).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")), "{problem:#}");
    let all = send(20).await;
    clickhouse.start_again().await;
    assert_eq!(until_stored(&server, all).await, json!({"exposures": 0, "metrics": all, "surplus": 0}));
    let (adds_up, said) = doctor(&[&server]);
    assert!(adds_up, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clickhouse_that_cannot_be_used_is_a_clear_error_at_the_start() {
    let clickhouse = ClickHouse::start().await;
    let url = clickhouse.url();
    let dir = tempfile::tempdir().unwrap();
    let run = |settings: &[(&str, &str)]| {
        let mut command = liftgate();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).envs(settings.iter().copied());
        let output = command.env("LIFTGATE_WAREHOUSE", "clickhouse").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let password = ("LIFTGATE_CLICKHOUSE_PASSWORD", "hunter2");
    for (settings, code, words) in [
        (vec![("LIFTGATE_CLICKHOUSE_URL", url.as_str()), password], 1, "password"),
        (vec![("LIFTGATE_CLICKHOUSE_URL", "http://127.0.0.1:9"), password], 1, "127.0.0.1:9"),
        (vec![("LIFTGATE_CLICKHOUSE_URL", "clickhouse"), password], 2, "`clickhouse.url`"),
    ] {
        let (status, said) = run(&settings);
        assert_eq!(status, Some(code), "{said}");
        assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
    }
}
