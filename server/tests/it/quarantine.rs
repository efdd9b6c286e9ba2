//! Events that nobody believes: kept, listed, replayed or thrown away, and in the books all the while.

use std::process::Output;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    crash::until_stored,
    harness::{Server, TOKEN, liftgate, shop},
};

const PATH: &str = "/projects/shop/environments/production/quarantine";
const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000
}

fn events(ids: &str, count: usize, at_ms: i64) -> Vec<Value> {
    (0..count)
        .map(|i| json!({"type": "metric", "id": format!("{ids}{i}"), "timestamp": at_ms, "unit": {"id": "u1"}, "event": "purchase"}))
        .collect()
}

async fn send(server: &Server, key: &str, events: Vec<Value>) -> Value {
    let (status, receipt) = server.send(key, "application/json", json!({ "events": events }).to_string()).await;
    assert_eq!(status, StatusCode::OK, "{receipt:#}");
    receipt
}

fn cli(server: &Server, args: &[&str]) -> (Output, Value) {
    let mut command = liftgate();
    command.args(args).args(["--url", &server.url(""), "--token", TOKEN, "--output", "json"]);
    let output = command.output().unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, answer)
}

fn place<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &["-p", "shop", "-e", "production"]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_believed_is_kept_listed_replayed_and_discarded_and_the_books_add_up() {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    send(&server, &key, events("good", 5, now_ms())).await;
    let receipt = send(&server, &key, events("future", 4, now_ms() + 30 * DAY_MS)).await;
    assert_eq!((&receipt["accepted"], receipt["quarantined"].as_array().map(Vec::len)), (&json!(4), Some(4)));
    send(&server, &key, events("old", 6, now_ms() - 500 * DAY_MS)).await;
    assert_eq!(send(&server, &key, events("old", 6, now_ms() - 500 * DAY_MS)).await["duplicates"], json!(6));
    server.kill_and_restart().await;

    // Pages of the list, oldest first.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{PATH}?limit=3{after}")).await;
        seen.extend(page["events"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let ids: Vec<&str> = seen.iter().map(|it| it["rows"][0]["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["future0", "future1", "future2", "future3", "old0", "old1", "old2", "old3", "old4", "old5"]);
    assert!(seen[0]["detail"].as_str().unwrap().contains("a day ahead"), "{:#}", seen[0]);
    let (output, old) = cli(&server, &place(&["quarantine", "list", "--reason", "timestamp_too_old"]));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(old["events"].as_array().unwrap().len(), 6);

    // Still not believed with their own time; believed with the time of receipt.
    let (_, outcome) = cli(&server, &place(&["quarantine", "replay", "--all"]));
    assert_eq!((&outcome["replayed"], &outcome["still_refused"]), (&json!(0), &json!(10)), "{outcome:#}");
    let body = json!({"reason": "timestamp_in_future", "time": "received_at"});
    let (status, outcome) = server.manage(Method::POST, &format!("{PATH}/replay"), Some(body)).await;
    assert_eq!((status, &outcome["replayed"]), (StatusCode::OK, &json!(4)), "{outcome:#}");
    let id = seen[4]["id"].as_str().unwrap();
    let (output, outcome) = cli(&server, &place(&["quarantine", "discard", id]));
    assert!(output.status.success() && outcome["discarded"] == json!(1), "{output:?}");
    assert_eq!(until_stored(&server, 9).await, json!({"exposures": 0, "metrics": 9, "surplus": 0}));

    let (output, books) = cli(&server, &["doctor", "events"]);
    assert!(output.status.success(), "{output:?}");
    let balance = &books["environments"][0]["balance"];
    let counts = ["accepted", "stored", "pending", "quarantined", "discarded", "lost"];
    assert_eq!(counts.map(|name| balance[name].as_u64().unwrap()), [15, 9, 0, 5, 1, 0], "{books:#}");
    let ledger = server.get("/projects/shop/environments/production/events/ledger").await;
    assert_eq!((&ledger["ledger"]["quarantined"], &ledger["quiet"]), (&json!(5), &json!(true)), "{ledger:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_look_and_only_release_managers_empty_it() {
    let server = Server::start().await;
    let key = shop(&server).await;
    send(&server, &key, events("old", 1, now_ms() - 500 * DAY_MS)).await;
    let (_, viewer) = server
        .manage(Method::POST, "/tokens", Some(json!({"name": "reader", "role": "viewer", "project": "shop"})))
        .await;
    let as_viewer = |method: Method, path: String, body: Value| {
        let request = server.http().request(method, server.url(&format!("/manage/v1{path}")));
        let request = request.bearer_auth(viewer["key"].as_str().unwrap()).json(&body);
        async move { crate::harness::read(request.send().await.unwrap()).await }
    };
    assert_eq!(as_viewer(Method::GET, PATH.to_owned(), Value::Null).await.0, StatusCode::OK);
    for action in ["replay", "discard"] {
        let (status, problem) = as_viewer(Method::POST, format!("{PATH}/{action}"), json!({"all": true})).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("role_missing")), "{problem:#}");
    }
    let (status, _) = server.manage(Method::GET, "/projects/shop/environments/nowhere/quarantine", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for body in [
        json!({}),
        json!({"all": false}),
        json!({"ids": [], "all": true}),
        json!({"ids": ["x"]}),
        json!({"reason": "odd"}),
        json!({"everything": 1}),
    ] {
        for action in ["replay", "discard"] {
            let (status, problem) = server.manage(Method::POST, &format!("{PATH}/{action}"), Some(body.clone())).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem:#}");
            assert!(problem["errors"][0]["field"].is_string(), "{body}: {problem:#}");
        }
    }
    for query in ["?reason=odd", "?after=x", "?limit=many"] {
        let (status, problem) = server.manage(Method::GET, &format!("{PATH}{query}"), None).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {problem:#}");
    }
    let left = server.get(PATH).await;
    assert_eq!(left["events"].as_array().unwrap().len(), 1, "nothing of this took anything out");
    let (output, _) = cli(&server, &place(&["quarantine", "discard"]));
    assert_eq!(output.status.code(), Some(2), "which events must be said: {output:?}");
}
