//! Rulesets and contexts made up for laws: every operator, segments within segments, flags that need flags, all in
//! the wire form, most of them usable, and contexts that meet them often.

use liftgate_evaluator::Context;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const FLAGS: usize = 6;
const SEGMENTS: usize = 4;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec!["a", "B", "b", "", "2026-01-31", "10.0.0.1", "1.2.3", "::1"]).prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        select(vec![0.5, 1e300, 1_772_366_400_000.0]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn attribute() -> impl Strategy<Value = &'static str> {
    select(vec!["x", "y", "z", "targetingKey", "account_id"])
}

fn predicate() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(scalar(), 1..4).prop_map(Value::from);
    let operators = |names: &[&'static str]| select(names.to_vec());
    let with = |op: &str, value: Value| json!({"op": op, "value": value});
    let test = prop_oneof![
        (operators(&["equals", "not_equals", "contains", "not_contains", "has_any"]), scalar(), any::<bool>())
            .prop_map(|(op, value, fold)| json!({"op": op, "value": value, "ignore_case": fold})),
        (operators(&["in", "not_in", "has_any", "has_all", "has_none"]), list())
            .prop_map(move |(op, value)| with(op, value)),
        (operators(&["starts_with", "ends_with", "matches"]), select(vec!["a", "B", "^b", "1.2"]))
            .prop_map(move |(op, value)| with(op, value.into())),
        (operators(&["gt", "gte", "lt", "lte"]), select(vec![json!(0), json!(1.5), json!("2026-01-31")]))
            .prop_map(move |(op, value)| with(op, value)),
        (operators(&["days_since_gt", "days_since_gte", "days_since_lt", "days_since_lte"]), -40_i64..40)
            .prop_map(move |(op, value)| with(op, value.into())),
        operators(&["exists", "not_exists"]).prop_map(|op| json!({"op": op})),
        operators(&["semver_eq", "semver_gt", "semver_lte"]).prop_map(move |op| with(op, "1.2".into())),
        operators(&["in_cidr", "not_in_cidr"]).prop_map(move |op| with(op, json!(["10.0.0.0/8", "::/64"]))),
        (0_u32..=100, select(vec!["s", "t"]))
            .prop_map(|(share, salt)| json!({"op": "percentage", "value": share, "salt": salt})),
    ];
    (attribute(), test).prop_map(|(attribute, mut test)| {
        test["attribute"] = attribute.into();
        test
    })
}

/// A condition that refers to segments from `first` on, so that segments refer only to later ones.
fn condition(first: usize) -> impl Strategy<Value = Value> {
    let segment = (first..SEGMENTS.max(first + 1)).prop_map(|number| json!({"segment": format!("s{number}")}));
    let leaf = if first < SEGMENTS { prop_oneof![3 => predicate(), 1 => segment].boxed() } else { predicate().boxed() };
    leaf.prop_recursive(3, 12, 3, |inner| {
        let parts = prop::collection::vec(inner, 0..4);
        (select(vec!["all", "any", "none"]), parts).prop_map(|(name, parts)| json!({name: parts}))
    })
}

fn unit() -> impl Strategy<Value = String> {
    (0_u32..6).prop_map(|number| format!("u{number}"))
}

fn serve() -> impl Strategy<Value = Value> {
    let unit_type = || select(vec!["user", "account"]);
    let salt = || select(vec!["s", "t", "u"]);
    let run = |kind: &str| json!({"number": 3, "kind": kind, "key": "k", "stage": 1});
    prop_oneof![
        select(vec!["on", "off", "third"]).prop_map(|variation| json!({"variation": variation})),
        (unit_type(), salt(), 0_u32..=100, 1_u32..99_999, any::<bool>()).prop_map(move |(unit, salt, share, middle, has_run)| {
            let mut split = json!({"unit": unit, "salt": salt, "share": share, "ranges": [
                {"variation": "on", "start": 0, "end": middle}, {"variation": "off", "start": middle, "end": 100_000}]});
            if has_run {
                split["run"] = run("experiment");
            }
            json!({"split": split})
        }),
        (unit_type(), salt(), 0_u32..=100).prop_map(move |(unit, salt, share)| json!({"ramp": {
            "unit": unit, "salt": salt, "share": share, "treatment": "on", "control": "off", "run": run("rollout")}})),
    ]
}

fn state(number: usize) -> impl Strategy<Value = Value> {
    let later = (number + 1)..(FLAGS + 1).max(number + 2);
    let needed = prop::collection::btree_set(later, 0..3).prop_flat_map(|flags| {
        let one = |flag| {
            select(vec![json!(["on"]), json!(["off"]), json!(["on", "third"])])
                .prop_map(move |variations| json!({"flag": format!("f{flag}"), "variations": variations}))
        };
        flags.into_iter().map(one).collect::<Vec<_>>()
    });
    let target =
        prop::option::of(unit()).prop_map(|unit| unit.map(|unit| json!([{"variation": "third", "units": [unit]}])));
    let rules = prop::collection::vec((condition(0), serve()), 0..4).prop_map(|rules| {
        let rule = |(number, (when, serve)): (usize, (Value, Value))| json!({"id": format!("r{number}"), "when": when, "serve": serve});
        rules.into_iter().enumerate().map(rule).collect::<Vec<_>>()
    });
    (prop::bool::weighted(0.9), needed, target, rules, serve()).prop_map(|(enabled, needed, target, rules, fallthrough)| {
        json!({"enabled": enabled, "prerequisites": needed, "targets": target.unwrap_or(json!([])), "rules": rules, "fallthrough": fallthrough})
    })
}

/// The wire form of a ruleset of six flags `f0..`; now and then one is broken, since it needs a flag that is not there.
pub fn source() -> impl Strategy<Value = Value> {
    let flag = |number: usize| {
        state(number).prop_map(move |state| {
            let variations = json!([{"key": "on", "value": "1"}, {"key": "off", "value": "0"}, {"key": "third", "value": "3"}]);
            json!({"flag": {"key": format!("f{number}"), "kind": "string", "variations": variations, "off_variation": "off"},
                "state": state, "revision": number})
        })
    };
    let segment = |number: usize| {
        (condition(number + 1), prop::collection::btree_set(unit(), 0..3), unit()).prop_map(
            move |(when, included, excluded)| {
                let excluded: Vec<_> = [excluded].into_iter().filter(|unit| !included.contains(unit)).collect();
                json!({"key": format!("s{number}"), "when": when, "included": included, "excluded": excluded})
            },
        )
    };
    let flags: Vec<_> = (0..FLAGS).map(flag).collect();
    let segments: Vec<_> = (0..SEGMENTS).map(segment).collect();
    (flags, segments).prop_map(|(flags, segments)| {
        json!({"revision": 1, "flags": flags, "segments": segments,
            "unit_types": [{"name": "account", "attribute": "account_id"}]})
    })
}

/// A context that has some of the attributes which [`source`] asks for.
pub fn context() -> impl Strategy<Value = Context> {
    let value = prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!({"nested": {"deep": 1}})),
    ];
    let attributes = prop::collection::btree_map(attribute().prop_map(str::to_owned), value, 0..5);
    (prop::option::of(unit()), attributes)
        .prop_map(|(targeting_key, attributes)| Context { targeting_key, attributes: attributes.into_iter().collect() })
}
