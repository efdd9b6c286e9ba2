//! Rulesets from text: what is broken stays in its own slot, and what cannot be read has a place in the text.

use liftgate_evaluator::{Context, Error, EvaluationError, Reason, Ruleset};
use serde_json::{Value, json};

fn flag(key: &str, state: Value) -> Value {
    json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 3})
}

fn on(when: Value) -> Value {
    json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": {"variation": "on"}}]})
}

fn parse(source: &Value) -> Ruleset {
    Ruleset::parse(&source.to_string()).unwrap()
}

#[test]
fn a_flag_that_cannot_be_read_is_an_error_in_its_own_slot() {
    let ramp = |share: Value| json!({"enabled": true, "fallthrough": {"ramp": {"salt": "s", "treatment": "on", "control": "off", "share": share}}});
    let source = json!({"revision": 1, "flags": [
        flag("fine", ramp(json!("100%"))),
        flag("too-much", ramp(json!("100.5%"))),
        flag("negative", ramp(json!(-1))),
        flag("very-much", ramp(json!(1_000_000))),
        flag("no-operator", on(json!({"attribute": "x", "op": "is_nearly", "value": 1}))),
        {"flag": {"key": "no-state", "kind": "boolean"}, "revision": 3},
        {"flag": {"key": "no-kind"}, "state": {"enabled": true}, "revision": "soon"},
        flag("twice", on(json!({"all": []}))),
        flag("twice", on(json!({"some": []}))),
        flag("needs-it", json!({"enabled": true, "prerequisites": [{"flag": "negative", "variations": ["on"]}]})),
    ]});
    let ruleset = parse(&source);
    let problems: Vec<String> = ruleset.problems().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(problems.join("\n"), @r###"
    flags.negative.fallthrough.ramp.share: `-1%` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`
    flags.no-kind.flag: missing field `kind`
    flags.no-operator.rules[0].when.op: unknown variant `is_nearly`, expected one of `equals`, `not_equals`, `in`, `not_in`, `contains`, `not_contains`, `has_any`, `has_all`, `has_none`, `starts_with`, `ends_with`, `matches`, `gt`, `gte`, `lt`, `lte`, `days_since_gt`, `days_since_gte`, `days_since_lt`, `days_since_lte`, `exists`, `not_exists`, `semver_eq`, `semver_gt`, `semver_gte`, `semver_lt`, `semver_lte`, `in_cidr`, `not_in_cidr`, `percentage`
    flags.no-state: missing field `state`
    flags.too-much.fallthrough.ramp.share: `100.5%` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`
    flags.twice.key: the key is declared more than once
    flags.very-much.fallthrough.ramp.share: `1000000%` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`
    flags.needs-it.prerequisites[0].flag: flag `negative` is broken: fallthrough.ramp.share: `-1%` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`
    "###);
    let context = Context::user("u");
    assert_eq!(ruleset.evaluate("fine", &context).variation, Some("on"));
    for broken in ["too-much", "negative", "very-much", "no-operator", "no-state", "no-kind", "twice", "needs-it"] {
        let answer = ruleset.evaluate(broken, &context);
        assert_eq!((answer.reason, answer.value), (Reason::Error, None), "{broken}");
        assert!(matches!(answer.error, Some(EvaluationError::BrokenFlag(_))), "{broken}");
    }
    assert_eq!((ruleset.len(), ruleset.evaluate("negative", &context).revision), (9, 3));
}

#[test]
fn a_segment_that_cannot_be_read_breaks_the_flags_that_use_it_alone() {
    let ruleset = parse(&json!({"revision": 1,
        "flags": [flag("a", on(json!({"segment": "broken"}))), flag("b", on(json!({"segment": "fine"})))],
        "segments": [{"key": "broken", "included": ["u", 7]}, {"key": "fine", "included": ["u"]},
            {"key": "above", "when": {"segment": "broken"}}],
    }));
    let problems: Vec<String> = ruleset.problems().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(problems.join("\n"), @r###"
    segments.broken.included[1]: invalid type: integer `7`, expected a string
    segments.above.when.segment: segment `broken` is broken: included[1]: invalid type: integer `7`, expected a string
    flags.a.rules[0].when.segment: segment `broken` is broken: included[1]: invalid type: integer `7`, expected a string
    "###);
    let context = Context::user("u");
    assert_eq!(ruleset.evaluate("a", &context).reason, Reason::Error);
    assert_eq!(ruleset.evaluate("b", &context).variation, Some("on"));
}

#[test]
fn what_refuses_the_whole_has_a_path_and_a_place() {
    let refusals: Vec<String> = [
        "",
        "{\"revision\": 1,\n \"flags\": [}]",
        "{\"revision\": -1}",
        "{\"revision\": 1, \"flgs\": []}",
        "{\"revision\": 1,\n \"flags\": [\n  {\"flag\": {\"key\": \"No Key\", \"kind\": \"boolean\"}, \"state\": {\"enabled\": true}, \"revision\": 1}]}",
        "{\"revision\": 1, \"unit_types\": [{\"name\": \"account\"}]}",
        "{\"revision\": 1} more",
    ]
    .into_iter()
    .map(|text| Ruleset::parse(text).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(refusals.join("\n"), @r###"
    the ruleset cannot be read at `.`, line 1, column 0: EOF while parsing a value
    the ruleset cannot be read at `flags[0]`, line 2, column 12: expected value
    the ruleset cannot be read at `revision`, line 1, column 15: invalid value: integer `-1`, expected u64
    the ruleset cannot be read at `flgs`, line 1, column 22: unknown field `flgs`, expected one of `revision`, `flags`, `segments`, `unit_types`, `environment`
    the ruleset cannot be read at `flags[0]`, line 3, column 92: `flag.key`: `No Key` is not a key: use 1 to 128 of a-z, 0-9, `_`, `.` and `-`, beginning with a letter or a digit
    the ruleset cannot be read at `unit_types[0]`, line 1, column 50: missing field `attribute`
    the ruleset cannot be read at `.`, line 1, column 17: trailing characters
    "###);
    let place = Ruleset::parse("{\"revision\": 1,\n \"flags\": [}]").unwrap_err();
    assert!(matches!(place, Error::Ruleset { line: 2, column: 12, .. }), "{place:?}");
}

#[test]
fn text_and_types_give_the_same_ruleset() {
    let source = json!({"revision": 5, "flags": [flag("f", on(json!({"attribute": "n", "op": "gt", "value": 0.1})))]});
    let (parsed, compiled) = (parse(&source), crate::ruleset(source));
    for context in [Context::user("u").with("n", 0.1), Context::user("u").with("n", 0.2)] {
        assert_eq!(parsed.evaluate("f", &context), compiled.evaluate("f", &context));
    }
    assert_eq!(parsed.revision(), 5);
}
