//! The wire form: what is read, what is written, what is refused and how that is said.

use liftgate_evaluator::{Condition, Flag, FlagState, RulesetSource, Serve};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads and writes again.
fn rewritten<T: DeserializeOwned + serde::Serialize>(wire: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(wire.clone()).unwrap()).unwrap()
}

/// Why `wire` is refused, after the path of the field.
fn refusal<T: DeserializeOwned>(wire: &Value) -> String {
    match serde_path_to_error::deserialize::<_, T>(wire) {
        Ok(_) => panic!("{wire} was read"),
        Err(error) => error.to_string(),
    }
}

fn state() -> Value {
    json!({
        "enabled": true,
        "prerequisites": [{"flag": "other", "variations": ["on", "beta"]}],
        "targets": [{"variation": "on", "units": ["u1", "u2"]}],
        "rules": [
            {"id": "r1", "description": "why", "when": {"all": [
                {"any": [{"segment": "beta"}, {"attribute": "n", "op": "gte", "value": 3}]},
                {"none": [{"attribute": "x", "op": "exists"}, {"attribute": "e", "op": "in", "value": ["A"], "ignore_case": true}]},
                {"attribute": "account", "op": "percentage", "value": "25%", "salt": "s"},
            ]}, "serve": {"variation": "on"}},
            {"id": "r2", "serve": {"split": {
                "unit": "account", "salt": "s", "share": "12.5%",
                "ranges": [{"variation": "on", "start": 0, "end": 100000}],
                "run": {"number": 1, "kind": "experiment", "key": "e", "stage": 0},
            }}},
        ],
        "fallthrough": {"ramp": {"unit": "user", "salt": "s", "treatment": "on", "control": "off", "share": "0.001%"}},
    })
}

#[test]
fn what_is_read_is_written_the_same() {
    assert_eq!(rewritten::<FlagState>(&state()), state());
    let source = json!({"revision": 1, "segments": [{"key": "s", "name": "S", "included": ["a"]}],
        "unit_types": [{"name": "account", "attribute": "account_id"}],
        "flags": [{"flag": {"key": "f", "name": "F", "kind": "string", "variations": [{"key": "a", "value": "A"}],
            "off_variation": "a", "tags": ["t"], "owner": "o", "description": "d"}, "state": state(), "revision": 2}]});
    assert_eq!(rewritten::<RulesetSource>(&source), source);
}

#[test]
fn a_boolean_flag_may_leave_out_its_variations() {
    assert_eq!(
        rewritten::<Flag>(&json!({"key": "f", "kind": "boolean"})),
        json!({"key": "f", "kind": "boolean", "off_variation": "off",
            "variations": [{"key": "on", "value": true}, {"key": "off", "value": false}]}),
    );
}

#[test]
fn defaults_of_a_split_are_the_user_and_everybody() {
    let ranges = json!([{"variation": "on", "start": 0, "end": 100000}]);
    assert_eq!(
        rewritten::<Serve>(&json!({"split": {"salt": "s", "ranges": ranges}})),
        json!({"split": {"unit": "user", "salt": "s", "share": "100%", "ranges": ranges}}),
    );
}

#[test]
fn yaml_reads_like_json() {
    let yaml = serde_yaml_ng::to_string(&state()).unwrap();
    let read: FlagState = serde_yaml_ng::from_str(&yaml).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), state());
    let written = serde_yaml_ng::to_string(&read).unwrap();
    assert!(!written.contains('!'), "no tags: {written}");

    let by_hand: FlagState = serde_yaml_ng::from_str(
        "enabled: true\nrules:\n- id: r\n  when: {attribute: country, op: in, value: [DE, AT]}\n  serve: {variation: on}\n",
    )
    .unwrap();
    assert_eq!(by_hand.rules[0].serve, Serve::Variation("on".to_owned()));
}

#[test]
fn refusals_name_the_field_and_what_would_be_right() {
    let rule =
        |when: Value, serve: Value| json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": serve}]});
    let on = json!({"variation": "on"});
    let always = json!({"all": []});
    for (wire, parts) in [
        (json!({"enabled": true, "rulez": []}), ["rulez", "unknown field `rulez`"]),
        (json!({}), ["", "missing field `enabled`"]),
        (rule(json!({"attribute": "a"}), on.clone()), ["rules[0].when", "attribute `a` needs an `op`"]),
        (rule(json!({"attribute": "a", "op": "is"}), on.clone()), ["rules[0].when.op", "unknown variant `is`"]),
        (rule(json!({}), on.clone()), ["rules[0].when", "exactly one of `all`, `any`"]),
        (rule(json!({"all": [], "any": []}), on.clone()), ["rules[0].when", "exactly one of `all`, `any`"]),
        (rule(json!({"all": [], "op": "in"}), on.clone()), ["rules[0].when", "go with `attribute` only"]),
        (rule(json!({"all": [{"segment": "B"}]}), on), ["rules[0].when.all[0].segment", "`B` is not a key"]),
        (rule(always.clone(), json!({})), ["rules[0].serve", "exactly one of `variation`, `split` and `ramp`"]),
        (
            rule(always, json!({"ramp": {"salt": "s", "treatment": "on", "control": "off", "share": "5"}})),
            ["rules[0].serve.ramp.share", "`5` is not a share"],
        ),
    ] {
        let message = refusal::<FlagState>(&wire);
        for part in parts {
            assert!(message.contains(part), "{message} should have {part}");
        }
    }
    assert!(refusal::<Condition>(&json!("all")).contains("expected struct ConditionWire"));
}
