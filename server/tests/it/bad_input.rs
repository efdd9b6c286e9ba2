//! What people and programs get wrong when they manage and evaluate: a clear error that names the field and the next
//! step, and nothing half-applied.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, read, shop};

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_open_only_what_they_are_for() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let state = "/manage/v1/projects/shop/environments/production/flags/checkout";
    let call = |token: Option<String>, method: Method, path: &'static str| {
        let mut request = server.http().request(method, server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async move { read(request.json(&json!({"enabled": true})).send().await.unwrap()).await }
    };
    let (status, problem) = call(None, Method::GET, state).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("token_missing")), "{problem:#}");
    assert!(problem["next"].as_str().unwrap().contains("Authorization: Bearer"));
    let (status, problem) = call(Some(key.clone()), Method::GET, state).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("token_needed")), "{problem:#}");
    let (status, problem) = call(Some("wrong".to_owned()), Method::GET, state).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("token_unknown")), "{problem:#}");

    let new = json!({"name": "reader", "role": "viewer", "project": "shop"});
    let (status, reader) = server.manage(Method::POST, "/tokens", Some(new)).await;
    assert_eq!(status, StatusCode::CREATED, "{reader:#}");
    let reader = reader["key"].as_str().unwrap().to_owned();
    let (status, problem) = call(Some(reader.clone()), Method::PUT, state).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("role_missing")), "{problem:#}");
    assert!(problem["detail"].as_str().unwrap().contains("viewer"), "{problem:#}");
    server.apply("{kind: project, key: other}").await;
    let (status, problem) = call(Some(reader), Method::GET, "/manage/v1/projects/other").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{problem:#}");

    // No key, an unknown key, and a management token do not evaluate or send.
    let evaluate = |name: &'static str, value: String| {
        let request = server.http().post(server.url("/ofrep/v1/evaluate/flags/checkout")).header(name, value);
        async move { read(request.json(&json!({"context": {"targetingKey": "u"}})).send().await.unwrap()).await }
    };
    assert_eq!(evaluate("x-nothing", String::new()).await.1["code"], json!("key_missing"));
    assert_eq!(evaluate("x-api-key", "wrong".to_owned()).await.1["code"], json!("key_unknown"));
    assert_eq!(evaluate("x-api-key", TOKEN.to_owned()).await.1["code"], json!("key_unknown"));

    // A revoked key opens nothing, at once on this node.
    let keys = "/projects/shop/environments/production/keys";
    let (_, server_key) = server.manage(Method::POST, keys, Some(json!({"name": "backend", "kind": "server"}))).await;
    let secret = server_key["key"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("ser."));
    assert_eq!(evaluate("x-api-key", secret.clone()).await.0, StatusCode::OK);
    let (status, _) =
        server.manage(Method::DELETE, &format!("{keys}/{}", server_key["id"].as_str().unwrap()), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(evaluate("x-api-key", secret.clone()).await.1["code"], json!("key_unknown"));
    let listed = server.get(keys).await;
    assert!(!listed.to_string().contains(&secret), "a secret was listed");
    assert!(!server.log().contains(&secret) && !server.log().contains(TOKEN), "a secret was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_environment_sees_only_its_own_flags() {
    let server = Server::start().await;
    let production = shop(&server).await;
    server.apply("{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, fallthrough: {variation: on}}}").await;
    let applied = server.apply("{kind: project, key: bank}\n---\n{kind: environment, project: bank, key: live}").await;
    let bank =
        applied["results"].as_array().unwrap().iter().find_map(|it| it["client_key"].as_str()).unwrap().to_owned();
    let (status, answer) = server.evaluate(&production, "checkout", "u1").await;
    assert_eq!((status, &answer["value"]), (StatusCode::OK, &json!(true)), "{answer:#}");
    let (status, answer) = server.evaluate(&bank, "checkout", "u1").await;
    assert_eq!((status, &answer["errorCode"]), (StatusCode::NOT_FOUND, &json!("FLAG_NOT_FOUND")), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluation_errors_are_the_protocols_own() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply("{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: half, serve: {split: {weights: {on: 50, off: 50}}}}]}}").await;
    let post = |flag: &'static str, body: &'static str| {
        let request =
            server.http().post(server.url(&format!("/ofrep/v1/evaluate/flags/{flag}"))).header("x-api-key", &key);
        async move { read(request.body(body).send().await.unwrap()).await }
    };
    let rows = [
        ("nothing", r#"{"context": {"targetingKey": "u"}}"#, StatusCode::NOT_FOUND, "FLAG_NOT_FOUND"),
        ("checkout", "{", StatusCode::BAD_REQUEST, "PARSE_ERROR"),
        ("checkout", "[]", StatusCode::BAD_REQUEST, "INVALID_CONTEXT"),
        ("checkout", "{}", StatusCode::BAD_REQUEST, "TARGETING_KEY_MISSING"),
        ("checkout", r#"{"context": {"targetingKey": 5}}"#, StatusCode::BAD_REQUEST, "INVALID_CONTEXT"),
        ("checkout", r#"{"context": {}}"#, StatusCode::BAD_REQUEST, "TARGETING_KEY_MISSING"),
    ];
    for (flag, body, status, code) in rows {
        let (got, answer) = post(flag, body).await;
        assert_eq!((got, &answer["errorCode"]), (status, &json!(code)), "{body}: {answer:#}");
        assert!(answer["errorDetails"].as_str().is_some_and(|text| text.len() > 10), "{body}: {answer:#}");
    }
}

/// A declaration on top of [`SHOP`], and the field and words that its refusal must carry.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "falling stages",
        "{kind: policy, project: shop, key: p, spec: {stages: [{share: 50%, bake: 1s, min_exposed: 10}, {share: 10%, bake: 1s, min_exposed: 10}, {share: 100%, bake: 1s}], guardrails: {alpha: 0.05, metrics: [{metric: errors, harm: increase, margin: 10%}]}}}",
        "stages[1].share",
        "rise",
    ),
    (
        "an unknown metric",
        "{kind: policy, project: shop, key: p, spec: {stages: [{share: 50%, bake: 1s, min_exposed: 10}, {share: 100%, bake: 1s}], guardrails: {alpha: 0.05, metrics: [{metric: latency, harm: increase, margin: 10%}]}}}",
        "guardrails.metrics[0].metric",
        "latency",
    ),
    (
        "an alpha of 1",
        "{kind: policy, project: shop, key: p, spec: {stages: [{share: 50%, bake: 1s, min_exposed: 10}, {share: 100%, bake: 1s}], guardrails: {alpha: 1, metrics: [{metric: errors, harm: increase, margin: 10%}]}}}",
        "guardrails.alpha",
        "",
    ),
    (
        "an unknown policy field",
        "{kind: policy, project: shop, key: p, spec: {stages: [], steps: []}}",
        "steps",
        "unknown field",
    ),
    (
        "ranges that do not sum",
        "{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: r, serve: {split: {ranges: [{variation: on, start: 0, end: 40000}, {variation: off, start: 40000, end: 90000}]}}}]}}",
        "ranges",
        "",
    ),
    (
        "an unknown variation",
        "{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, fallthrough: {variation: maybe}}}",
        "fallthrough",
        "maybe",
    ),
    ("a segment of itself", "{kind: segment, project: shop, key: loop, spec: {when: {segment: loop}}}", "when", "loop"),
    (
        "an unknown segment",
        "{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: r, when: {segment: nobody}, serve: {variation: on}}]}}",
        "rules[0].when",
        "nobody",
    ),
    (
        "a run that nobody gave out",
        "{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: r, serve: {ramp: {treatment: on, control: off, share: 5%, run: {number: 9, kind: rollout, key: x, stage: 0}}}}]}}",
        "rules[0].serve.run",
        "server",
    ),
    (
        "a wrong value for its kind",
        "{kind: flag, project: shop, key: n, spec: {kind: number, variations: [{key: a, value: text}], off_variation: a}}",
        "variations[0].value",
        "",
    ),
    (
        "a window of nothing",
        "{kind: metric, project: shop, key: m, spec: {kind: proportion, event: e, window: 0s, direction: increase}}",
        "window",
        "longer",
    ),
    (
        "a window without unit",
        "{kind: metric, project: shop, key: m, spec: {kind: proportion, event: e, window: '30', direction: increase}}",
        "window",
        "length of time",
    ),
    (
        "an arm that is no variation",
        "{kind: experiment, project: shop, environment: production, key: e, spec: {flag: checkout, arms: {on: 50, maybe: 50}, control: on, success: [conversion]}}",
        "arms.maybe",
        "variation",
    ),
    (
        "an endpoint on a private address",
        "{kind: endpoint, project: shop, key: h, spec: {url: 'https://10.0.0.1/hook'}}",
        "url",
        "",
    ),
    ("an unknown kind", "{kind: flagg, project: shop, key: n}", "kind", "must be one of"),
    ("a flag without project", "{kind: flag, key: n}", "project", "needed"),
    ("a key with capitals", "{kind: flag, project: shop, key: New}", "key", ""),
    (
        "a rollout without policy",
        "{kind: rollout, project: shop, environment: production, key: r, spec: {flag: checkout}}",
        "spec",
        "policy",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_declaration_names_its_field_and_applies_nothing() {
    let server = Server::start().await;
    shop(&server).await;
    let before = server.get("/changes?limit=1000").await;
    for (what, bad, field, words) in REFUSED {
        let good = "{kind: segment, project: shop, key: beta, spec: {included: [u1]}}";
        let (status, problem) = server.try_apply(&format!("{good}\n---\n{bad}")).await;
        assert!(status.is_client_error(), "{what}: {status} {problem:#}");
        let named: Vec<&Value> = problem["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{what}: {problem:#}"))
            .iter()
            .filter(|error| error["field"].as_str().unwrap().contains(field))
            .collect();
        assert!(!named.is_empty(), "{what} must name `{field}`: {problem:#}");
        let said = named.iter().any(|error| error["message"].as_str().unwrap().contains(words));
        assert!(said, "{what} must say `{words}`: {problem:#}");
    }
    assert_eq!(server.get("/changes?limit=1000").await, before, "a refused request left a change behind");
    assert_eq!(server.manage(Method::GET, "/projects/shop/segments/beta", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_because_it_is_wrong_is_told_as_wrong() {
    let server = Server::start().await;
    shop(&server).await;
    let documents = "{kind: flag, project: shop, key: c, spec: {kind: string, variations: 5}}\n---\n\
        {kind: flag_state, project: shop, environment: production, key: c, spec: {enabled: true}}\n---\n\
        {kind: flag, project: shop, key: d, spec: {kind: fruit}}";
    let (status, problem) = server.try_apply(documents).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["[0] flag `c`: spec.variations", "[2] flag `d`: spec.kind"], "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_too_large_or_of_the_wrong_type_are_refused() {
    let server = Server::start().await;
    shop(&server).await;
    let put = |body: String| {
        let request = server.http().put(server.url("/manage/v1/projects/shop/flags/x")).bearer_auth(TOKEN).body(body);
        async move { read(request.send().await.unwrap()).await }
    };
    let (status, problem) = put("{".to_owned()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("malformed_json")), "{problem:#}");
    let (status, problem) = put(format!("{{\"name\": \"{}\"}}", "x".repeat(5 * 1024 * 1024))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")), "{problem:#}");
    let (status, problem) = put(r#"{"kind": "boolean", "tags": "one"}"#.to_owned()).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("tags")),
        "{problem:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_compare_revisions_and_running_rollouts_own_their_rule() {
    let server = Server::start().await;
    shop(&server).await;
    let flag = |revision: &'static str, body: Value| {
        let request = server
            .http()
            .put(server.url("/manage/v1/projects/shop/flags/checkout"))
            .bearer_auth(TOKEN)
            .header("if-match", revision);
        async move { read(request.json(&body).send().await.unwrap()).await }
    };
    let (status, answer) = flag("\"1\"", json!({"kind": "boolean", "name": "Checkout"})).await;
    assert_eq!((status, &answer["resource"]["revision"]), (StatusCode::OK, &json!(2)), "{answer:#}");
    let (status, problem) = flag("\"1\"", json!({"kind": "boolean", "name": "Other"})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{problem:#}");

    server
        .apply("{kind: rollout, project: shop, environment: production, key: r, spec: {flag: checkout, policy: quick}}")
        .await;
    let state_path = "/projects/shop/environments/production/flags/checkout";
    let mut state = server.get(state_path).await["body"].clone();
    state["rules"][0]["serve"]["ramp"]["share"] = json!("90%");
    let (status, problem) = server.manage(Method::PUT, state_path, Some(state)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("owned_by_rollout")), "{problem:#}");

    // Applying a state without the rule keeps the rule; disabling is always allowed and pauses the rollout.
    let (status, answer) = server.manage(Method::PUT, state_path, Some(json!({"enabled": false}))).await;
    assert_eq!(status, StatusCode::OK, "{answer:#}");
    assert_eq!(answer["resource"]["body"]["rules"].as_array().map(Vec::len), Some(1), "{answer:#}");
    let rollout = server.get("/projects/shop/environments/production/rollouts/r").await;
    assert_eq!(rollout["status"], json!("paused"), "{rollout:#}");
    let again =
        "{kind: rollout, project: shop, environment: production, key: r2, spec: {flag: checkout, policy: quick}}";
    let (status, problem) = server.try_apply(again).await;
    assert!(status.is_client_error(), "a second rollout on one flag must be refused: {problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_hash_opens_nothing_even_while_its_key_is_in_use() {
    let server = Server::start().await;
    shop(&server).await;
    let hash = liftgate_domain::credential::lookup_of_secret(TOKEN);
    for _ in 0..3 {
        server.get("/projects").await;
        let answer = server.http().get(server.url("/manage/v1/projects")).bearer_auth(&hash).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_neither_archived_nor_taken_over() {
    let server = Server::start().await;
    shop(&server).await;
    server.apply("{kind: experiment, project: shop, environment: production, key: ab, spec: {flag: checkout, arms: {on: 50, off: 50}, control: 'off', success: [conversion], start: true}}").await;
    for path in [
        "/projects/shop/environments/production/experiments/ab",
        "/projects/shop/environments/production/flags/checkout",
        "/projects/shop/flags/checkout",
        "/projects/shop/environments/production",
        "/projects/shop",
    ] {
        let (status, problem) = server.manage(Method::DELETE, path, None).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::CONFLICT, &json!("experiment_running")),
            "{path}: {problem:#}"
        );
    }
    let rollout =
        "{kind: rollout, project: shop, environment: production, key: r, spec: {flag: checkout, policy: quick}}";
    let (status, problem) = server.try_apply(rollout).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem:#}");
    let (status, _) =
        server.manage(Method::POST, "/projects/shop/environments/production/experiments/ab/stop", None).await;
    assert_eq!(status, StatusCode::OK);
    server.apply(rollout).await;
    let again = "{kind: experiment, project: shop, environment: production, key: ab2, spec: {flag: checkout, arms: {on: 50, off: 50}, control: 'off', success: [conversion], start: true}}";
    let (status, answer) = server.try_apply(again).await;
    assert_eq!((status, &answer["results"][1]["action"]), (StatusCode::OK, &json!("failed")), "{answer:#}");
    assert!(answer["results"][1]["error"].as_str().unwrap().contains("rollout `r`"), "{answer:#}");

    server.apply("{kind: project, key: empty}").await;
    let (status, problem) = server.manage(Method::DELETE, "/projects/empty", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "another project's rollout is no obstacle: {problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_in_use_stays_and_secrets_of_endpoints_are_never_shown() {
    let server = Server::start_with(&[("LIFTGATE_WEBHOOKS_ALLOW", "127.0.0.1")]).await;
    shop(&server).await;
    server.apply("{kind: segment, project: shop, key: beta, spec: {included: [u1]}}\n---\n{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: r, when: {segment: beta}, serve: {variation: on}}]}}").await;
    let (status, problem) = server.manage(Method::DELETE, "/projects/shop/segments/beta", None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("segment_in_use")), "{problem:#}");

    let made = server.apply("{kind: endpoint, project: shop, key: hook, spec: {url: 'http://127.0.0.1:9/x'}}\n---\n{kind: endpoint, project: shop, key: chat, spec: {target: slack, url: 'http://127.0.0.1:9/services/secret'}}").await;
    let secret = made["results"][0]["secret"].as_str().or(made["results"][1]["secret"].as_str()).unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    for path in ["/projects/shop/endpoints", "/projects/shop/endpoints/chat", "/changes?limit=200"] {
        let shown = server.get(path).await.to_string();
        assert!(!shown.contains(&secret) && !shown.contains("services/secret"), "{path} shows a secret");
    }
    // What was shown masked and comes back masked keeps the secret.
    let shown = server.get("/projects/shop/endpoints/chat").await["body"].clone();
    let (status, answer) = server.manage(Method::PUT, "/projects/shop/endpoints/chat", Some(shown)).await;
    assert_eq!((status, &answer["action"]), (StatusCode::OK, &json!("unchanged")), "{answer:#}");
}
