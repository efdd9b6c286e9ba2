//! OFREP 0.3 as its clients meet it: right answers, errors in the protocol's own shape whatever is sent, and every answer
//! checked against the protocol's own description.

use std::path::PathBuf;

use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, shop};

const FLAGS: &str = "/ofrep/v1/evaluate/flags";
/// Flags of every kind and every way to be served.
const DECLARED: &str = r#"
{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true, rules: [{id: half, serve: {split: {weights: {on: 50, off: 50}}}}]}}
---
{kind: flag, project: shop, key: banner, spec: {kind: string, variations: [{key: hello, value: "Grüße \"you\" \n"}, {key: none, value: ""}], off_variation: none}}
---
{kind: flag_state, project: shop, environment: production, key: banner, spec: {enabled: true, fallthrough: {variation: hello}, rules: [{id: germany, when: {attribute: country, op: equals, value: DE}, serve: {variation: none}}]}}
---
{kind: flag, project: shop, key: ratio, spec: {kind: number, variations: [{key: whole, value: 3.0}, {key: part, value: 0.5}], off_variation: whole}}
---
{kind: flag, project: shop, key: limit, spec: {kind: number, variations: [{key: ten, value: 10}], off_variation: ten}}
---
{kind: flag_state, project: shop, environment: production, key: limit, spec: {enabled: true}}
---
{kind: flag, project: shop, key: theme, spec: {kind: json, variations: [{key: dark, value: {color: "black", size: 2}}], off_variation: dark}}
"#;

/// A server with [`DECLARED`] and the client key of its environment.
async fn declared() -> (Server, String) {
    let server = Server::start().await;
    let key = shop(&server).await;
    server.apply(DECLARED).await;
    (server, key)
}

/// An answer as it came over the wire.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, headers, text, json }
}

/// Asks for one flag (`/{key}`) or all of them (empty) and checks the answer against the protocol.
async fn ask(server: &Server, key: &str, flag: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = server
        .http()
        .post(server.url(&format!("{FLAGS}{flag}")))
        .header("x-api-key", key)
        .header("origin", "https://shop.example");
    let answer = send(request.header("content-type", "application/json").body(body)).await;
    check(if flag.is_empty() { FLAGS } else { "/ofrep/v1/evaluate/flags/{key}" }, &answer);
    answer
}

/// The protocol's description made into something that can be checked, or `None` without the published files.
///
/// Three things in it refuse its own examples: a value of any kind is also a `codeDefaultFlag` (and an integer a number),
/// so that `oneOf` never holds; and its list of reasons lacks OpenFeature's `DEFAULT`.
fn protocol() -> Option<Value> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let path = std::env::var_os("LIFTGATE_CASES").map_or_else(beside, PathBuf::from).join("ofrep/openapi.yaml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no {}; set LIFTGATE_CASES to the folder that has `ofrep`", path.display());
        return None;
    };
    let mut document: Value = serde_yaml_ng::from_str(&text).unwrap();
    let success = &mut document["components"]["schemas"]["evaluationSuccess"]["allOf"];
    let kinds = success[1].as_object_mut().unwrap().remove("oneOf").unwrap();
    success[1]["anyOf"] = kinds;
    success[0]["properties"]["reason"]["enum"].as_array_mut().unwrap().push(json!("DEFAULT"));
    let bulk = &mut document["components"]["schemas"]["bulkEvaluationSuccess"]["properties"]["flags"]["items"];
    let kinds = bulk.as_object_mut().unwrap().remove("oneOf").unwrap();
    // A failure without value fits the success of a code default, which has no fields but is told by its reason.
    bulk["anyOf"] = kinds;
    Some(document)
}

/// Checks an answer against what the protocol says of its route and status.
fn check(route: &str, answer: &Answer) {
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    if answer.status == StatusCode::NOT_MODIFIED {
        assert!(answer.text.is_empty() && answer.headers.contains_key("etag"));
        return;
    }
    assert_eq!(answer.headers["content-type"], "application/json", "{}", answer.text);
    if answer.status != StatusCode::OK {
        assert!(answer.json["errorCode"].is_string() && answer.json["errorDetails"].is_string(), "{}", answer.text);
        assert_eq!(answer.json["key"].is_string(), route != FLAGS, "{}", answer.text);
    }
    let Some(document) = protocol() else { return };
    let errors = errors_of(document, route, answer.status, &answer.json);
    assert!(errors.is_empty(), "{errors:#?}\n{}", answer.text);
}

/// What the protocol has against an answer of a route.
fn errors_of(mut document: Value, route: &str, status: StatusCode, answer: &Value) -> Vec<String> {
    let response = document["paths"][route]["post"]["responses"][status.as_str()].clone();
    if !response.is_object() {
        return vec![format!("the protocol has no status {status}")];
    }
    let Value::String(schema) = response["content"]["application/json"]["schema"]["$ref"].clone() else {
        return Vec::new();
    };
    document["$ref"] = schema.into();
    let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&document).unwrap();
    validator.iter_errors(answer).map(|error| error.to_string()).collect()
}

#[test]
fn the_protocols_description_refuses_wrong_answers() {
    let Some(document) = protocol() else { return };
    let errors = |route, status, answer| errors_of(document.clone(), route, status, &answer);
    let one = "/ofrep/v1/evaluate/flags/{key}";
    let good = json!({"key": "a", "value": true, "variant": "on", "reason": "DEFAULT", "metadata": {"version": "1"}});
    assert_eq!(errors(one, StatusCode::OK, good.clone()), Vec::<String>::new());
    assert_eq!(errors(FLAGS, StatusCode::OK, json!({"flags": [good]})), Vec::<String>::new());
    for (route, status, wrong) in [
        (one, StatusCode::OK, json!({"key": "a", "value": true})),
        (one, StatusCode::OK, json!({"key": "a", "value": true, "reason": "BECAUSE"})),
        (one, StatusCode::OK, json!({"key": "a", "value": true, "reason": "STATIC", "metadata": {"a": []}})),
        (one, StatusCode::BAD_REQUEST, json!({"errorCode": "GENERAL"})),
        (one, StatusCode::NOT_FOUND, json!({"key": "a", "errorCode": "GENERAL"})),
        (one, StatusCode::IM_A_TEAPOT, json!({})),
        (FLAGS, StatusCode::OK, json!({"flags": [{"key": "a"}]})),
        (FLAGS, StatusCode::BAD_REQUEST, json!({})),
    ] {
        assert!(!errors(route, status, wrong.clone()).is_empty(), "{route} {status} {wrong}");
    }
}

fn flag<'a>(answer: &'a Answer, key: &str) -> &'a Value {
    answer.json["flags"].as_array().unwrap().iter().find(|flag| flag["key"] == key).unwrap()
}

fn user(targeting_key: &str) -> String {
    json!({"context": {"targetingKey": targeting_key}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flag_answers_what_all_flags_answer() {
    let (server, key) = declared().await;
    for context in [json!({"targetingKey": "u1"}), json!({"targetingKey": "\"ü\"", "country": "DE"}), json!({})] {
        let body = json!({"context": context}).to_string();
        let all = ask(&server, &key, "", body.clone()).await;
        assert_eq!(all.status, StatusCode::OK);
        let flags = all.json["flags"].as_array().unwrap();
        let keys: Vec<&Value> = flags.iter().map(|flag| &flag["key"]).collect();
        assert_eq!(keys, ["banner", "checkout", "limit", "ratio", "theme"]);
        for of_all in flags {
            let one = ask(&server, &key, &format!("/{}", of_all["key"].as_str().unwrap()), body.clone()).await;
            assert_eq!(one.json.get("errorCode"), of_all.get("errorCode"), "{}", one.text);
            if one.status == StatusCode::OK {
                assert_eq!(&one.json, of_all);
                assert!(one.json["variant"].is_string() && one.json["reason"].is_string(), "{}", one.text);
                assert_eq!(one.json["metadata"]["contextId"], context.get("targetingKey").cloned().unwrap_or_default());
                assert_eq!(one.json["metadata"]["flagSetId"], "default/shop/production");
                assert!(one.json["metadata"]["version"].is_string(), "{}", one.text);
            }
        }
        assert_eq!(all.json["metadata"]["flagSetId"], "default/shop/production");
        assert!(all.json["metadata"]["version"].is_string());
    }
    let germany = r#"{"context": {"targetingKey": "u1", "country": "DE"}}"#;
    let all = ask(&server, &key, "", germany).await;
    let banner = flag(&all, "banner");
    assert_eq!((&banner["value"], &banner["variant"]), (&json!(""), &json!("none")));
    assert_eq!((&banner["reason"], &banner["metadata"]["rule"]), (&json!("TARGETING_MATCH"), &json!("germany")));
    assert_eq!(flag(&all, "checkout")["reason"], "SPLIT");
    assert_eq!(flag(&all, "limit")["reason"], "STATIC");
    assert_eq!(flag(&all, "theme")["value"], json!({"color": "black", "size": 2}));
    assert_eq!(flag(&all, "theme")["reason"], "DISABLED");
    let elsewhere = ask(&server, &key, "/banner", user("u1")).await;
    assert_eq!((&elsewhere.json["value"], &elsewhere.json["reason"]), (&json!("Grüße \"you\" \n"), &json!("DEFAULT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_float_keeps_its_decimal_point_and_an_integer_has_none() {
    let (server, key) = declared().await;
    for (flag, value) in [("ratio", "\"value\":3.0,"), ("limit", "\"value\":10,")] {
        for path in [format!("/{flag}"), String::new()] {
            let answer = ask(&server, &key, &path, user("u1")).await;
            assert!(answer.text.contains(value), "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_user_gets_all_flags_and_an_error_only_where_a_user_is_needed() {
    let (server, key) = declared().await;
    for body in ["{}", r#"{"context":{}}"#, r#"{"context":{"targetingKey":""}}"#, r#"{"context":{"country":"FR"}}"#] {
        let all = ask(&server, &key, "", body).await;
        assert_eq!(all.status, StatusCode::OK, "{body}");
        let missing = flag(&all, "checkout");
        assert_eq!(missing["errorCode"], "TARGETING_KEY_MISSING", "{body}");
        assert!(missing["errorDetails"].as_str().unwrap().contains("`context.targetingKey`"));
        assert_eq!(flag(&all, "limit")["value"], 10, "{body}");
        let (needs, needs_not) =
            (ask(&server, &key, "/checkout", body).await, ask(&server, &key, "/banner", body).await);
        assert_eq!((needs.status, &needs.json["errorCode"]), (StatusCode::BAD_REQUEST, &missing["errorCode"]));
        assert_eq!(needs_not.status, StatusCode::OK, "{}", needs_not.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_rightly_or_refused_in_the_protocols_shape() {
    let (server, key) = declared().await;
    let attribute = |name: &str, value: Value| json!({"context": {"targetingKey": "u1", name: value}}).to_string();
    let many: serde_json::Map<String, Value> = (0..10_000).map(|n| (format!("a{n}"), json!(n))).collect();
    let nested =
        |depth| format!(r#"{{"context":{{"targetingKey":"u1","a":{}1{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
    let rows: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("nothing", Vec::new(), Some("PARSE_ERROR")),
        ("half an object", b"{\"context\":".to_vec(), Some("PARSE_ERROR")),
        ("two objects", b"{}{}".to_vec(), Some("PARSE_ERROR")),
        ("no UTF-8", b"{\"context\":{\"a\":\"\xff\"}}".to_vec(), Some("PARSE_ERROR")),
        ("a lone surrogate", br#"{"context":{"a":"\ud800"}}"#.to_vec(), Some("PARSE_ERROR")),
        ("a number out of range", br#"{"context":{"a":1e999}}"#.to_vec(), Some("PARSE_ERROR")),
        ("not a number", br#"{"context":{"a":NaN}}"#.to_vec(), Some("PARSE_ERROR")),
        ("deeper than anything sane", nested(100_000).into_bytes(), Some("PARSE_ERROR")),
        ("a list", b"[]".to_vec(), Some("INVALID_CONTEXT")),
        ("a context of text", br#"{"context":"u1"}"#.to_vec(), Some("INVALID_CONTEXT")),
        ("a numeric targeting key", br#"{"context":{"targetingKey":5}}"#.to_vec(), Some("INVALID_CONTEXT")),
        ("an attribute of 1 MB", attribute("country", json!("x".repeat(1_000_000))).into(), Some("INVALID_CONTEXT")),
        ("an attribute of 100 kB", attribute("country", json!("x".repeat(100_000))).into(), None),
        ("10 000 attributes", attribute("more", Value::Object(many)).into(), None),
        ("objects within objects", attribute("country", json!({"a": {"b": [null, {"c": 1}]}})).into(), None),
        ("as deep as is read", nested(100).into_bytes(), None),
        (
            "a huge integer",
            br#"{"context":{"targetingKey":"u1","country":123456789012345678901234567890}}"#.to_vec(),
            None,
        ),
        ("a tiny fraction", br#"{"context":{"targetingKey":"u1","country":1e-400}}"#.to_vec(), None),
        ("a surrogate pair", br#"{"context":{"targetingKey":"\ud83d\ude00","country":"\u0000"}}"#.to_vec(), None),
        ("a targeting key of 200 kB", user(&"k".repeat(200_000)).into(), None),
        ("a name twice", br#"{"context":{},"context":{"targetingKey":"u1"}}"#.to_vec(), None),
    ];
    for (what, body, code) in rows {
        for path in ["", "/checkout"] {
            let answer = ask(&server, &key, path, body.clone()).await;
            match code {
                Some(code) => {
                    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.text);
                    assert_eq!(answer.json["errorCode"], code, "{what}: {}", answer.text);
                }
                None => {
                    assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.text);
                    let checkout = if path.is_empty() { flag(&answer, "checkout") } else { &answer.json };
                    assert_eq!(checkout["reason"], "SPLIT", "{what}: {}", answer.text);
                    assert!(answer.text.len() < 10_000, "{what}: what is long is not echoed for each flag");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_slashes_escaped_or_not_are_one_key() {
    let (server, key) = declared().await;
    for (path, named) in [
        ("/a/b", "a/b"),
        ("/a%2Fb", "a/b"),
        ("/a%2fb/c", "a/b/c"),
        ("/sp%20ace", "sp ace"),
        ("/%C3%BC", "ü"),
        ("/%FF", "%FF"),
        ("/checkout/", "checkout/"),
        ("/nothing?flagConfigEtag=x", "nothing"),
    ] {
        let answer = ask(&server, &key, path, user("u1")).await;
        assert_eq!((answer.status, &answer.json["key"]), (StatusCode::NOT_FOUND, &json!(named)), "{path}");
        assert_eq!(answer.json["errorCode"], "FLAG_NOT_FOUND", "{path}: {}", answer.text);
    }
    let escaped = ask(&server, &key, "/chec%6Bout", user("u1")).await;
    assert_eq!((escaped.status, &escaped.json["key"]), (StatusCode::OK, &json!("checkout")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_again_to_a_caller_who_has_it() {
    let (server, key) = declared().await;
    let bulk = |tag: Option<String>, query: &'static str, body: String| {
        let mut request = server
            .http()
            .post(server.url(&format!("{FLAGS}{query}")))
            .header("x-api-key", &key)
            .header("origin", "https://shop.example");
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        async move {
            let answer = send(request.body(body)).await;
            check(FLAGS, &answer);
            let tag = answer.headers["etag"].to_str().unwrap().to_owned();
            (answer.status, tag)
        }
    };
    let (status, tag) = bulk(None, "", user("u1")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        assert_eq!(bulk(Some(known.clone()), "", user("u1")).await, (StatusCode::NOT_MODIFIED, tag.clone()), "{known}");
    }
    let query = "?flagConfigEtag=%22x%22&flagConfigLastModified=1771622898";
    assert_eq!(bulk(Some(tag.clone()), query, user("u1")).await.0, StatusCode::NOT_MODIFIED);
    assert_eq!(bulk(Some("\"other\"".to_owned()), query, user("u1")).await, (StatusCode::OK, tag.clone()));
    // The tag covers what is answered, so another context is another answer, and so is a change of a flag.
    let germany = r#"{"context": {"targetingKey": "u1", "country": "DE"}}"#.to_owned();
    assert_eq!(bulk(Some(tag.clone()), "", germany).await.0, StatusCode::OK);
    server
        .apply("{kind: flag_state, project: shop, environment: production, key: limit, spec: {enabled: false}}")
        .await;
    assert_eq!(bulk(Some(tag), "", user("u1")).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_good_key_are_told_in_the_protocols_shape() {
    let (server, key) = declared().await;
    for path in ["", "/checkout"] {
        let post = |name: &'static str, value: String| {
            let request = server
                .http()
                .post(server.url(&format!("{FLAGS}{path}")))
                .header(name, value)
                .header("origin", "https://shop.example");
            async move {
                let answer = send(request.body(user("u1"))).await;
                check(if path.is_empty() { FLAGS } else { "/ofrep/v1/evaluate/flags/{key}" }, &answer);
                answer
            }
        };
        for (name, value) in [
            ("x-nothing", String::new()),
            ("x-api-key", "wrong".to_owned()),
            ("authorization", format!("Bearer {TOKEN}")),
        ] {
            let answer = post(name, value).await;
            assert_eq!((answer.status, &answer.json["errorCode"]), (StatusCode::UNAUTHORIZED, &json!("GENERAL")));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
        for (name, value) in [("x-api-key", key.clone()), ("authorization", format!("bearer {key}"))] {
            assert_eq!(post(name, value).await.status, StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_opens_nothing_at_once() {
    let (server, _) = declared().await;
    let keys = "/projects/shop/environments/production/keys";
    for kind in ["client", "server"] {
        let (_, made) = server.manage(Method::POST, keys, Some(json!({"name": kind, "kind": kind}))).await;
        let key = made["key"].as_str().unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&server, key, "/limit", "{}").await.status, StatusCode::OK);
        }
        let (status, _) =
            server.manage(Method::DELETE, &format!("{keys}/{}", made["id"].as_str().unwrap()), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(ask(&server, key, "/limit", "{}").await.status, StatusCode::UNAUTHORIZED, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_send_what_the_protocol_needs_and_read_what_it_answers() {
    let (server, _) = declared().await;
    let preflight = server
        .http()
        .request(Method::OPTIONS, server.url(FLAGS))
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,if-none-match,x-api-key");
    let headers = send(preflight).await.headers;
    let list = |name: &str| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap()).to_ascii_lowercase()
    };
    assert_eq!(list("access-control-allow-origin"), "*");
    assert!(list("access-control-allow-methods").contains("post"));
    for name in ["authorization", "content-type", "if-none-match", "x-api-key"] {
        assert!(list("access-control-allow-headers").contains(name), "{name}");
    }
    let answer = send(server.http().post(server.url(FLAGS)).header("origin", "https://shop.example")).await;
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap().to_ascii_lowercase();
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    // Nobody else is told of it, and caches keep the two apart.
    for path in [FLAGS, "/api/v1/flags/", "/livez", "/nowhere", "/manage/v1/nowhere"] {
        let headers = send(server.http().get(server.url(path))).await.headers;
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
        let is_for_browsers = path.starts_with(FLAGS) || path.starts_with("/api/");
        assert_eq!(headers.get("vary").is_some_and(|vary| vary == "origin"), is_for_browsers, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers.contains_key("cache-control"), is_for_browsers, "{path}: keys stand in headers");
    }
}
