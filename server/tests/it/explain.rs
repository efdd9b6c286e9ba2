//! Evaluations explained, and the ruleset for evaluation in one's own process: both say what the server answers.

use liftgate_evaluator::{Context, Ruleset};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, liftgate, read, shop};

const FLAGS: &str = r#"
{kind: segment, project: shop, key: beta, spec: {included: [u1]}}
---
{kind: flag, project: shop, key: base, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: base, spec: {enabled: true, fallthrough: {variation: "on"}}}
---
{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true,
  prerequisites: [{flag: base, variation: "on"}],
  rules: [{id: dach, when: {attribute: country, op: in, value: [DE]}, serve: {variation: "on"}},
          {id: beta, when: {segment: beta}, serve: {ramp: {treatment: "on", control: "off", share: 25%}}}]}}
"#;

const EXPLAIN: &str = "/projects/shop/environments/production/flags/checkout/explain";

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_is_explained_over_http_and_on_the_command_line() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(FLAGS).await;
    for (country, rule, reason) in [("FR", "beta", "SPLIT"), ("DE", "dach", "TARGETING_MATCH")] {
        let context = json!({"targetingKey": "u1", "country": country});
        let (status, told) = server.manage(Method::POST, EXPLAIN, Some(json!({"context": context}))).await;
        assert_eq!(status, StatusCode::OK, "{told:#}");
        assert_eq!(told["evaluation"]["rule"], json!(rule), "{told:#}");
        assert_eq!(told["evaluation"]["reason"], json!(reason));
        let text = told["text"].as_str().unwrap();
        assert!(text.contains("prerequisite `base` serves `on`, needed is `on`: met"), "{text}");
        assert!(text.contains(&format!("rule `{rule}`: met")), "{text}");
        // It says what evaluation answers.
        let request = server.http().post(server.url("/ofrep/v1/evaluate/flags/checkout")).header("x-api-key", &key);
        let (_, answer) = read(request.json(&json!({"context": context})).send().await.unwrap()).await;
        assert_eq!(told["evaluation"]["variation"], answer["variant"], "{told:#}");

        let run = |more: &[&str]| {
            let context = context.to_string();
            let mut command = liftgate();
            command.args(["evaluate", "checkout", "-p", "shop", "-e", "production", "--context", &context]);
            let output = command.args(["--url", &server.url(""), "--token", TOKEN]).args(more).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        // The first two lines say when.
        let steps = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(steps(run(&["--explain"]).trim_end()), steps(text.trim_end()));
        assert_eq!(run(&[]), format!("{}: {} ({reason})\n", answer["variant"].as_str().unwrap(), answer["value"]));
    }
    let (status, refused) = server.manage(Method::POST, EXPLAIN, Some(json!({"context": {"targetingKey": 5}}))).await;
    assert_eq!(
        (status, &refused["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("context.targetingKey"))
    );
    let (status, _) = server.manage(Method::POST, &EXPLAIN.replace("checkout", "none"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ruleset_evaluates_elsewhere_as_it_does_here() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(FLAGS).await;
    let path = "/projects/shop/environments/production/keys";
    let (_, made) = server.manage(Method::POST, path, Some(json!({"name": "backend", "kind": "server"}))).await;
    let secret = made["key"].as_str().unwrap().to_owned();
    let pull = |key: &str| server.http().get(server.url("/evaluation/v1/ruleset")).header("x-api-key", key);

    let (status, refused) = read(pull(&key).send().await.unwrap()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("server_key_needed")));
    let answer = pull(&secret).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let etag = answer.headers()["etag"].clone();
    let ruleset = Ruleset::parse(&answer.text().await.unwrap()).unwrap();
    assert!(ruleset.problems().is_empty(), "{:?}", ruleset.problems());
    for user in 0..50 {
        let unit = format!("u{user}");
        let request = server.http().post(server.url("/ofrep/v1/evaluate/flags")).header("x-api-key", &key);
        let (_, bulk) = read(request.json(&json!({"context": {"targetingKey": unit}})).send().await.unwrap()).await;
        let context = Context::user(unit.as_str());
        for (theirs, ours) in bulk["flags"].as_array().unwrap().iter().zip(ruleset.evaluate_all(&context)) {
            assert_eq!((&theirs["key"], &theirs["variant"]), (&json!(ours.flag), &json!(ours.variation)), "{unit}");
        }
    }
    let again = pull(&secret).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    server.apply("{kind: segment, project: shop, key: beta, spec: {included: [u2]}}").await;
    let changed = pull(&secret).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    let changed: Value = changed.json().await.unwrap();
    assert_eq!(changed["segments"][0]["included"], json!(["u2"]));
}
