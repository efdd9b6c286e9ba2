//! The management API as automation uses it: declare, list, page, stream, experiment.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{SHOP, Server, TOKEN, shop};

#[tokio::test(flavor = "multi_thread")]
async fn applying_the_same_again_changes_nothing() {
    let server = Server::start().await;
    let first = server.apply(SHOP).await;
    assert!(first["seq"].is_u64(), "{first:#}");
    let again = server.apply(SHOP).await;
    assert!(again["seq"].is_null(), "{again:#}");
    assert!(again["results"].as_array().unwrap().iter().all(|it| it["action"] == json!("unchanged")), "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_by_key_and_archived_things_leave_them() {
    let server = Server::start().await;
    shop(&server).await;
    let many: Vec<_> = (0..7)
        .map(|i| json!({"kind": "flag", "project": "shop", "key": format!("f{i}"), "spec": {"kind": "boolean"}}))
        .collect();
    let (status, _) = server.manage(Method::POST, "/apply", Some(json!(many))).await;
    assert_eq!(status, StatusCode::OK);
    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/projects/shop/flags?limit=3{after}")).await;
        keys.extend(page["items"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(keys, ["checkout", "f0", "f1", "f2", "f3", "f4", "f5", "f6"]);
    let (status, _) = server.manage(Method::DELETE, "/projects/shop/flags/f3", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let page = server.get("/projects/shop/flags").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_stream_hears_every_change_once_and_resumes() {
    let server = Server::start().await;
    shop(&server).await;
    let seen =
        server.get("/changes?limit=1000").await["items"].as_array().unwrap().last().unwrap()["seq"].as_u64().unwrap();
    for i in 0..5 {
        server.apply(&format!("{{kind: segment, project: shop, key: s{i}, spec: {{included: [u1]}}}}")).await;
    }
    let stream = server
        .http()
        .get(server.url("/manage/v1/changes/stream"))
        .bearer_auth(TOKEN)
        .header("last-event-id", seen.to_string())
        .send()
        .await
        .unwrap();
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let mut bytes = stream.bytes_stream();
    let mut text = String::new();
    server.apply("{kind: segment, project: shop, key: last, spec: {included: [u1]}}").await;
    while text.matches("event: change").count() < 6 {
        let chunk = tokio::time::timeout(Duration::from_secs(20), bytes.next()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let ids: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert_eq!(ids, (seen + 1..=seen + 6).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_reads_out_what_truly_happened() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let declared = "{kind: experiment, project: shop, environment: production, key: banner, spec: {flag: checkout, arms: {on: 50, off: 50}, control: 'off', success: [conversion], start: true}}";
    let applied = server.apply(declared).await;
    assert!(applied["results"].to_string().contains("started"), "{applied:#}");
    let again = server.apply(declared).await;
    assert!(!again["results"].to_string().contains("started"), "{again:#}");
    let mut events = Vec::new();
    let mut users = [0_u64; 2];
    for user in 0..600 {
        let (_, answer) = server.evaluate(&key, "checkout", &format!("u{user}")).await;
        let on = answer["value"] == json!(true);
        users[usize::from(on)] += 1;
        assert_eq!(answer["metadata"]["arm"], answer["variant"], "{answer:#}");
        // Everybody with the banner buys, one in ten of the others does.
        if on || user % 10 == 0 {
            let now = liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000;
            events.push(json!({"type": "metric", "id": format!("p{user}"), "timestamp": now, "unit": {"id": format!("u{user}")}, "event": "purchase"}));
        }
        if events.len() == 50 || user == 599 {
            let (status, receipt) = server.send(&key, "application/json", json!({"events": events}).to_string()).await;
            assert_eq!(status, StatusCode::OK, "{receipt:#}");
            events.clear();
        }
    }
    let path = "/projects/shop/environments/production/experiments/banner/results";
    let mut results = server.get(path).await;
    for _ in 0..600 {
        let units: u64 = results["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).sum();
        // Purchases may arrive after the exposures.
        let lower = &results["metrics"][0]["comparisons"][0]["comparison"]["relative"]["lower"];
        if units == 600 && lower.as_f64().is_some_and(|lower| lower > 1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        results = server.get(path).await;
    }
    let units: Vec<u64> =
        results["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).collect();
    assert_eq!(units, users, "{results:#}");
    let comparison = &results["metrics"][0]["comparisons"][0]["comparison"];
    assert_eq!(comparison["verdict"], json!("better"), "{results:#}");
    assert!(comparison["relative"]["lower"].as_f64().unwrap() > 1.0, "{results:#}");
    assert!(results["srm"]["p_value"].as_f64().unwrap() > 0.001, "{results:#}");
    assert_eq!(results["decisions"], json!([]), "a fixed plan decides once, at the end: {results:#}");
    assert!(results["warnings"].to_string().contains("valid at one look"), "{results:#}");
    let (status, _) =
        server.manage(Method::POST, "/projects/shop/environments/production/experiments/banner/stop", None).await;
    assert_eq!(status, StatusCode::OK);
    let (_, answer) = server.evaluate(&key, "checkout", "u1").await;
    assert!(answer["metadata"]["run"].is_null(), "{answer:#}");
    let stopped = server.get(path).await;
    assert_eq!(stopped["arms"], results["arms"], "stopping keeps the results");
    assert_eq!(stopped["decisions"].as_array().unwrap().len(), 1, "{stopped:#}");
}
