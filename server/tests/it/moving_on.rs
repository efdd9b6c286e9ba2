//! A node that followed every change serves what one that starts anew serves, on every protocol.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Server;

const DECLARED: &str = r#"
kind: project
key: shop
---
kind: environment
project: shop
key: live
---
kind: segment
project: shop
key: staff
spec: {name: Staff, included: [u1]}
---
{kind: flag, project: shop, key: a, spec: {kind: boolean}}
---
{kind: flag, project: shop, key: b, spec: {kind: boolean, dialect: flagsmith}}
---
{kind: flag, project: shop, key: c, spec: {kind: string, variations: [{key: red, value: r}, {key: blue, value: b}], off_variation: red}}
---
{kind: flag, project: shop, key: e, spec: {kind: string, variations: [{key: x, value: x}, {key: y, value: y}], off_variation: x}}
---
{kind: flag, project: shop, key: g, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: live, key: g, spec: {enabled: false, prerequisites: [{flag: e, variation: y}]}}
---
{kind: flag_state, project: shop, environment: live, key: a, spec: {enabled: true, fallthrough: {variation: on}}}
---
{kind: flag_state, project: shop, environment: live, key: b, spec: {enabled: true}}
---
{kind: flag_state, project: shop, environment: live, key: c, spec: {enabled: true, rules: [{id: r, when: {segment: staff}, serve: {variation: blue}}]}}
"#;

/// Everything that the environment serves, but for times and tags.
async fn served(server: &Server, client: &str, secret: &str) -> Value {
    let ask = async |method: Method, path: &str, key: &str, body: Value| {
        let request = server.http().request(method, server.url(path)).header("x-environment-key", key).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap()
    };
    let mut all = Vec::new();
    for user in ["u1", "u2", "u3"] {
        let context = json!({"context": {"targetingKey": user}});
        all.push(ask(Method::POST, "/ofrep/v1/evaluate/flags", client, context).await);
        let identity = json!({"identifier": user, "traits": []});
        all.push(ask(Method::POST, "/api/v1/identities/", client, identity).await);
    }
    all.push(ask(Method::GET, "/api/v1/flags/", client, json!({})).await);
    all.push(ask(Method::GET, "/evaluation/v1/ruleset", secret, json!({})).await);
    Value::from(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_follows_changes_serves_what_one_that_starts_anew_does() {
    let mut server = Server::start().await;
    let applied = server.apply(DECLARED).await;
    let created = applied["results"].as_array().unwrap();
    let client = created.iter().find_map(|it| it["client_key"].as_str()).unwrap().to_owned();
    let keys = "/projects/shop/environments/live/keys";
    let (_, made) = server.manage(Method::POST, keys, Some(json!({"name": "s", "kind": "server"}))).await;
    let secret = made["key"].as_str().unwrap().to_owned();
    let state = |key: &str, spec: &str| {
        format!("{{kind: flag_state, project: shop, environment: live, key: {key}, spec: {{enabled: true, {spec}}}}}")
    };
    let edits = [
        vec![
            state("a", "fallthrough: {split: {weights: {on: 30, off: 70}}}"),
            "{kind: flag, project: shop, key: b, spec: {kind: boolean, dialect: flagsmith, name: Bee}}".to_owned(),
            state("c", "prerequisites: [{flag: a, variation: on}], fallthrough: {variation: blue}"),
        ],
        vec![
            "{kind: segment, project: shop, key: staff, spec: {name: Crew, included: [u2, u3]}}".to_owned(),
            state("a", "rules: [{id: r, when: {segment: staff}, serve: {variation: on}}]"),
            "{kind: flag, project: shop, key: d, spec: {kind: boolean}}".to_owned(),
            state("b", "targets: [{variation: on, units: [u1]}]"),
            "{kind: flag, project: shop, key: e, spec: {kind: string, variations: [{key: x, value: x}], off_variation: x}}".to_owned(),
        ],
        vec![
            "DELETE /projects/shop/flags/d".to_owned(),
            state("b", "fallthrough: {variation: on}"),
            "{kind: flag, project: shop, key: d, spec: {kind: boolean, description: back again}}".to_owned(),
            "{kind: environment, project: shop, key: live, spec: {name: Live}}".to_owned(),
            state("d", "fallthrough: {variation: on}"),
            state("d", "fallthrough: {variation: off}"),
        ],
    ];
    let mut seen = Vec::new();
    for edits in edits {
        for edit in edits {
            match edit.strip_prefix("DELETE ") {
                Some(path) => {
                    let (status, answer) = server.manage(Method::DELETE, path, None).await;
                    assert!(status.is_success(), "{answer:#}");
                }
                None => drop(server.apply(&edit).await),
            }
        }
        let followed = served(&server, &client, &secret).await;
        server.kill_and_restart().await;
        let anew = served(&server, &client, &secret).await;
        assert_eq!(followed, anew);
        assert!(!seen.contains(&anew));
        seen.push(anew);
    }
}
