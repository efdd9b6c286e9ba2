//! Exposures that evaluation emits: of one flag always, of all flags where the environment wants them, and what becomes of
//! a rollout when they are lost.

use std::time::Duration;

use liftgate_domain::{Clock, SystemClock};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, read, shop};

const ROLLOUT: &str =
    "{kind: rollout, project: shop, environment: production, key: ramp, spec: {flag: checkout, policy: quick}}";

async fn metrics(server: &Server) -> String {
    server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

/// How many exposures were emitted, repeats included: a unit that is seen again within five minutes is one.
async fn emitted(server: &Server) -> u64 {
    let page = metrics(server).await;
    let value = |name: &str| -> u64 {
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_else(|| panic!("{name}"))
    };
    value("liftgate_exposures_sent_total ") + value("liftgate_exposures_deduplicated_total ")
}

async fn bulk(server: &Server, key: &str, user: &str) -> Value {
    let request = server.http().post(server.url("/ofrep/v1/evaluate/flags")).header("x-api-key", key);
    let (status, answer) = read(request.json(&json!({"context": {"targetingKey": user}})).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{answer:#}");
    answer["flags"][0].clone()
}

async fn gatekeeper(server: &Server, key: &str, user: &str) {
    let request = server.http().get(server.url(&format!("/flags/evaluate?userId={user}"))).header("x-api-key", key);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flag_emits_and_all_flags_emit_only_where_the_environment_opts_in() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(ROLLOUT).await;
    let mut analysed = 0;
    for user in (0..40).map(|user| format!("u{user}")) {
        let (_, answer) = server.evaluate(&key, "checkout", &user).await;
        analysed += u64::from(answer["metadata"]["arm"].is_string());
        assert_eq!(bulk(&server, &key, &user).await, answer, "a bulk answer names the run as well");
        gatekeeper(&server, &key, &user).await;
    }
    assert!(analysed > 0 && analysed < 40, "{analysed} of 40 in a stage that analyses 20 %");
    assert_eq!(emitted(&server).await, analysed);
    server
        .apply("{kind: environment, project: shop, key: production, spec: {lateness: 200ms, bulk_exposures: true}}")
        .await;
    for user in (0..40).map(|user| format!("u{user}")) {
        bulk(&server, &key, &user).await;
        gatekeeper(&server, &key, &user).await;
    }
    assert_eq!(emitted(&server).await, analysed * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exposure_of_a_client_that_was_told_its_run_is_analysed_also_where_the_rule_is_not_for_everybody() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server
        .apply(
            "{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, targets: [{variation: on, units: [vip]}]}}\n---\n\
             {kind: experiment, project: shop, environment: production, key: ab, spec: {flag: checkout, arms: {on: 50, off: 50}, control: 'off', success: [conversion], start: true}}",
        )
        .await;
    let mut events = Vec::new();
    for (user, tells) in [("u1", true), ("u2", true), ("u3", false), ("vip", true)] {
        let served = bulk(&server, &key, user).await;
        let run = &served["metadata"]["run"];
        assert_eq!(run.is_u64(), user != "vip", "a target is in no run: {served:#}");
        let attributes = if tells { json!({"run": run}) } else { json!({}) };
        let now = SystemClock.now().0 / 1_000;
        events.push(json!({"type": "exposure", "id": user, "timestamp": now, "unit": {"id": user}, "flag": "checkout",
            "variation": served["variant"], "attributes": attributes}));
    }
    let (status, receipt) = server.send(&key, "application/json", json!({ "events": events }).to_string()).await;
    assert!(status.is_success() && receipt["accepted"] == 4, "{status} {receipt:#}");
    let results = "/projects/shop/environments/production/experiments/ab/results?units=all";
    let mut units = 0;
    for _ in 0..200 {
        let answer = server.get(results).await;
        units = answer["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).sum();
        let counts = server.get("/projects/shop/environments/production/events/counts").await;
        if counts["stored"]["exposures"] == 4 && units >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(units, 2, "those who told their run, and nobody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_slows_no_answer_is_counted_by_flag_and_holds_the_rollout() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(ROLLOUT).await;
    assert!(!metrics(&server).await.contains("liftgate_exposures_dropped_total{"));
    let mut lost = 0;
    for user in 0..60 {
        // No event may have so long an id.
        let (status, answer) = server.evaluate(&key, "checkout", &format!("{user}-{}", "x".repeat(1_100))).await;
        assert_eq!(status, StatusCode::OK, "{answer:#}");
        lost += u64::from(answer["metadata"]["arm"].is_string());
    }
    assert!(lost > 0, "a fifth of all users is analysed");
    let page = metrics(&server).await;
    let labels = r#"{project="shop",environment="production",flag="checkout"}"#;
    assert!(page.contains(&format!("liftgate_exposures_dropped_total{labels} {lost}\n")), "{page}");
    let why = server.get("/projects/shop/environments/production/rollouts/ramp/why").await;
    let gates = why["outcome"]["gates"].as_array().unwrap();
    let gate = gates.iter().find(|gate| gate["gate"] == "exposure_loss").unwrap();
    assert_eq!(gate["result"], "hold", "{why:#}");
    assert!(gate["detail"].as_str().unwrap().starts_with(&format!("{lost} exposures were lost")), "{why:#}");
}
