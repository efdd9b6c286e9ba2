//! Flagsmith's three SDKs: they agree with each other, remotely and locally, and meet errors as they do elsewhere.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Shop, answers, assert_alike, assert_case, users};
use crate::harness::read;

const FLAGS: [&str; 6] = ["banner", "limit", "colour", "beta", "dark", "hidden"];
/// What the Python and the browser client tell of a flag. Node's client knows neither variants nor remote reasons.
const EVERYTHING: [&str; 4] = ["enabled", "value", "variant", "reason"];
const VALUES: [&str; 2] = ["enabled", "value"];

fn task() -> Value {
    json!({"flags": FLAGS, "users": users()})
}

#[tokio::test(flavor = "multi_thread")]
async fn flagsmiths_clients_agree_on_every_user_remotely_and_locally() {
    let shop = Shop::with_flags().await;
    let python = shop.run("flagsmith_python.py", "identity", task()).await;
    let (everything, values) = (answers(&python, &EVERYTHING), answers(&python, &VALUES));
    assert_eq!(everything.len(), users().len() * FLAGS.len());
    for (script, mode, fields) in [
        ("flagsmith_python.py", "local", &EVERYTHING[..]),
        ("flagsmith_js.mjs", "identity", &EVERYTHING[..]),
        ("flagsmith_node.mjs", "identity", &VALUES[..]),
        ("flagsmith_node.mjs", "local", &VALUES[..]),
    ] {
        let found = answers(&shop.run(script, mode, task()).await, fields);
        let expected = if fields.len() == EVERYTHING.len() { &everything } else { &values };
        assert_alike(&format!("{script} {mode}"), expected, &found);
    }

    // And they are right.
    let value = |user: &str, flag: &str| values[&(Some(user.to_owned()), flag.to_owned())].clone();
    for (user, limit) in [
        ("pro", 10.0),
        ("free", 5.0),
        ("regular", 10.0),
        ("tester", 10.0),
        ("passing", 10.0),
        ("vip", 99.0),
        ("u0", 5.0),
    ] {
        assert_eq!(value(user, "limit"), [json!(true), json!(limit)], "{user}");
        assert_eq!(value(user, "banner"), [json!(true), json!("hello")], "{user}");
        assert_eq!(value(user, "beta")[0], json!(true), "{user}");
        assert_eq!(value(user, "dark")[0], json!(false), "{user}");
        assert_eq!(value(user, "hidden"), [json!(false), json!("soon")], "{user}");
    }
    for colour in ["slate", "navy", "lime"] {
        let served = values.iter().any(|((_, flag), found)| flag == "colour" && found[1] == json!(colour));
        assert!(served, "nobody sees {colour}: {values:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flagsmiths_clients_agree_on_the_environment() {
    let shop = Shop::with_flags().await;
    let python = shop.run("flagsmith_python.py", "environment", task()).await;
    assert_eq!(python.len(), FLAGS.len());
    for (script, mode, fields) in [
        ("flagsmith_python.py", "local_environment", &EVERYTHING[..]),
        ("flagsmith_js.mjs", "environment", &EVERYTHING[..]),
        ("flagsmith_node.mjs", "environment", &VALUES[..]),
        ("flagsmith_node.mjs", "local_environment", &VALUES[..]),
    ] {
        let found = answers(&shop.run(script, mode, task()).await, fields);
        assert_alike(&format!("{script} {mode}"), &answers(&python, fields), &found);
    }
    let colour = &answers(&python, &VALUES)[&(None, "colour".to_owned())];
    assert_eq!(colour, &[json!(true), json!("slate")], "without a user nobody is divided");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browsers_client_gets_its_traits_back_as_it_sent_them() {
    let shop = Shop::with_flags().await;
    let results = shop.run("flagsmith_js.mjs", "identity", task()).await;
    for user in users() {
        let echo = results.iter().find(|it| it["user"] == user["id"] && it["traits"].is_object()).unwrap();
        let traits = user.get("traits").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(echo["traits"], traits, "{user:#}");
        let transient = user.get("transient_traits").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(echo["transient_traits"], transient, "{user:#}");
        let method = if traits == json!({}) { "GET" } else { "POST" };
        assert_eq!(echo["method"], json!(method), "{user:#}");
    }
    // Nobody has identified this visitor yet.
    let visitor = shop.run("flagsmith_js.mjs", "anonymous", task()).await;
    let limit = visitor.iter().find(|it| it["flag"] == json!("limit")).unwrap();
    assert_eq!(limit["value"], json!(10), "{visitor:#?}");
    assert_eq!(visitor.last().unwrap()["traits"], users()[0]["traits"], "{visitor:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flagsmiths_clients_report_how_often_flags_are_used() {
    let shop = Shop::with_flags().await;
    for script in ["flagsmith_python.py", "flagsmith_node.mjs", "flagsmith_js.mjs"] {
        let results = shop.run(script, "analytics", task()).await;
        let sent: Value = FLAGS.iter().map(|flag| ((*flag).to_owned(), json!(3))).collect();
        assert_eq!(results, [json!({"path": "/api/v1/analytics/flags/", "status": 200, "sent": sent})], "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flagsmiths_clients_meet_wrong_keys_and_unknown_flags_as_elsewhere() {
    let shop = Shop::with_flags().await;
    let python = shop.run("flagsmith_python.py", "errors", task()).await;
    let node = shop.run("flagsmith_node.mjs", "errors", task()).await;
    let browser = shop.run("flagsmith_js.mjs", "errors", task()).await;
    for (name, error) in [
        ("wrong_key", "FlagsmithAPIError"),
        ("unknown_flag", "FlagsmithFeatureDoesNotExistError"),
        ("local_with_client_key", "ValueError"),
        ("local_with_wrong_key", "FlagsmithAPIError"),
    ] {
        assert_case(&python, name, &json!({"error": error}));
    }
    for name in ["wrong_key", "local_with_wrong_key"] {
        assert_case(&node, name, &json!({"error": "FlagsmithAPIError"}));
        let message = super::case(&node, name)["message"].to_string();
        assert!(message.contains("401"), "{name}: {message}");
    }
    assert_case(&node, "unknown_flag", &json!({"enabled": false, "value": null, "is_default": true}));
    for results in [&python, &node] {
        let default = |flag: &str| json!({"enabled": true, "value": format!("default of {flag}"), "is_default": true});
        assert_case(results, "wrong_key_default", &default("banner"));
        assert_case(results, "unknown_flag_default", &default("no-such-flag"));
    }
    assert_case(&browser, "wrong_key", &json!({"error": "Error", "status": 401}));
    assert_case(&browser, "wrong_key_default", &json!({"enabled": true, "value": "default"}));
    assert_case(&browser, "unknown_flag", &json!({"enabled": false, "value": null}));
    assert_case(&browser, "unknown_flag_default", &json!({"enabled": true, "value": "default"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_for_servers_and_browsers_may_call_the_rest() {
    let shop = Shop::with_flags().await;
    let document = |key: &str| {
        let url = shop.server.url("/api/v1/environment-document/");
        shop.server.http().get(url).header("x-environment-key", key).send()
    };
    let (status, refused) = read(document(&shop.client_key).await.unwrap()).await;
    assert!(matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{status} {refused:#}");
    assert!(refused["detail"].is_string(), "{refused:#}");
    let (status, found) = read(document(&shop.server_key).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{found:#}");
    let names: Vec<&str> =
        found["feature_states"].as_array().unwrap().iter().map(|it| it["feature"]["name"].as_str().unwrap()).collect();
    assert!(FLAGS.iter().all(|flag| names.contains(flag)), "{names:?}");

    for path in ["/api/v1/flags/", "/api/v1/identities/", "/api/v1/analytics/flags/", "/v1/events"] {
        let asked = "x-environment-key,content-type,flagsmith-sdk-user-agent,flagsmith-application-name,flagsmith-application-version";
        let preflight = shop.server.http().request(Method::OPTIONS, shop.server.url(path));
        let preflight = preflight
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", asked)
            .send()
            .await
            .unwrap();
        let allowed = |name: &str| preflight.headers().get(name).map(|it| it.to_str().unwrap().to_lowercase());
        assert_eq!(allowed("access-control-allow-origin").as_deref(), Some("*"), "{path}");
        let headers = allowed("access-control-allow-headers").unwrap();
        assert!(headers == "*" || asked.split(',').all(|header| headers.contains(header)), "{path}: {headers}");
    }
    let url = shop.server.url("/api/v1/flags/");
    let request = shop.server.http().get(url).header("x-environment-key", &shop.client_key);
    let answer = request.header("origin", "https://shop.example").send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_lowercase();
    assert!(header("x-flagsmith-document-updated-at").parse::<f64>().is_ok_and(|at| at > 0.0));
    let exposed = header("access-control-expose-headers");
    assert!(exposed == "*" || exposed.contains("x-flagsmith-document-updated-at"), "{exposed}");
}
