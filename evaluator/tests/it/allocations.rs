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

#[test]
fn operators() {
    let context = Context::user("user-1")
        .with("email", "ada@example.com")
        .with("address", "10.1.2.3")
        .with("signed_up", "2026-01-01")
        .with("version", "1.2.3")
        .with("groups", json!(["a", "b"]));
    let later: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    for when in [
        json!({"attribute": "email", "op": "ends_with", "value": ["@example.com", "@example.org"]}),
        json!({"attribute": "email", "op": "contains", "value": "ada"}),
        json!({"attribute": "email", "op": "matches", "value": "^[a-z]+@example\\.(com|org)$"}),
        json!({"attribute": "groups", "op": "has_all", "value": ["a", "b"]}),
        json!({"attribute": "groups", "op": "has_any", "value": ["b", "c"]}),
        json!({"attribute": "address", "op": "in_cidr", "value": ["10.0.0.0/8", "2001:db8::/32"]}),
        json!({"attribute": "signed_up", "op": "days_since_gt", "value": 30}),
        json!({"attribute": "signed_up", "op": "lt", "value": "2026-01-31"}),
        json!({"attribute": "version", "op": "semver_gte", "value": "1.2"}),
        json!({"attribute": "targetingKey", "op": "percentage", "value": "100%", "salt": "s"}),
        // Text that is in lower case already is not copied to be.
        json!({"attribute": "email", "op": "equals", "value": "ADA@example.com", "ignore_case": true}),
    ] {
        let rule = json!({"id": "r", "when": when, "serve": {"variation": "on"}});
        let ruleset = flags(&json!({"enabled": true, "rules": [rule]}), json!([]));
        // An expression makes room for its automaton when it is first used, and keeps it.
        if when["op"] == "matches" {
            ruleset.evaluate_all_at(&context, later).for_each(drop);
        }
        let mut reasons = [None; 2];
        let counted = measure(|| {
            reasons = ["boolean", "string"].map(|flag| Some(ruleset.evaluate_at(flag, &context, later).reason));
        });
        assert_eq!((counted.count_total, reasons), (0, [Some(Reason::TargetingMatch); 2]), "{when}");
    }
}

#[test]
fn all_flags_at_once_take_one_table_and_only_when_flags_need_each_other() {
    let count = |ruleset: &Ruleset| {
        let context = Context::user("u");
        measure(|| assert!(ruleset.evaluate_all(&context).all(|answer| answer.error.is_none()))).count_total
    };
    assert_eq!(count(&flags(&json!({"enabled": true}), json!([]))), 1);
    assert_eq!(count(&crate::with_state(json!({"enabled": true}), json!([]))), 0);
}
