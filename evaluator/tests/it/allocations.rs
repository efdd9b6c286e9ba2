//! An evaluation allocates nothing. The counter counts by thread, so that other tests do not disturb it.

use allocation_counter::measure;
use liftgate_evaluator::{Context, Reason, Ruleset, Timestamp};
use serde_json::{Value, json};

/// The flags `boolean` and `string` with the same state, in which `on`, `off` are boolean and text, beside `needed`.
fn flags(state: &Value, segments: Value) -> Ruleset {
    let string = json!({"key": "string", "kind": "string", "off_variation": "off",
        "variations": [{"key": "on", "value": "one"}, {"key": "off", "value": "none"}]});
    let served = json!({"enabled": true, "fallthrough": {"variation": "on"}});
    let between = json!({"enabled": true, "fallthrough": {"variation": "on"}, "prerequisites": [{"flag": "needed", "variations": ["on"]}]});
    crate::ruleset(json!({"revision": 1, "segments": segments, "flags": [
        {"flag": {"key": "boolean", "kind": "boolean"}, "state": state, "revision": 1},
        {"flag": string, "state": state, "revision": 1},
        {"flag": {"key": "needed", "kind": "boolean"}, "state": served, "revision": 1},
        {"flag": {"key": "between", "kind": "boolean"}, "state": between, "revision": 1},
    ]}))
}

#[track_caller]
fn allocates_nothing(state: Value, segments: Value, expected: Reason) {
    let ruleset = flags(&state, segments);
    assert_eq!(ruleset.problems(), []);
    let context = Context::user("user-1234").with("country", "DE").with("seats", 25).with("plan", "pro");
    for flag in ["boolean", "string"] {
        let mut reason = None;
        let counted = measure(|| {
            let answer = ruleset.evaluate(flag, &context);
            let later = ruleset.evaluate_at(flag, &context, Timestamp::default());
            reason = (answer == later).then_some(answer.reason);
        });
        assert_eq!((counted.count_total, reason), (0, Some(expected)), "{flag}");
    }
}

fn run(number: u64, kind: &str) -> Value {
    json!({"number": number, "kind": kind, "key": "k", "stage": 0})
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}

#[test]
fn without_rules() {
    allocates_nothing(json!({"enabled": true, "fallthrough": {"variation": "on"}}), json!([]), Reason::Static);
    allocates_nothing(json!({"enabled": false}), json!([]), Reason::Disabled);
}

#[test]
fn two_conditions_and_a_split() {
    let when = json!({"all": [{"attribute": "country", "op": "in", "value": ["AT", "DE"]}, {"attribute": "seats", "op": "gt", "value": 9}]});
    let split = json!({"split": {"salt": "s", "share": "100%", "run": run(1, "experiment"), "ranges": [
        {"variation": "on", "start": 0, "end": 50_000}, {"variation": "off", "start": 50_000, "end": 100_000}]}});
    let state = json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": split}]});
    allocates_nothing(state, json!([]), Reason::Split);
}

#[test]
fn a_ramp() {
    let ramp =
        json!({"ramp": {"salt": "s", "share": "25%", "treatment": "on", "control": "off", "run": run(1, "rollout")}});
    allocates_nothing(json!({"enabled": true, "rules": [{"id": "r", "serve": ramp}]}), json!([]), Reason::Split);
}

#[test]
fn individual_targets_and_a_segment_of_many_units() {
    let units: Vec<String> = (0..100_000).map(|number| format!("user-{number}")).collect();
    let segments = json!([{"key": "s", "included": units}, {"key": "t", "when": {"none": [{"segment": "s"}]}}]);
    let state = json!({"enabled": true, "targets": [{"variation": "off", "units": ["user-1"]}], "rules": [
        {"id": "never", "when": {"segment": "t"}, "serve": {"variation": "off"}},
        {"id": "r", "when": {"segment": "s"}, "serve": {"variation": "on"}}]});
    allocates_nothing(state, segments, Reason::TargetingMatch);
}

#[test]
fn prerequisites() {
    let state = |variation: &str| {
        json!({"enabled": true, "fallthrough": {"variation": "on"},
            "prerequisites": [{"flag": "between", "variations": ["on"]}, {"flag": "needed", "variations": [variation]}]})
    };
    allocates_nothing(state("on"), json!([]), Reason::Default);
    allocates_nothing(state("off"), json!([]), Reason::Default);
}
