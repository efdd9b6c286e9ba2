//! The main job: a harmful change is rolled back by itself, a harmless one reaches 100 %, an endpoint hears of both in
//! signed webhooks, every decision replays, and a kill in the middle changes none of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use liftgate_domain::{Clock, SystemClock};
use liftgate_webhooks::signature::{Secret, verify};
use serde_json::{Value, json};

use crate::harness::{Server, shop};

/// Users that visit in one round.
const USERS: usize = 40;
/// The most rounds before the test gives up.
const ROUNDS_MAX: usize = 700;

type Heard = Arc<Mutex<Vec<(String, Value)>>>;

async fn receiver(secret: String) -> (String, Heard) {
    let heard: Heard = Arc::default();
    let router = Router::new().route(
        "/hook",
        post(move |State(heard): State<Heard>, headers: HeaderMap, body: Bytes| async move {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let at: i64 = header("webhook-timestamp").parse().unwrap();
            let secrets = [Secret::parse(&secret).unwrap()];
            verify(
                &secrets,
                &header("webhook-id"),
                at,
                SystemClock.now().0 / 1_000_000,
                &header("webhook-signature"),
                &body,
            )
            .expect("the signature must be valid");
            let event = serde_json::from_slice(&body).unwrap();
            heard.lock().unwrap().push((header("webhook-id"), event));
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.with_state(heard.clone());
    tokio::spawn(async move { axum::serve(listener, service).await });
    (format!("http://{address}/hook"), heard)
}

/// Sends what a round of users did. Errors follow the treatment of `bad` alone.
async fn round(server: &Server, key: &str, number: usize) {
    let mut events = Vec::new();
    for user in number * USERS..(number + 1) * USERS {
        let id = format!("u{user}");
        let (_, bad) = server.evaluate(key, "bad", &id).await;
        server.evaluate(key, "fine", &id).await;
        let fails = if bad["value"] == json!(true) { user % 2 == 0 } else { user % 20 == 0 };
        if fails {
            let now = SystemClock.now().0 / 1_000;
            events.push(json!({"type": "metric", "id": format!("x{user}"), "timestamp": now, "unit": {"id": id}, "event": "error"}));
        }
    }
    if !events.is_empty() {
        let (status, receipt) = server.send(key, "application/json", json!({"events": events}).to_string()).await;
        assert!(status.is_success() && receipt["rejected"] == json!([]), "{status} {receipt:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmful_change_is_rolled_back_and_a_harmless_one_reaches_100_percent() {
    let mut server =
        Server::start_with(&[("LIFTGATE_WEBHOOKS_ALLOW", "127.0.0.1"), ("LIFTGATE_SCHEDULER_LOOK_EVERY", "100ms")])
            .await;
    let key = shop(&server).await;
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned();
    let (url, heard) = receiver(secret.clone()).await;
    server
        .apply(&format!(
            "{{kind: flag, project: shop, key: bad, spec: {{kind: boolean}}}}\n---\n\
             {{kind: flag, project: shop, key: fine, spec: {{kind: boolean}}}}\n---\n\
             {{kind: endpoint, project: shop, key: hook, spec: {{url: '{url}', secrets: ['{secret}'], events: ['rollout.*', 'guardrail.*', 'flag.share_changed']}}}}\n---\n\
             {{kind: rollout, project: shop, environment: production, key: bad, spec: {{flag: bad, policy: quick}}}}\n---\n\
             {{kind: rollout, project: shop, environment: production, key: fine, spec: {{flag: fine, policy: quick}}}}"
        ))
        .await;
    let statuses = |rollouts: &Value| -> Vec<String> {
        rollouts["items"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap().to_owned()).collect()
    };
    let mut rollouts = Value::Null;
    for number in 0..ROUNDS_MAX {
        round(&server, &key, number).await;
        if number == 12 {
            server.kill_and_restart().await;
        }
        rollouts = server.get("/projects/shop/environments/production/rollouts").await;
        if statuses(&rollouts) == ["rolled_back", "completed"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(statuses(&rollouts), ["rolled_back", "completed"], "{rollouts:#}\n{}", server.log());
    assert!(rollouts["items"][0]["treated_units"].as_u64().unwrap() > 0);

    for user in 0..20 {
        let id = format!("later{user}");
        assert_eq!(server.evaluate(&key, "bad", &id).await.1["value"], json!(false));
        assert_eq!(server.evaluate(&key, "fine", &id).await.1["value"], json!(true));
    }
    for rollout in ["bad", "fine"] {
        let place = format!("/projects/shop/environments/production/rollouts/{rollout}");
        let records = server.get(&format!("{place}/decisions?limit=1000")).await["items"].as_array().unwrap().len();
        let replay = server.get(&format!("{place}/replay")).await;
        assert_eq!(replay["records"], json!(records), "{replay:#}");
        assert!(!server.get(&format!("{place}/why")).await["sentence"].as_str().unwrap().is_empty());
    }
    let counts = server.get("/projects/shop/environments/production/events/counts").await;
    assert_eq!(counts["stored"]["surplus"], json!(0), "{counts:#}");

    let mut heard_kinds = Vec::new();
    for _ in 0..100 {
        let deliveries = server.get("/projects/shop/deliveries?status=pending").await;
        heard_kinds = heard
            .lock()
            .unwrap()
            .iter()
            .map(|(_, event)| event["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>();
        if deliveries["items"].as_array().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for kind in [
        "rollout.started",
        "rollout.advanced",
        "rollout.rolled_back",
        "guardrail.harmed",
        "rollout.completed",
        "flag.share_changed",
    ] {
        assert!(heard_kinds.iter().any(|heard| heard == kind), "{kind} was not heard: {heard_kinds:?}");
    }
    let mut ids: Vec<_> = heard.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
    let deliveries = ids.len();
    ids.sort();
    ids.dedup();
    assert!(deliveries - ids.len() <= 1, "at most the delivery that a kill cut off may be heard twice");
}
