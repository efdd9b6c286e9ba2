//! An experiment that Flagsmith's clients report: whom they showed what, and who converted, each counted once.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shop;
use crate::{crash::until_stored, harness::Server};

/// Users of each client.
const USERS: usize = 30;
const RESULTS: &str = "/projects/shop/environments/production/experiments/cta/results?units=all";

const DECLARED: &str = r#"
{kind: flag, project: shop, key: cta, spec: {kind: string, dialect: flagsmith, off_variation: control,
  variations: [{key: control, value: Buy}, {key: bold, value: BUY}]}}
---
kind: experiment
project: shop
environment: production
key: cta
spec:
  flag: cta
  arms: {bold: 50, control: 50}
  control: control
  success: [conversion]
  start: true
"#;

/// The readout once as many users are in it, or after 20 s.
async fn until_seen(server: &Server, users: u64) -> Value {
    let mut results = Value::Null;
    for _ in 0..200 {
        results = server.get(RESULTS).await;
        let arms = results["arms"].as_array().unwrap();
        if arms.iter().map(|arm| arm["units"].as_u64().unwrap()).sum::<u64>() >= users {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn exposures_and_conversions_of_flagsmiths_clients_count_once() {
    let shop = Shop::open().await;
    let applied = shop.server.apply(DECLARED).await;
    assert!(applied["results"].to_string().contains("started"), "{applied:#}");
    let task = |prefix: &str| {
        let users: Vec<Value> = (0..USERS).map(|user| json!({"id": format!("{prefix}{user}")})).collect();
        json!({"flags": ["cta"], "users": users, "conversion": {"event": "purchase", "value": 9.5}})
    };
    let mut shown = Vec::new();
    for (script, prefix) in [("flagsmith_python.py", "p"), ("flagsmith_js.mjs", "j")] {
        let results = shop.run(script, "experiment", task(prefix)).await;
        let (batches, users): (Vec<Value>, Vec<Value>) = results.into_iter().partition(|it| it["events"].is_u64());
        for batch in &batches {
            assert_eq!(batch["status"], json!(202), "{script}: {batch:#}");
            assert_eq!(batch["answer"], json!({"accepted": batch["events"], "rejected": []}), "{script}");
        }
        assert_eq!(users.len(), USERS, "{script}");
        shown.extend(users);
    }
    // The Python client has sent its batch twice, as it does when an answer is lost.
    let expected = u64::try_from(shown.len()).unwrap();
    let stored = until_stored(&shop.server, expected).await;
    assert_eq!(stored, json!({"exposures": expected, "metrics": expected, "surplus": 0}));

    let results = until_seen(&shop.server, expected).await;
    for user in &shown {
        assert!(user["enabled"] == json!(true) && user["variant"].is_string(), "{user:#}");
        assert_eq!(user["experiment"]["inExperiment"], json!(true), "{user:#}");
        assert_eq!(user["experiment"]["id"], results["run"], "{user:#}");
    }
    for (arm, value) in [("control", "Buy"), ("bold", "BUY")] {
        let saw = shown.iter().filter(|user| user["value"] == json!(value)).count();
        let found = results["arms"].as_array().unwrap().iter().find(|it| it["arm"] == json!(arm)).unwrap();
        assert_eq!(found["units"], json!(saw), "{arm}: {results:#}");
        assert!(saw > 0, "nobody saw {arm}");
    }
}
