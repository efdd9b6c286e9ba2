//! The bodies as they go out: every event type, and names that are long, hostile, or in any script.

use liftgate_domain::{Event, Scope};
use liftgate_webhooks::format::{BODY_BYTES_MAX, slack, standard};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{START, production, project};

fn event(kind: &str, subject: &str, data: Value) -> Event {
    Event {
        id: "evt_0195_0".to_owned(),
        change_seq: 42,
        kind: kind.to_owned(),
        scope: production(),
        subject: subject.to_owned(),
        at: START,
        data,
    }
}

fn parsed(body: Vec<u8>) -> Value {
    serde_json::from_slice(&body).unwrap()
}

fn rolled_back() -> Event {
    let data = json!({
        "rollout": "checkout", "flag": "new-checkout", "policy": "careful", "stage": 1, "stages": 4, "run": 7,
        "from": "25%", "to": "0%", "metric": "error_rate", "margin": "10%", "e_value": 61234.567, "effect": 0.31415,
        "lower": 0.12, "upper": 0.48, "treated_units": 1800,
    });
    event("rollout.rolled_back", "checkout", data)
}

/// Every event type with what its producer says.
fn all_types() -> Vec<Event> {
    let share = json!({"flag": "new-checkout", "from": "25%", "to": "50%", "environment": "production"});
    let reason = json!({"reason": "asked by support"});
    let mut events = vec![
        event("flag.created", "new-checkout", json!({"name": "New checkout"})),
        event("flag.updated", "new-checkout", json!({})),
        event("flag.archived", "new-checkout", reason.clone()),
        event("flag.share_changed", "new-checkout", share.clone()),
        event("flag.share_changed", "new-checkout", json!({"from": 0.5, "to": 2})),
        event("rollout.started", "checkout", json!({"share": "5%"})),
        event("rollout.advanced", "checkout", share),
        event("rollout.advanced", "checkout", json!({"share": "50%"})),
        event("rollout.held", "checkout", json!({"code": "LOW_SAMPLE", "detail": "400 more units are needed"})),
        event("rollout.held", "checkout", json!({"hold": {"code": "SRM", "detail": "arms are uneven"}})),
        event("rollout.resumed", "checkout", json!({})),
        event("rollout.paused", "checkout", reason.clone()),
        rolled_back(),
        event("rollout.rolled_back", "checkout", reason.clone()),
        event("rollout.completed", "checkout", json!({"share": "100%"})),
        event("rollout.cancelled", "checkout", reason.clone()),
        event("guardrail.harmed", "checkout", json!({"metric": "error_rate"})),
        event("experiment.started", "buttons", json!({"name": "Green or blue?"})),
        event("experiment.stopped", "buttons", reason.clone()),
        event("key.created", "ci", json!({"role": "editor"})),
        event("key.revoked", "ci", json!({})),
        event("endpoint.disabled", "hook", json!({"reason": "the receiver answered 410 Gone"})),
        event("segment.updated", "beta", json!({})),
    ];
    events.push(Event { scope: Scope::organization(), ..event("key.created", "root", Value::Null) });
    events.push(Event { scope: project(), ..event("flag.updated", "new-checkout", json!([1, 2])) });
    events
}

/// Names that somebody will give.
fn hard_names() -> [String; 5] {
    [
        "<!channel> <@U012AB3CD> <https://evil.example|click> & *bold* _it_ `code` @here :tada:".to_owned(),
        "🚀 Größe 結帳 👩‍👩‍👧".to_owned(),
        "דגל תשלום חדש".to_owned(),
        "safe\u{202E}gnp.exe\u{0}\nsecond line\u{2066}".to_owned(),
        "x".repeat(5_000),
    ]
}

#[test]
fn every_event_type_has_a_sentence() {
    let lines: Vec<String> = all_types()
        .iter()
        .map(|event| {
            let body = parsed(slack(event));
            let title = body["blocks"][0]["text"]["text"].as_str().unwrap();
            format!("{}: [{title}] {}", event.kind, body["text"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn standard_bodies_are_golden() {
    let mut bodies = vec![parsed(standard(&rolled_back()))];
    bodies.extend(hard_names().map(|name| parsed(standard(&event("flag.created", &name, json!({"name": name}))))));
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(bodies) });
}

#[test]
fn slack_bodies_are_golden() {
    let mut bodies = vec![parsed(slack(&rolled_back()))];
    bodies.extend(hard_names().map(|name| parsed(slack(&event("flag.created", &name, json!({"name": name}))))));
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(bodies) });
}

#[test]
fn data_that_is_too_large_becomes_a_summary_with_a_hint() {
    let large = event("flag.updated", &"k".repeat(30_000), json!({"rules": vec!["x".repeat(100); 300]}));
    let body = standard(&large);
    assert!(body.len() <= BODY_BYTES_MAX);
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(parsed(body)) });
}

#[test]
fn names_of_ours_in_an_events_data_do_not_hide_who_it_is_about() {
    let body = parsed(standard(&event("flag.updated", "checkout", json!({"subject": "other", "sequence": 1}))));
    assert_eq!((&body["data"]["subject"], &body["data"]["sequence"]), (&json!("checkout"), &json!(42)));
}

/// Every text of a Slack message with the limit that its place has.
fn texts(body: &Value) -> Vec<(String, usize)> {
    let text = |value: &Value, limit| (value["text"].as_str().unwrap().to_owned(), limit);
    let mut texts = vec![text(body, 3_000)];
    for block in body["blocks"].as_array().unwrap() {
        let limit = if block["type"] == "header" { 150 } else { 3_000 };
        texts.extend(block.get("text").map(|value| text(value, limit)));
        for list in ["fields", "elements"] {
            let list = block[list].as_array().map_or(&[][..], Vec::as_slice);
            assert!(list.len() <= 10);
            texts.extend(list.iter().map(|value| text(value, 2_000)));
        }
    }
    texts
}

proptest! {
    #[test]
    fn no_name_breaks_a_body(subject in ".{0,300}", value in any::<String>(), which in 0_usize..25, repeat in 1_usize..400) {
        let mut event = all_types().swap_remove(which);
        let value = value.repeat(repeat);
        event.subject = subject;
        for name in ["name", "reason", "metric", "from", "to", "share", "code", "detail", "flag", "policy"] {
            if event.data.is_object() {
                event.data[name] = json!(value);
            }
        }
        let body = standard(&event);
        prop_assert!(body.len() <= BODY_BYTES_MAX);
        let payload = parsed(body);
        prop_assert_eq!(&payload["type"], &json!(event.kind));
        for (text, limit) in texts(&parsed(slack(&event))) {
            prop_assert!(!text.is_empty() && text.encode_utf16().count() <= limit);
            prop_assert!(!text.contains(['<', '>', '\0', '\u{202E}']), "{}", text);
        }
    }
}
