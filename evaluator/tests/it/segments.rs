//! Segments: lists, conditions, and segments that refer to segments.

use liftgate_evaluator::{Context, Reason, Ruleset};
use serde_json::{Value, json};

use crate::with_state;

fn ruleset_for(segment: &str, segments: Value) -> Ruleset {
    let rule = json!({"id": "r", "when": {"segment": segment}, "serve": {"variation": "on"}});
    with_state(json!({"enabled": true, "rules": [rule]}), segments)
}

fn is_in(ruleset: &Ruleset, context: &Context) -> bool {
    ruleset.evaluate("f", context).variation == Some("on")
}

#[test]
fn lists_win_over_the_condition() {
    let ruleset = ruleset_for(
        "beta",
        json!([{
            "key": "beta",
            "when": {"attribute": "plan", "op": "equals", "value": "pro"},
            "included": ["in"], "excluded": ["out"],
        }]),
    );
    for (unit, plan, expected) in
        [("in", "free", true), ("out", "pro", false), ("u", "pro", true), ("u", "free", false)]
    {
        let context = Context::user(unit).with("plan", plan);
        assert_eq!(is_in(&ruleset, &context), expected, "{unit} {plan}");
    }
    assert!(is_in(&ruleset, &Context::default().with("plan", "pro")));
}

#[test]
fn a_segment_without_a_condition_has_its_list_only() {
    let units: Vec<String> = (0..100_000).map(|number| format!("u{number}")).collect();
    let ruleset = ruleset_for("list", json!([{"key": "list", "included": units}]));
    assert!(is_in(&ruleset, &Context::user("u99999")));
    assert!(!is_in(&ruleset, &Context::user("u100000")));
    assert!(!is_in(&ruleset, &Context::default()));
}

#[test]
fn segments_refer_to_segments_in_any_order() {
    let ruleset = ruleset_for(
        "a",
        json!([
            {"key": "a", "when": {"all": [{"segment": "b"}, {"none": [{"segment": "c"}]}]}},
            {"key": "b", "when": {"any": [{"segment": "c"}, {"attribute": "x", "op": "exists"}]}},
            {"key": "c", "included": ["u1"]},
        ]),
    );
    assert_eq!(ruleset.problems(), []);
    assert!(is_in(&ruleset, &Context::user("u2").with("x", 1)));
    assert!(!is_in(&ruleset, &Context::user("u1").with("x", 1)));
    assert!(!is_in(&ruleset, &Context::user("u2")));
}

/// A ruleset in which the segment `s` is broken: paths and messages.
fn problems(segments: Value) -> Vec<String> {
    let ruleset = ruleset_for("s", segments);
    let context = Context::user("u");
    assert_eq!(ruleset.evaluate("f", &context).reason, Reason::Error);
    ruleset.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_broken_segment_breaks_the_flags_that_use_it_with_the_reason() {
    assert_eq!(problems(json!([])), ["flags.f.rules[0].when.segment: segment `s` is not known",]);
    assert_eq!(
        problems(json!([{"key": "s", "when": {"any": [{"segment": "nowhere"}]}}])),
        [
            "segments.s.when.any[0].segment: segment `nowhere` is broken: it is not declared",
            "flags.f.rules[0].when.segment: segment `s` is broken: when.any[0].segment: segment `nowhere` is broken: it is not declared",
        ]
    );
    let twice = problems(json!([{"key": "s"}, {"key": "s"}]));
    assert_eq!(twice[0], "segments.s.key: the key is declared more than once");
}

#[test]
fn a_circle_of_segments_is_named_and_those_outside_it_still_work() {
    let segments = json!([
        {"key": "s", "when": {"segment": "t"}},
        {"key": "t", "when": {"all": [{"segment": "fine"}, {"segment": "u"}]}},
        {"key": "u", "when": {"segment": "t"}},
        {"key": "fine", "included": ["x"]},
    ]);
    let found = problems(segments.clone());
    let circle = "segments refer to each other in a circle: t -> u -> t";
    assert_eq!(found[..2], [format!("segments.u.when: {circle}"), format!("segments.t.when: {circle}"),]);
    assert!(found[2].starts_with("segments.s.when.segment: segment `t` is broken"), "{found:?}");
    assert!(is_in(&ruleset_for("fine", segments), &Context::user("x")));
    assert!(problems(json!([{"key": "s", "when": {"segment": "s"}}]))[0].ends_with("s -> s"));
}

#[test]
fn a_chain_of_segments_is_bounded() {
    let chain = |length: usize| -> Value {
        let link =
            |number: usize| json!({"key": format!("s{number}"), "when": {"segment": format!("s{}", number + 1)}});
        let end = json!({"key": format!("s{}", length - 1), "included": ["x"]});
        (0..length - 1).map(link).chain([end]).collect()
    };
    assert!(is_in(&ruleset_for("s0", chain(16)), &Context::user("x")));
    let ruleset = ruleset_for("s0", chain(17));
    assert_eq!(ruleset.problems()[0].message, "more than 16 segments refer to each other");
}
