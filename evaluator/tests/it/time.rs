//! Flags whose answer depends on when it is asked.

use liftgate_evaluator::{Context, EvaluationError, Reason, Ruleset, Timestamp};
use serde_json::{Value, json};

use crate::ruleset;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `grown` serves `on` to accounts of 30 days and more; the others need time as their names say.
fn flags() -> Ruleset {
    let old = json!({"attribute": "signed_up", "op": "days_since_gte", "value": 30});
    let rule = |when: Value| json!([{"id": "r", "when": when, "serve": {"variation": "on"}}]);
    let flag =
        |key: &str, state: Value| json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 1});
    let needs = json!([{"flag": "grown", "variation": "on"}]);
    ruleset(json!({"revision": 1, "flags": [
        flag("disabled", json!({"enabled": false, "rules": rule(old.clone())})),
        flag("grown", json!({"enabled": true, "rules": rule(old.clone())})),
        flag("nested", json!({"enabled": true, "rules": rule(json!({"any": [{"none": [old.clone()]}]}))})),
        flag("plain", json!({"enabled": true, "fallthrough": {"variation": "on"}})),
        flag("through-a-flag", json!({"enabled": true, "prerequisites": needs, "fallthrough": {"variation": "on"}})),
        flag("through-a-segment", json!({"enabled": true, "rules": rule(json!({"segment": "outer"}))})),
    ], "segments": [{"key": "outer", "when": {"segment": "old"}}, {"key": "old", "when": old}]}))
}

#[test]
fn elapsed_days_are_counted_to_the_time_that_is_told() {
    let ruleset = flags();
    assert_eq!(ruleset.problems(), []);
    let context = Context::user("u").with("signed_up", "2026-01-01");
    let served = |now: &str| -> Vec<_> {
        ruleset.evaluate_all_at(&context, at(now)).map(|answer| answer.variation.unwrap()).collect()
    };
    assert_eq!(served("2026-01-30T23:59:59Z"), ["off", "off", "on", "on", "off", "off"]);
    assert_eq!(served("2026-01-31T00:00:00Z"), ["off", "on", "off", "on", "on", "on"]);
    for answer in ruleset.evaluate_all_at(&context, at("2026-02-01T00:00:00Z")) {
        assert_eq!(ruleset.evaluate_at(&answer.flag, &context, at("2026-02-01T00:00:00Z")), answer);
    }
}

#[test]
fn without_the_time_only_flags_that_need_it_answer_an_error() {
    let ruleset = flags();
    assert!(ruleset.depends_on_time());
    let context = Context::user("u").with("signed_up", "2026-01-01");
    for answer in ruleset.evaluate_all(&context) {
        let needs_time = !["disabled", "plain"].contains(&answer.flag.as_ref());
        assert_eq!(answer.error, needs_time.then_some(EvaluationError::NeedsTime), "{}", answer.flag);
        assert_eq!(answer.reason == Reason::Error, needs_time);
    }
}

#[test]
fn a_ruleset_without_such_flags_does_not_depend_on_time() {
    let when = json!({"attribute": "at", "op": "gte", "value": "2026-01-31"});
    let state = json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": {"variation": "on"}}]});
    let ruleset = crate::with_state(state, json!([]));
    assert!(!ruleset.depends_on_time());
    let context = Context::user("u").with("at", "2026-01-31");
    assert_eq!(ruleset.evaluate("f", &context).variation, Some("on"));
    // A segment that nobody uses, and a flag that is disabled, are no reason to depend on time.
    let segments = json!([{"key": "s", "when": {"attribute": "x", "op": "days_since_gt", "value": 1}}]);
    assert!(!crate::with_state(json!({"enabled": true}), segments).depends_on_time());
}
