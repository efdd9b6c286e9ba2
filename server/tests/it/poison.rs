//! What broken and hostile senders send, over HTTP, to both doors: each is refused or set aside by name, and its
//! neighbours are counted.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    crash::until_stored,
    harness::{Server, read, shop},
};

/// What must become of an event.
enum Fate {
    /// Refused with this code, and this field in its name.
    Refused(&'static str, &'static str),
    /// Accepted and set aside with this code.
    Quarantined(&'static str),
    /// As good as any other.
    Taken,
}

use Fate::{Quarantined, Refused, Taken};

fn now_ms() -> i64 {
    liftgate_domain::Clock::now(&liftgate_domain::SystemClock).0 / 1_000
}

const DAYS_3650_MS: i64 = 3_650 * 86_400_000;

/// Texts that one event is replaced by; `ID` and `NOW` are filled in.
fn native() -> Vec<(&'static str, String, Fate)> {
    let event = |id: &str, timestamp: &str, rest: &str| {
        format!(
            r#"{{"type":"metric","id":{id},"timestamp":{timestamp},"unit":{{"id":"u1"}},"event":"purchase"{rest}}}"#
        )
    };
    let plain = |rest: &str| event(r#""ID""#, "NOW", rest);
    let future = (now_ms() + DAYS_3650_MS).to_string();
    let past = (now_ms() - DAYS_3650_MS).to_string();
    let deep = format!(r#","properties":{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    vec![
        ("wrong types: a number", "5".to_owned(), Refused("wrong_type", "")),
        ("wrong types: a list", "[1]".to_owned(), Refused("wrong_type", "")),
        ("wrong types: a value that is text", plain(r#","value":"many""#), Refused("wrong_type", "value")),
        ("wrong types: an id that is a number", event("17", "NOW", ""), Refused("wrong_type", "id")),
        ("NaN as text", plain(r#","value":"NaN""#), Refused("value_not_finite", "value")),
        ("infinity", plain(r#","value":1e999"#), Refused("value_not_finite", "value")),
        ("ten years ahead", event(r#""ID""#, &future, ""), Quarantined("future")),
        ("ten years ago", event(r#""ID""#, &past, ""), Quarantined("too_old")),
        ("the end of time", event(r#""ID""#, "9223372036854775807", ""), Quarantined("future")),
        ("huge", plain(&format!(r#","properties":{{"x":"{}"}}"#, "y".repeat(40_000))), Refused("too_large", "")),
        ("an id of 129 bytes", event(&format!(r#""{}""#, "i".repeat(129)), "NOW", ""), Refused("too_large", "id")),
        ("deep nesting", plain(&deep), Refused("invalid_value", "properties")),
        ("duplicate fields", plain(r#","value":1,"value":2"#), Refused("invalid_value", "value")),
        ("a null byte", event(r#""a\u0000b""#, "NOW", ""), Refused("invalid_value", "id")),
        ("a lone surrogate", plain(r#","properties":{"x":"\udc00"}"#), Refused("invalid_value", "properties")),
        ("good unicode", plain(r#","properties":{"x":"é 結帳 😀 \u202e"}"#), Taken),
    ]
}

fn segment() -> Vec<(&'static str, String, Fate)> {
    let message = |id: &str, timestamp: &str, rest: &str| {
        format!(r#"{{"type":"track","messageId":{id},"timestamp":{timestamp},"userId":"u1","event":"purchase"{rest}}}"#)
    };
    let plain = |rest: &str| message(r#""ID""#, "NOW", rest);
    let future = (now_ms() + DAYS_3650_MS).to_string();
    let past = (now_ms() - DAYS_3650_MS).to_string();
    let deep = format!(r#","properties":{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    vec![
        ("wrong types: a number", "5".to_owned(), Refused("wrong_type", "")),
        ("wrong types: properties that are a list", plain(r#","properties":[]"#), Refused("wrong_type", "properties")),
        ("wrong types: an id that is a boolean", message("true", "NOW", ""), Refused("wrong_type", "messageId")),
        ("infinity", plain(r#","properties":{"value":1e999}"#), Refused("value_not_finite", "properties")),
        ("ten years ahead", message(r#""ID""#, &future, ""), Quarantined("future")),
        ("ten years ago", message(r#""ID""#, &past, ""), Quarantined("too_old")),
        ("huge", plain(&format!(r#","properties":{{"x":"{}"}}"#, "y".repeat(40_000))), Refused("too_large", "")),
        (
            "an id of 129 bytes",
            message(&format!(r#""{}""#, "i".repeat(129)), "NOW", ""),
            Refused("too_large", "messageId"),
        ),
        ("deep nesting", plain(&deep), Refused("invalid_value", "properties")),
        ("a null byte", message(r#""a\u0000b""#, "NOW", ""), Refused("invalid_value", "messageId")),
        ("a lone surrogate", plain(r#","properties":{"name":"\ud83d"}"#), Refused("invalid_value", "properties")),
        ("an unknown type", plain("").replace("track", "import"), Refused("unknown_type", "type")),
        ("no user", plain("").replace(r#""userId":"u1","#, ""), Refused("missing_field", "userId")),
        (
            "an exposure of nothing",
            plain("").replace("purchase", "Experiment Viewed"),
            Refused("missing_field", "properties"),
        ),
        ("good unicode", plain(r#","properties":{"x":"é 結帳 😀 \u202e"}"#), Taken),
    ]
}

/// Fills in an event's id and the time.
fn filled(text: &str, id: &str) -> String {
    text.replace("ID", id).replace("NOW", &now_ms().to_string())
}

/// What an answer lists of the event in the middle.
fn listed<'a>(answer: &'a Value, list: &str) -> Option<&'a Value> {
    answer[list].as_array().into_iter().flatten().find(|it| it["index"] == json!(1))
}

fn check(what: &str, fate: &Fate, answer: &Value) {
    match fate {
        Refused(code, field) => {
            let refusal = listed(answer, "rejected").unwrap_or_else(|| panic!("{what} is refused: {answer:#}"));
            assert_eq!(refusal["code"], json!(code), "{what}: {answer:#}");
            assert!(refusal["field"].as_str().unwrap_or_default().contains(field), "{what}: {answer:#}");
            assert!(refusal["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}: {answer:#}");
        }
        Quarantined(code) => {
            let aside = listed(answer, "quarantined").unwrap_or_else(|| panic!("{what} is set aside: {answer:#}"));
            assert!(aside["code"].as_str().unwrap().contains(code), "{what}: {answer:#}");
        }
        Taken => {
            assert!(
                listed(answer, "rejected").is_none() && listed(answer, "quarantined").is_none(),
                "{what}: {answer:#}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_door_names_every_poison_and_counts_its_neighbours() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let good = |id: String| {
        filled(r#"{"type":"metric","id":"ID","timestamp":NOW,"unit":{"id":"u1"},"event":"purchase"}"#, &id)
    };
    let (mut stored, table) = (0, native());
    for (index, (what, poison, fate)) in table.iter().enumerate() {
        let events = [good(format!("a{index}")), filled(poison, &format!("p{index}")), good(format!("b{index}"))];
        let body = format!(r#"{{"events":[{}]}}"#, events.join(","));
        let (status, receipt) = server.send(&key, "application/json", body).await;
        assert_eq!(status, StatusCode::OK, "{what}: {receipt:#}");
        let count = |name: &str| receipt[name].as_u64().unwrap();
        let rejected = receipt["rejected"].as_array().unwrap().len() as u64;
        assert_eq!(count("accepted") + count("duplicates") + rejected, 3, "{what}: {receipt:#}");
        check(what, fate, &receipt);
        stored += 2 + u64::from(matches!(fate, Taken));
    }
    let (status, problem) = server.send(&key, "application/json", r#"{"events":[{"value":NaN}]}"#).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::BAD_REQUEST, &json!("malformed_json")),
        "bad JSON: {problem:#}"
    );
    let lines = format!("{}\n{{\"value\":NaN}}\n{}\n", good("na".to_owned()), good("nb".to_owned()));
    let (_, receipt) = server.send(&key, "application/x-ndjson", lines).await;
    check("bad JSON in a line", &Refused("malformed_json", ""), &receipt);
    stored += 2;
    let expected = json!({"exposures": 0, "metrics": stored, "surplus": 0});
    assert_eq!(until_stored(&server, stored).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_door_names_every_poison_and_counts_its_neighbours() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let post = |body: String| {
        let request = server.http().post(server.url("/v1/batch")).basic_auth(&key, Some("")).body(body);
        async move { read(request.send().await.unwrap()).await }
    };
    let good = |id: String| {
        filled(r#"{"type":"track","messageId":"ID","timestamp":NOW,"userId":"u1","event":"purchase"}"#, &id)
    };
    let (mut stored, table) = (0, segment());
    for (index, (what, poison, fate)) in table.iter().enumerate() {
        let events = [good(format!("a{index}")), filled(poison, &format!("p{index}")), good(format!("b{index}"))];
        let (status, answer) = post(format!(r#"{{"batch":[{}]}}"#, events.join(","))).await;
        assert_eq!((status, &answer["success"]), (StatusCode::OK, &json!(true)), "{what}: {answer:#}");
        check(what, fate, &answer);
        stored += 2 + u64::from(matches!(fate, Taken));
    }
    let (status, problem) = post(r#"{"batch":[{"value":NaN}]}"#.to_owned()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::BAD_REQUEST, &json!("malformed_json")),
        "bad JSON: {problem:#}"
    );
    let expected = json!({"exposures": 0, "metrics": stored, "surplus": 0});
    assert_eq!(until_stored(&server, stored).await, expected);
}
