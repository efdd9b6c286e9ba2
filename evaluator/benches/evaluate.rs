//! Nanoseconds to evaluate one flag in process. Targets: 30 ns without rules, 70 ns with two conditions and a split,
//! and no allocation in either.

use divan::{AllocProfiler, Bencher, black_box};
use liftgate_evaluator::{Context, Ruleset, bucket};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn ruleset(state: Value, segments: Value) -> Ruleset {
    // Each serves `on` by a rule; the second needs the first.
    let needed = [("needed-1", json!([])), ("needed-2", json!([{"flag": "needed-1", "variation": "on"}]))];
    let needed = needed.map(|(key, needs)| {
        let rule = json!({"id": "r", "when": conditions(), "serve": {"variation": "on"}});
        json!({"flag": {"key": key, "kind": "boolean"}, "state": {"enabled": true, "prerequisites": needs, "rules": [rule]}, "revision": 1})
    });
    let filler = (0..100).map(|number| {
        json!({"flag": {"key": format!("other-flag-{number}"), "kind": "boolean"}, "state": {"enabled": true}, "revision": 1})
    });
    let measured = json!({"flag": {"key": "new-checkout", "kind": "boolean"}, "state": state, "revision": 1});
    let flags: Vec<Value> = filler.chain(needed).chain([measured]).collect();
    let source = json!({"revision": 1, "flags": flags, "segments": segments});
    let source = serde_json::from_value(source).expect("the source above is well formed");
    let ruleset = Ruleset::compile(source);
    assert!(ruleset.problems().is_empty(), "{:?}", ruleset.problems());
    ruleset
}

fn context() -> Context {
    Context::user("user-1234567")
        .with("country", "DE")
        .with("plan", "pro")
        .with("seats", 25)
        .with("email", "ada@example.com")
}

fn conditions() -> Value {
    json!({"all": [
        {"attribute": "country", "op": "in", "value": ["FR", "DE", "AT"]},
        {"attribute": "seats", "op": "gte", "value": 10},
    ]})
}

fn measure(bencher: Bencher<'_, '_>, state: Value, segments: Value) {
    let (ruleset, context) = (ruleset(state, segments), context());
    bencher.bench(|| {
        black_box(black_box(&ruleset).evaluate(black_box("new-checkout"), black_box(&context)));
    });
}

#[divan::bench]
fn no_rules(bencher: Bencher<'_, '_>) {
    measure(bencher, json!({"enabled": true, "fallthrough": {"variation": "on"}}), json!([]));
}

#[divan::bench]
fn two_conditions_and_a_split(bencher: Bencher<'_, '_>) {
    let split = json!({"split": {"salt": "01hzx3k9", "ranges": [
        {"variation": "on", "start": 0, "end": 50_000}, {"variation": "off", "start": 50_000, "end": 100_000},
    ]}});
    let rule = json!({"id": "r", "when": conditions(), "serve": split});
    measure(bencher, json!({"enabled": true, "rules": [rule]}), json!([]));
}

#[divan::bench]
fn two_conditions_and_an_experiment_behind_a_share(bencher: Bencher<'_, '_>) {
    let split = json!({"split": {"salt": "01hzx3k9", "share": "99.999%", "ranges": [
        {"variation": "on", "start": 0, "end": 50_000}, {"variation": "off", "start": 50_000, "end": 100_000},
    ], "run": {"number": 1, "kind": "experiment", "key": "e", "stage": 0}}});
    let rule = json!({"id": "r", "when": conditions(), "serve": split});
    measure(bencher, json!({"enabled": true, "rules": [rule]}), json!([]));
}

#[divan::bench]
fn ramp(bencher: Bencher<'_, '_>) {
    let ramp = json!({"ramp": {"salt": "01hzx3k9", "treatment": "on", "control": "off", "share": "25%",
        "run": {"number": 1, "kind": "rollout", "key": "r", "stage": 0}}});
    measure(bencher, json!({"enabled": true, "rules": [{"id": "r", "serve": ramp}]}), json!([]));
}

/// Needs one flag; needs one that needs another.
#[divan::bench(args = ["needed-1", "needed-2"])]
fn prerequisites(bencher: Bencher<'_, '_>, needed: &str) {
    let needs = json!([{"flag": needed, "variation": "on"}]);
    measure(bencher, json!({"enabled": true, "prerequisites": needs, "fallthrough": {"variation": "on"}}), json!([]));
}

#[divan::bench(args = [10, 100_000], sample_size = 128)]
fn segment_with_units(bencher: Bencher<'_, '_>, units: u32) {
    let units: Vec<String> = (0..units).map(|number| format!("user-{number}")).collect();
    let rule = json!({"id": "r", "when": {"segment": "s"}, "serve": {"variation": "on"}});
    let segments = json!([{"key": "s", "included": units}]);
    measure(bencher, json!({"enabled": true, "rules": [rule]}), segments);
}

#[divan::bench]
fn one_bucket(bencher: Bencher<'_, '_>) {
    bencher.bench(|| bucket(black_box("01hzx3k9"), black_box("user-1234567")));
}
