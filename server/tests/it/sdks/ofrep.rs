//! OpenFeature's three OFREP providers: every kind of value, the same answers as over Flagsmith's protocol, and errors in
//! OpenFeature's words.

use serde_json::{Value, json};

use super::{Shop, answers, assert_alike, assert_case, case, users};

const VALUES: [&str; 2] = ["value", "error"];
/// Providers that evaluate one flag a request.
const SINGLE: [&str; 2] = ["ofrep_node.mjs", "ofrep_python.py"];

/// A flag of every kind.
const KINDS: &str = r#"
{kind: flag, project: shop, key: whole, spec: {kind: number, off_variation: a, variations: [{key: a, value: 3}]}}
---
{kind: flag, project: shop, key: ratio, spec: {kind: number, off_variation: a, variations: [{key: a, value: 3.0}]}}
---
{kind: flag, project: shop, key: config, spec: {kind: json, off_variation: a, variations: [{key: a, value: {sizes: [1, 2.5], deep: {inner: true}}}]}}
---
{kind: flag, project: shop, key: switch, spec: {kind: boolean}}
---
{kind: flag_state, project: shop, environment: production, key: whole, spec: {enabled: true, fallthrough: {variation: a}}}
---
{kind: flag_state, project: shop, environment: production, key: ratio, spec: {enabled: true, fallthrough: {variation: a}}}
---
{kind: flag_state, project: shop, environment: production, key: config, spec: {enabled: true, fallthrough: {variation: a}}}
---
{kind: flag_state, project: shop, environment: production, key: switch, spec: {enabled: true, fallthrough: {variation: "on"}}}
"#;

fn ask(flag: &str, kind: &str, default: Value) -> Value {
    json!({"flag": flag, "type": kind, "default": default})
}

fn task() -> Value {
    json!({
        "users": users(),
        "evaluations": [
            ask("banner", "string", json!("mine")),
            ask("limit", "integer", json!(-1)),
            ask("colour", "string", json!("mine")),
            ask("beta", "boolean", json!(false)),
            ask("dark", "boolean", json!(true)),
        ],
        "divided": ask("colour", "string", json!("mine")),
        "plain": ask("banner", "string", json!("mine")),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn openfeatures_clients_see_what_flagsmiths_see() {
    let shop = Shop::with_flags().await;
    let flags = json!({"flags": ["banner", "limit", "colour", "beta", "dark"], "users": users()});
    let flagsmith = answers(&shop.run("flagsmith_python.py", "identity", flags).await, &["enabled", "value"]);
    // A switch is on or off there, and true or false here.
    let expected = flagsmith.into_iter().map(|((user, flag), answer)| {
        let index = usize::from(flag != "beta" && flag != "dark");
        ((user, flag), vec![answer[index].clone(), Value::Null])
    });
    let expected = expected.collect();
    for (script, mode) in [
        ("ofrep_node.mjs", "values"),
        ("ofrep_node.mjs", "values_by_api_key"),
        ("ofrep_python.py", "values"),
        ("ofrep_python.py", "values_by_api_key"),
        ("ofrep_web.mjs", "values"),
    ] {
        let results = shop.run(script, mode, task()).await;
        assert_alike(&format!("{script} {mode}"), &expected, &answers(&results, &VALUES));
        for result in &results {
            let (flag, reason) = (result["flag"].as_str().unwrap(), result["reason"].as_str().unwrap());
            let right = match flag {
                "dark" => "DISABLED",
                "colour" => "SPLIT",
                _ => reason,
            };
            assert_eq!(reason, right, "{script}: {result:#}");
            assert!(
                result["variant"].is_string() && result["metadata"]["flagSetId"].is_string(),
                "{script}: {result:#}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_value_arrives_as_its_own_type() {
    let shop = Shop::open().await;
    shop.server.apply(KINDS).await;
    let config = json!({"sizes": [1, 2.5], "deep": {"inner": true}});
    let mut task = task();
    task["users"] = json!([{"id": "u1"}]);
    task["evaluations"] = json!([
        ask("whole", "integer", json!(-1)),
        ask("ratio", "float", json!(-1.5)),
        ask("config", "object", json!({})),
        ask("switch", "boolean", json!(false)),
    ]);
    for script in ["ofrep_node.mjs", "ofrep_python.py", "ofrep_web.mjs"] {
        let results = shop.run(script, "values", task.clone()).await;
        for (result, value) in results.iter().zip([json!(3.0), json!(3.0), config.clone(), json!(true)]) {
            assert_eq!(result["error"], Value::Null, "{script}: {result:#}");
            assert_eq!(super::same_number(&result["value"]), value, "{script}: {result:#}");
        }
        assert_eq!(results.len(), 4, "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openfeatures_clients_hear_of_errors_in_its_own_words() {
    let shop = Shop::with_flags().await;
    for script in SINGLE {
        let results = shop.run(script, "errors", task()).await;
        for (name, code, value) in [
            ("unknown_flag", "FLAG_NOT_FOUND", json!("mine")),
            ("unknown_flag_with_slash", "FLAG_NOT_FOUND", json!("mine")),
            ("type_mismatch", "TYPE_MISMATCH", json!(true)),
            ("missing_targeting_key", "TARGETING_KEY_MISSING", json!("mine")),
            ("wrong_key", "GENERAL", json!("mine")),
            ("no_key", "GENERAL", json!("mine")),
        ] {
            assert_case(&results, name, &json!({"error": code, "value": value, "reason": "ERROR"}));
        }
        let unknown = case(&results, "unknown_flag")["message"].as_str().unwrap();
        assert!(unknown.contains("no-such-flag"), "{script}: {unknown}");
    }
    let browser = shop.run("ofrep_web.mjs", "errors", task()).await;
    assert_case(&browser, "unknown_flag", &json!({"error": "FLAG_NOT_FOUND", "value": "mine"}));
    assert_case(&browser, "type_mismatch", &json!({"error": "TYPE_MISMATCH", "value": true}));
    // Nobody has logged in yet: the page still gets what needs no user.
    assert_case(&browser, "no_targeting_key_needed", &json!({"value": "hello"}));
    for name in ["wrong_key", "no_key"] {
        let fatal = json!({"status": 401, "provider": "FATAL", "error": "PROVIDER_FATAL", "value": "mine"});
        assert_case(&browser, name, &fatal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_its_answer_by_the_etag_until_the_answer_changes() {
    let shop = Shop::with_flags().await;
    let mut task = task();
    // The first is asked for twice, then with the traits of the second, then as the second.
    task["users"] = json!([{"id": "u1", "traits": {"plan": "free"}}, {"id": "u2", "traits": {"plan": "pro"}}]);
    task["evaluations"] = json!([ask("limit", "integer", json!(-1))]);
    let results = shop.run("ofrep_web.mjs", "etag", task).await;
    assert_eq!(results[0]["value"], json!(10), "an answer for other attributes was taken for the same");
    let statuses: Vec<&Value> = results[1..].iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [&json!(200), &json!(304), &json!(200), &json!(200)], "{results:#?}");
    let tag = |index: usize, name: &str| results[index][name].clone();
    assert!(tag(1, "etag").is_string(), "{results:#?}");
    assert_eq!((tag(1, "if_none_match"), tag(2, "if_none_match")), (Value::Null, tag(1, "etag")));
    assert_eq!(tag(3, "if_none_match"), tag(1, "etag"), "the provider asks so; the server must not believe it");
    assert_ne!(tag(3, "etag"), tag(1, "etag"));
}
