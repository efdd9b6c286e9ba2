//! A change reaches the clients of both protocols: by their streams, and those that only poll by polling.

use serde_json::{Value, json};

use super::Shop;

/// Scripts and how each hears of changes.
const LISTENERS: [(&str, &str); 6] = [
    ("flagsmith_python.py", "realtime"),
    ("flagsmith_js.mjs", "realtime"),
    ("ofrep_web.mjs", "realtime"),
    ("flagsmith_python.py", "polling"),
    ("flagsmith_node.mjs", "polling"),
    ("ofrep_web.mjs", "polling"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_every_client_that_listens() {
    let shop = Shop::with_flags().await;
    let task: Value = json!({
        "flags": ["banner"],
        "users": [{"id": "u1", "traits": {"plan": "pro"}}],
        "evaluations": [{"flag": "banner", "type": "string", "default": "mine"}],
    });
    let mut clients = Vec::new();
    for (script, mode) in LISTENERS {
        clients.push((mode, shop.start(script, mode, task.clone())));
    }
    for (mode, client) in &mut clients {
        let ready = client.next().await.unwrap();
        assert_eq!(ready, json!({"ready": true, "flag": "banner", "value": "hello"}), "{} {mode}", client.name);
    }
    // Once: the browser's client overlooks a change that is told while it fetches the one before.
    shop.server
        .apply(
            "{kind: flag_state, project: shop, environment: production, key: banner, spec: {enabled: true, \
             fallthrough: {variation: bye}}}",
        )
        .await;
    for (mode, client) in clients {
        let name = client.name;
        let results = client.rest().await;
        assert_eq!(results.len(), 1, "{name} {mode}: {results:#?}");
        assert_eq!((&results[0]["user"], &results[0]["value"]), (&json!("u1"), &json!("bye")), "{name} {mode}");
        if name == "ofrep_web.mjs" {
            assert!(results[0]["changed"].to_string().contains("banner"), "{name} {mode}: {results:#?}");
        }
    }
}
