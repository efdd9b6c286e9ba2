//! Input that nobody means well: refused by name or met by no condition, and never a panic.

use liftgate_evaluator::{Context, Error, Ruleset, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::{ruleset, with_state, worlds};

/// Who of `contexts` meets the condition.
fn met_by(when: Value, contexts: &[Context]) -> Vec<bool> {
    let rule = json!({"id": "r", "when": when, "serve": {"variation": "on"}});
    let ruleset = with_state(json!({"enabled": true, "rules": [rule]}), json!([]));
    assert_eq!(ruleset.problems(), []);
    contexts.iter().map(|context| ruleset.evaluate("f", context).variation == Some("on")).collect()
}

#[test]
fn huge_numbers_are_compared_as_they_are() {
    let with = |value: Value| Context::user("u").with("x", value);
    let contexts = [
        with(json!(u64::MAX)),
        with(json!(i64::MIN)),
        with(json!(f64::MAX)),
        with(json!(f64::MIN_POSITIVE)),
        with(json!(-0.0)),
    ];
    let gt = |value: Value| met_by(json!({"attribute": "x", "op": "gt", "value": value}), &contexts);
    assert_eq!(gt(json!(0)), [true, false, true, true, false]);
    assert_eq!(gt(json!(i64::MAX)), [true, false, true, false, false]);
    assert_eq!(gt(json!(1e308)), [false, false, true, false, false]);
    assert_eq!(gt(json!(-1e308)), [true; 5]);
    let days = json!({"attribute": "x", "op": "days_since_gt", "value": 1});
    let ruleset = with_state(
        json!({"enabled": true, "rules": [{"id": "r", "when": days, "serve": {"variation": "on"}}]}),
        json!([]),
    );
    for context in &contexts {
        for now in [i64::MIN, 0, i64::MAX] {
            assert!(ruleset.evaluate_at("f", context, Timestamp::from_micros(now)).error.is_none());
        }
    }
    let beyond = Ruleset::parse("{\"revision\": 1,\n \"flags\": [1e999]}").unwrap_err();
    assert!(matches!(&beyond, Error::Ruleset { line: 2, message, .. } if message.contains("out of range")), "{beyond}");
}

#[test]
fn many_and_large_attributes_are_read_like_others() {
    let mut context = Context::user("u".repeat(1_000_000)).with("large", "x".repeat(1_000_000));
    for number in 0..10_000 {
        context = context.with(format!("a{number}"), number);
    }
    let contexts = [context];
    assert_eq!(met_by(json!({"attribute": "a9999", "op": "equals", "value": 9999}), &contexts), [true]);
    assert_eq!(met_by(json!({"attribute": "a10000", "op": "exists"}), &contexts), [false]);
    for (op, value, expected) in [
        ("starts_with", json!("xx"), true),
        ("contains", json!("xy"), false),
        ("matches", json!("^(x+x+)+y$"), false),
        ("in", json!(["x", "y"]), false),
        ("semver_gt", json!("1.0.0"), false),
        ("in_cidr", json!("10.0.0.0/8"), false),
        ("gt", json!("2026-01-01"), false),
    ] {
        assert_eq!(met_by(json!({"attribute": "large", "op": op, "value": value}), &contexts), [expected], "{op}");
    }
    let percentage = json!({"attribute": "targetingKey", "op": "percentage", "value": "100%", "salt": "s"});
    assert_eq!(met_by(percentage, &contexts), [true]);
}

#[test]
fn nested_attributes_exist_and_meet_no_comparison() {
    let deep = (0..100).fold(json!("DE"), |inner, _| json!({"country": inner}));
    let contexts = [deep, json!([["DE"], [{"DE": "DE"}]])].map(|value| Context::user("u").with("x", value));
    let met = |op: &str, value: Value| met_by(json!({"attribute": "x", "op": op, "value": value}), &contexts);
    for (op, value) in [
        ("equals", json!("DE")),
        ("in", json!(["DE"])),
        ("contains", json!("DE")),
        ("has_any", json!(["DE"])),
        ("has_all", json!(["DE"])),
        ("starts_with", json!("D")),
        ("matches", json!(".")),
        ("gt", json!(0)),
        ("semver_gte", json!("0.0.0")),
        ("in_cidr", json!("::/0")),
    ] {
        assert_eq!(met(op, value), [false, false], "{op}");
    }
    assert_eq!(met("exists", Value::Null), [true, true]);
    assert_eq!(met("not_equals", json!("DE")), [true, true]);
    // A unit is text: without one, a split passes over.
    let split =
        json!({"split": {"unit": "x", "salt": "s", "ranges": [{"variation": "on", "start": 0, "end": 100_000}]}});
    let ruleset = with_state(json!({"enabled": true, "fallthrough": split}), json!([]));
    assert_eq!(ruleset.evaluate("f", &contexts[0]).missing_unit, Some("x"));
}

#[test]
fn expressions_that_would_explode_are_refused_by_name_and_others_take_linear_time() {
    let state = |pattern: &str| json!({"enabled": true, "rules": [{"id": "r", "when": {"attribute": "x", "op": "matches", "value": pattern}, "serve": {"variation": "on"}}]});
    for pattern in
        ["(x{1000}){1000}", r"\pL{2000}", "((((x{99}){99}){99}){99}){99}", "(?=x)", r"(x)\1", "x{4294967296}"]
    {
        let found = with_state(state(pattern), json!([])).problems().to_vec();
        assert_eq!(found[0].path, "flags.f.rules[0].when.value", "{pattern}");
        assert!(found[0].message.contains("is not a usable regular expression"), "{}", found[0]);
    }
    let context = Context::user("u").with("x", "a".repeat(100_000) + "!");
    for pattern in ["^(a+)+$", "^(a|a)*$", "^(.*a){20}$"] {
        assert_eq!(with_state(state(pattern), json!([])).evaluate("f", &context).variation, Some("off"), "{pattern}");
    }
}

#[test]
fn text_that_is_nested_without_end_is_refused_with_its_place() {
    let depth = 100_000;
    for (open, close) in [("[", "]"), (r#"{"all":["#, "]}"), (r#"{"none":["#, "]}"), (r#"{"x":"#, "}")] {
        let text = format!(r#"{{"revision": 1, "flags": [{}1{}]}}"#, open.repeat(depth), close.repeat(depth));
        let error = Ruleset::parse(&text).unwrap_err();
        assert!(matches!(error, Error::Ruleset { line: 1, .. }), "{error}");
    }
}

fn wild() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![i64::MIN, -1, 0, 1, 100_001, i64::MAX]).prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        select(vec![
            "",
            "on",
            "f1",
            "s1",
            "-1%",
            "101%",
            "1e9%",
            "(",
            "9.9.9",
            "0000-00-00",
            "1.1.1.1/99",
            "\u{0}",
            "targetingKey"
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![
            "key|flag|state|all|none|segment|split|ramp|ranges|start|end|share|salt|attribute|op|value|enabled",
            ".{0,4}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a value, as RFC 6901 pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, element)| places(element, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            places(field, &format!("{at}/{name}"), found);
        }),
        _ => {}
    }
}

/// Evaluates and explains everything.
fn exercise(ruleset: &Ruleset, contexts: &[Context]) {
    for context in contexts {
        for now in [i64::MIN, 1_772_366_400_000_000, i64::MAX].map(Timestamp::from_micros) {
            for answer in ruleset.evaluate_all_at(context, now) {
                assert_eq!(answer.error.is_some(), answer.value.is_none());
                let explanation = ruleset.explain(&answer.flag, context, now);
                assert_eq!(explanation.evaluation, answer);
                assert!(!explanation.to_string().is_empty());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_ruleset_is_read_or_refused_and_then_answers_any_context(
        mut source in worlds::source(), changes in prop::collection::vec((any::<Index>(), wild()), 0..4),
        attributes in prop::collection::btree_map("x|y|z|account_id|targetingKey", wild(), 0..4),
        unit in prop::option::of(".{0,6}"), cut in any::<Index>(),
    ) {
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&source, "", &mut found);
            *source.pointer_mut(&found[place.index(found.len())]).unwrap() = value;
        }
        let text = source.to_string();
        let contexts = [Context { targeting_key: unit, attributes: attributes.into_iter().collect() }];
        if let Ok(ruleset) = Ruleset::parse(&text) {
            exercise(&ruleset, &contexts);
        }
        let cut = cut.index(text.len() + 1);
        if let Some(start) = text.get(..cut).filter(|_| cut < text.len()) {
            prop_assert!(Ruleset::parse(start).is_err());
        }
    }

    #[test]
    fn a_broken_flag_breaks_only_those_that_need_it(
        source in worlds::source(), broken in 0..6_usize, breakage in wild(), context in worlds::context(),
    ) {
        let mut changed = source.clone();
        changed["flags"][broken]["state"]["fallthrough"] = json!({"variation": ["no text", breakage]});
        let key = |number: usize| format!("f{number}");
        let mut lost = vec![key(broken)];
        for number in (0..broken).rev() {
            let state = &source["flags"][number]["state"];
            let needed = state["prerequisites"].as_array().unwrap();
            if needed.iter().any(|it| lost.iter().any(|key| it["flag"] == *key)) {
                lost.push(key(number));
            }
        }
        let (before, after) = (ruleset(source), Ruleset::parse(&changed.to_string()).unwrap());
        for answer in before.evaluate_all_at(&context, Timestamp::default()) {
            let now = after.evaluate_at(&answer.flag, &context, Timestamp::default());
            if lost.contains(&answer.flag.to_string()) {
                prop_assert!(now.error.is_some(), "{:?}", now);
            } else {
                prop_assert_eq!(now, answer);
            }
        }
    }
}
