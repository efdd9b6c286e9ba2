//! `GET /flags/evaluate?userId=` through all four steps of its waterfall, and what callers get wrong.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, read, shop};

const PATH: &str = "/flags/evaluate";
const DECLARED: &str = r#"
{kind: segment, project: shop, key: staff, spec: {included: [anna, bert]}}
---
{kind: flag, project: shop, key: killed, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: killed, spec: {enabled: false, targets: [{variation: on, units: [anna]}]}}
---
{kind: flag, project: shop, key: beta, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: beta, spec: {enabled: true, targets: [{variation: 'off', units: [bert]}], rules: [{id: staff, when: {segment: staff}, serve: {variation: on}}]}}
---
{kind: flag, project: shop, key: nobody, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: nobody, spec: {enabled: true, rules: [{id: none, serve: {split: {weights: {off: 100}}}}]}}
---
{kind: flag, project: shop, key: half, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: half, spec: {enabled: true, fallthrough: {split: {weights: {on: 50, off: 50}}}}}
---
{kind: flag, project: shop, key: color, spec: {kind: string, variations: [{key: red, value: red}], off_variation: red}}
---
{kind: flag, project: shop, key: tree, spec: {kind: json, variations: [{key: yes, value: true}], off_variation: yes}}
"#;

async fn get(server: &Server, header: (&'static str, String), query: &str) -> (StatusCode, Value) {
    let request = server.http().get(server.url(&format!("{PATH}{query}"))).header(header.0, header.1);
    read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn boolean_flags_go_through_all_four_steps() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(DECLARED).await;
    for (user, beta) in [("anna", true), ("bert", false), ("carl", false)] {
        for header in [("x-api-key", key.clone()), ("authorization", format!("Bearer {key}"))] {
            let (status, mut answer) = get(&server, header, &format!("?userId={user}")).await;
            assert_eq!(status, StatusCode::OK, "{answer:#}");
            let half = answer.as_object_mut().unwrap().remove("half").unwrap();
            assert_eq!(half, server.evaluate(&key, "half", user).await.1["value"], "{user}");
            assert_eq!(answer, json!({"beta": beta, "checkout": false, "killed": false, "nobody": false}), "{user}");
        }
    }
    let (status, escaped) = get(&server, ("x-api-key", key.clone()), "?userId=%C3%BC%20%26&more=1").await;
    assert_eq!((status, &escaped["half"]), (StatusCode::OK, &server.evaluate(&key, "half", "ü &").await.1["value"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let with = |key: &str| ("x-api-key", key.to_owned());
    let long = format!("?userId={}", "u".repeat(1_025));
    for (header, query, status, code) in [
        (with(&key), "", StatusCode::BAD_REQUEST, "user_id_missing"),
        (with(&key), "?userId=", StatusCode::BAD_REQUEST, "user_id_missing"),
        (with(&key), "?userid=anna", StatusCode::BAD_REQUEST, "user_id_missing"),
        (with(&key), "?userId=a&userId=b", StatusCode::BAD_REQUEST, "user_id_invalid"),
        (with(&key), &long, StatusCode::BAD_REQUEST, "user_id_invalid"),
        (("x-nothing", String::new()), "?userId=anna", StatusCode::UNAUTHORIZED, "key_missing"),
        (with("wrong"), "?userId=anna", StatusCode::UNAUTHORIZED, "key_unknown"),
        (with(TOKEN), "?userId=anna", StatusCode::UNAUTHORIZED, "key_unknown"),
    ] {
        let (got, problem) = get(&server, header, query).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{query}: {problem:#}");
        assert!(problem["next"].as_str().is_some_and(|next| !next.is_empty()), "{query}: {problem:#}");
        if code.starts_with("user") {
            assert!(problem["detail"].as_str().unwrap().contains("`userId`"), "{problem:#}");
        }
    }
}
