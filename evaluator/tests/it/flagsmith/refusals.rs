//! Whatever comes in, an answer or an error with its path comes out.

use liftgate_evaluator::flagsmith::{Reasons, evaluate_document_json, evaluate_json};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn an_error_names_the_path() {
    let condition = |operator: &str, value: Value| {
        json!({"environment": {"key": "e", "name": "E"}, "segments": {"4267": {"key": "1", "name": "s", "rules": [
            {"type": "ALL", "conditions": [{"property": "p", "operator": operator, "value": value}]}]}}})
    };
    let feature = |change: &str, value: Value| {
        let mut feature = json!({"key": "1", "name": "f", "enabled": true, "value": 1});
        feature[change] = value;
        json!({"environment": {"key": "e", "name": "E"}, "features": {"f": feature}})
    };
    for (context, path) in [
        (json!({}), "."),
        (json!({"environment": {"key": "e"}}), "environment"),
        (json!({"environment": {"key": "e", "name": 5}}), "environment.name"),
        (condition("LIKE", json!("x")), "segments.4267.rules[0].conditions[0].operator"),
        (condition("EQUAL", json!({})), "segments.4267.rules[0].conditions[0].value"),
        (feature("value", json!([])), "features.f.value"),
        (feature("variants", json!([{"value": 1, "weight": "x", "priority": 1}])), "features.f.variants[0].weight"),
        (feature("priority", json!("high")), "features.f.priority"),
    ] {
        let error = evaluate_json(&context.to_string(), Reasons::V11).unwrap_err();
        assert_eq!(error.path, path, "{error}");
    }
    assert_eq!(evaluate_json("{} more", Reasons::V11).unwrap_err().path, ".");
    let error = evaluate_document_json(r#"{"api_key": "e", "project": {"segments": [{}]}}"#, None, Reasons::V11);
    assert_eq!(error.unwrap_err().path, "project.segments[0]");
}

#[test]
fn deep_rules_are_no_danger() {
    let depth = 100_000;
    let rules = format!("{}{}", r#"[{"type":"ALL","rules":"#.repeat(depth), "}]".repeat(depth));
    let text = format!(
        r#"{{"environment":{{"key":"e","name":"E"}},"segments":{{"s":{{"key":"1","name":"s","rules":{rules}}}}}}}"#
    );
    assert!(evaluate_json(&text, Reasons::V11).is_err());
}

/// Any JSON, with names that contexts have among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        any::<String>().prop_map(Value::from),
    ];
    let name = prop_oneof![
        "environment|identity|features|segments|rules|conditions|key|name|value|type|traits|overrides|variants",
        ".{0,6}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A scalar such as a trait or a feature has.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        ".{0,8}".prop_map(Value::from),
        "-?[0-9]{1,45}(\\.[0-9]{1,4})?".prop_map(Value::from),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let operator = "EQUAL|NOT_EQUAL|GREATER_THAN|GREATER_THAN_INCLUSIVE|LESS_THAN|LESS_THAN_INCLUSIVE|CONTAINS|\
                    NOT_CONTAINS|REGEX|PERCENTAGE_SPLIT|MODULO|IS_SET|IS_NOT_SET|IN";
    let property = prop_oneof![
        "t|f|",
        r"\$\.flags\.[ab]\.(enabled|value|variant|reason)",
        r"\$\.(identity|features|segments|x)(\.[a-z]|\['.{0,4}'\]|\[-?[0-9]{1,20}\]|\[.{0,4}){0,4}",
        r"\$\..{0,12}",
    ];
    let comparand = prop_oneof![
        any::<String>().prop_map(Value::from),
        r"-?[0-9_.e]{0,9}\|-?[0-9.]{0,5}".prop_map(Value::from),
        r"[(\[{a-z0-9,*+?\\|)\]}:]{0,16}(:semver)?".prop_map(Value::from),
        prop::collection::vec(any_json(), 0..3).prop_map(Value::from),
    ];
    (property, operator, comparand)
        .prop_map(|(property, operator, value)| json!({"property": property, "operator": operator, "value": value}))
}

fn rule() -> impl Strategy<Value = Value> {
    let one = ("ALL|ANY|NONE", prop::collection::vec(condition(), 0..4))
        .prop_map(|(kind, conditions)| json!({"type": kind, "conditions": conditions}));
    one.prop_recursive(3, 12, 3, |inner| {
        ("ALL|ANY|NONE", prop::collection::vec(condition(), 0..2), prop::collection::vec(inner, 0..3))
            .prop_map(|(kind, conditions, rules)| json!({"type": kind, "conditions": conditions, "rules": rules}))
    })
}

fn feature(name: &'static str) -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(|it| json!(it)), (-1e300..1e300).prop_map(|it: f64| json!(it))];
    let variants = prop::collection::vec((scalar(), number.clone(), number.clone()), 0..30);
    (any::<bool>(), scalar(), variants, prop::option::of(number)).prop_map(move |(enabled, value, variants, priority)| {
        let variants: Vec<Value> = variants
            .into_iter()
            .map(|(value, weight, priority)| json!({"value": value, "weight": weight, "priority": priority}))
            .collect();
        json!({"key": name, "name": name, "enabled": enabled, "value": value, "variants": variants, "priority": priority})
    })
}

/// A well-formed context with contents of any kind.
fn context() -> impl Strategy<Value = Value> {
    let segment =
        (prop::collection::vec(rule(), 0..3), prop::collection::vec(prop_oneof![feature("a"), feature("b")], 0..3))
            .prop_map(|(rules, overrides)| json!({"key": "1", "name": "s", "rules": rules, "overrides": overrides}));
    let segments = prop::collection::vec(segment, 0..4);
    (segments, feature("a"), feature("b"), scalar(), any::<String>()).prop_map(|(segments, a, b, value, identifier)| {
        let segments: serde_json::Map<String, Value> =
            segments.into_iter().enumerate().map(|(number, segment)| (number.to_string(), segment)).collect();
        json!({
            "environment": {"key": "e", "name": "E"},
            "identity": {"identifier": identifier, "traits": {"t": value}},
            "features": {"a": a, "b": b},
            "segments": segments,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered_or_refused(text in any::<String>(), json in any_json()) {
        let _ = evaluate_json(&text, Reasons::V11);
        let _ = evaluate_json(&json.to_string(), Reasons::V11);
        let _ = evaluate_document_json(&json.to_string(), Some(&text), Reasons::V10);
    }

    #[test]
    fn any_context_has_one_answer(context in context()) {
        let text = context.to_string();
        let first = evaluate_json(&text, Reasons::V11).expect("the context is well formed");
        prop_assert_eq!(first.flags.len(), 2);
        prop_assert_eq!(evaluate_json(&text, Reasons::V11).unwrap(), first);
    }
}
