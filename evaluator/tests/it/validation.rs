//! Every problem at once, each with the path of its field.

use liftgate_evaluator::{Flag, FlagState, Segment, validate, validate_segment};
use serde_json::{Value, json};

fn problems(flag: Value, state: Value) -> Vec<String> {
    let flag: Flag = serde_json::from_value(flag).unwrap();
    let state: FlagState = serde_json::from_value(state).unwrap();
    validate(&flag, Some(&state)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_flag_has_no_problems() {
    let state = json!({"enabled": true, "rules": [{"id": "r", "when": {"segment": "elsewhere"}, "serve": {"variation": "on"}}]});
    assert_eq!(problems(json!({"key": "f", "kind": "boolean"}), state), [""; 0]);
}

#[test]
fn all_problems_of_a_flag_are_found_at_once() {
    let flag = json!({"key": "f", "kind": "number", "off_variation": "none", "variations": [
        {"key": "one", "value": 1}, {"key": "one", "value": "1"}, {"key": "", "value": 2},
    ]});
    insta::assert_snapshot!(problems(flag, json!({"enabled": true})).join("\n"), @r###"
    variations[1].key: `one` is the key of an earlier variation
    variations[1].value: `"1"` is not a number value
    variations[2].key: a variation needs a key
    off_variation: `none` is not a variation (there are: `one`, `one`, ``)
    "###);
    let empty = json!({"key": "f", "kind": "string"});
    insta::assert_snapshot!(problems(empty, json!({"enabled": true})).join("\n"), @r###"
    variations: a string flag needs at least one
    off_variation: name the variation that is served while disabled
    "###);
}

#[test]
fn all_problems_of_a_state_are_found_at_once() {
    let range = |variation: &str, start: u32, end: u32| json!({"variation": variation, "start": start, "end": end});
    let state = json!({
        "enabled": true,
        "targets": [{"variation": "on", "units": ["u1", ""]}, {"variation": "of", "units": ["u1"]}],
        "rules": [
            {"id": "r", "when": {"all": [{"attribute": "email", "op": "matches", "value": "("}, {"none": [{"attribute": "", "op": "semver_gt", "value": "x"}]}]},
             "serve": {"split": {"salt": "", "ranges": [range("on", 0, 40_000), range("maybe", 50_000, 100_000)]}}},
            {"id": "r", "serve": {"ramp": {"unit": "", "salt": "a\u{0}b", "treatment": "on", "control": "on", "share": "5%"}}},
        ],
        "fallthrough": {"variation": "yes"},
    });
    insta::assert_snapshot!(problems(json!({"key": "f", "kind": "boolean"}), state).join("\n"), @r###"
    targets[0].units[1]: a unit id is not empty
    targets[1].variation: `of` is not a variation (there are: `on`, `off`)
    targets[1].units[0]: `u1` already gets `on`
    rules[0].serve.split.salt: a salt is not empty
    rules[0].serve.split.ranges: ranges are not usable: range 1 `50000..100000` leaves a gap: it must start at 40000
    rules[0].serve.split.ranges[1].variation: `maybe` is not a variation (there are: `on`, `off`)
    rules[1].id: `r` is the id of an earlier rule
    rules[1].serve.ramp.unit: a unit type needs a name
    rules[1].serve.ramp.salt: a salt has no NUL character
    rules[1].serve.ramp.control: treatment and control are the same variation
    fallthrough.variation: `yes` is not a variation (there are: `on`, `off`)
    rules[0].when.all[0].value: `(` is not a usable regular expression: unclosed group
    rules[0].when.all[1].none[0].attribute: an attribute needs a name
    rules[0].when.all[1].none[0].value: `semver_gt` needs a semantic version as text, such as `1.2.3`
    "###);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let inner = json!({"attribute": "a", "op": "exists"});
        let when = (1..depth).fold(inner, |inner, _| json!({"all": [inner]}));
        json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": {"variation": "on"}}]})
    };
    let flag = json!({"key": "f", "kind": "boolean"});
    assert_eq!(problems(flag.clone(), nested(32)), [""; 0]);
    assert!(problems(flag, nested(33))[0].ends_with("conditions are nested deeper than 32"));
}

#[test]
fn problems_of_a_segment_are_found() {
    let segment: Segment = serde_json::from_value(json!({
        "key": "s", "included": ["a", "b"], "excluded": ["c", "b"],
        "when": {"any": [{"attribute": "x", "op": "in", "value": []}]},
    }))
    .unwrap();
    let found: Vec<String> = validate_segment(&segment).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @r###"
    excluded[1]: `b` is included as well
    when.any[0].value: `in` needs a list of texts, numbers, true or false, not empty
    "###);
}
