//! Rules that the published cases do not show: both dialects of reasons, conditions on other flags, casts, paths.

use liftgate_evaluator::flagsmith::{
    DocumentIdentity, EnvironmentDocument, EvaluationResult, Reasons, evaluate_document, evaluate_json, percentage,
};
use serde_json::{Value, json};

fn evaluate(context: &Value, reasons: Reasons) -> EvaluationResult {
    evaluate_json(&context.to_string(), reasons).unwrap()
}

/// Whether an identity with the trait `t` meets one condition.
fn meets(value: &Value, property: &str, operator: &str, comparand: &Value) -> bool {
    let context = json!({
        "environment": {"key": "env", "name": "Production"},
        "identity": {"identifier": "007", "traits": {"t": value}},
        "features": {"f": {"key": "1", "name": "f", "enabled": true, "value": "v",
            "variants": [{"value": "w", "weight": 0, "priority": 1}]}},
        "segments": {"s": {"key": "9", "name": "s", "rules": [{"type": "ALL", "conditions": [
            {"property": property, "operator": operator, "value": comparand},
        ]}]}},
    });
    !evaluate(&context, Reasons::V11).segments.is_empty()
}

/// Expected values are those of Flagsmith's own engine, version 11.1, except the last row.
#[test]
fn comparands_are_read_as_the_type_of_the_value() {
    for (value, operator, comparand, expected) in [
        (json!(7), "EQUAL", " 7 ", true),
        (json!(10), "EQUAL", "1_0", true),
        (json!(10), "EQUAL", "1__0", false),
        (json!(2), "EQUAL", "2.0", false),
        (json!(2.0), "EQUAL", "2", true),
        (json!("007"), "EQUAL", "7", true),
        (json!("007"), "IN", "007", false),
        (json!("007"), "IN", "7", true),
        (json!("1.5"), "IN", "1.5", false),
        (json!("abc"), "GREATER_THAN", "abb", true),
        (json!("10"), "GREATER_THAN", "9", true),
        (json!(1), "NOT_EQUAL", "x", false),
        (json!("1.0.0"), "NOT_EQUAL", "x:semver", false),
        (json!("1.0.0+one"), "EQUAL", "1.0.0+two:semver", true),
        (json!("123"), "CONTAINS", "2", false),
        (json!("a123"), "CONTAINS", "2", true),
        (json!(5), "NOT_CONTAINS", "2", false),
        (json!(null), "NOT_EQUAL", "x", false),
        (json!(-7), "MODULO", "4|1", true),
        (json!(7), "MODULO", "-4|-1", true),
        (json!(7), "MODULO", "0|0", false),
        (json!(7), "MODULO", "4|3|1", false),
        (json!("a1"), "REGEX", "1", false),
        (json!("a1"), "REGEX", "(?x) a # a comment", true),
        (json!(1e16), "REGEX", r"1e\+16$", true),
        (json!(0.00001), "REGEX", "1e-05$", true),
        (json!(true), "REGEX", "True", true),
        (json!("aa"), "REGEX", "(", false),
        (json!("aa"), "REGEX", r"(a)\1", false),
    ] {
        assert_eq!(meets(&value, "t", operator, &json!(comparand)), expected, "{value} {operator} {comparand}");
    }
}

#[test]
fn lists_are_json_or_have_commas() {
    for (value, list, expected) in [
        (json!(1), json!("[1, 2]"), true),
        (json!("True"), json!("[true]"), true),
        (json!("[1"), json!("[1,2"), true),
        (json!("a"), json!(["a", "b"]), true),
        (json!("a"), json!(null), false),
        (json!("x"), json!("[]"), false),
    ] {
        assert_eq!(meets(&value, "t", "IN", &list), expected, "{value} in {list}");
    }
}

#[test]
fn a_path_leads_to_one_scalar_of_the_context() {
    for (path, is_set) in [
        ("$.environment.name", true),
        ("$.environment['name']", true),
        ("$.identity.key", true),
        ("$.identity.traits[\"t\"]", true),
        ("$.features.f.variants[0].weight", true),
        ("$.features.f.variants[-1].value", true),
        ("$.features.f.variants[1].value", false),
        ("$.features.f.variants", false),
        ("$.identity", false),
        ("$.flags.f.value", true),
        ("$.flags['f'].enabled", true),
        ("$.flags.f", false),
        ("$.flags.g.value", false),
        ("$.flags", false),
        ("$.no-name", false),
        ("$.", false),
        ("$.a[", false),
        ("$.a['\\u12", false),
        ("$.a['é\\'']", false),
    ] {
        assert_eq!(meets(&json!("a"), path, "IS_SET", &json!("")), is_set, "{path}");
    }
    assert!(meets(&json!("a"), "$.identity.key", "EQUAL", &json!("env_007")), "the key is made when there is none");
}

#[test]
fn percentages_are_the_published_ones() {
    assert_eq!(percentage(&["78986", "test_env_foobar"]), 54.53090618123625);
    assert_eq!(percentage(&["78986", "user_36317"]), 80.62612522504502, "exactly 100 is hashed again");
    assert!((0.0..100.0).contains(&percentage(&[])));
}

#[test]
fn the_newer_dialect_says_static_where_nothing_is_targeted() {
    let context = json!({
        "environment": {"key": "e", "name": "E"},
        "features": {
            "alone": {"key": "1", "name": "alone", "enabled": true, "value": 1},
            "targeted": {"key": "2", "name": "targeted", "enabled": true, "value": 2},
        },
        "segments": {"s": {"key": "1", "name": "nobody", "rules": [],
            "overrides": [{"key": "3", "name": "targeted", "enabled": true, "value": 3}]}},
    });
    for (reasons, alone, targeted) in [(Reasons::V10, "DEFAULT", "DEFAULT"), (Reasons::V11, "STATIC", "DEFAULT")] {
        let flags = evaluate(&context, reasons).flags;
        let reason = |name: &str| flags.get(name).unwrap().reason.clone();
        assert_eq!((reason("alone").as_str(), reason("targeted").as_str()), (alone, targeted));
    }
}

/// Features by name, each off and turned on by a segment that wants another flag's `enabled` to be `true`.
fn dependent(edges: &[(&str, &str)]) -> Value {
    let features: serde_json::Map<String, Value> = edges
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!({"key": name, "name": name, "enabled": false, "value": "default"})))
        .collect();
    let segments: serde_json::Map<String, Value> = edges
        .iter()
        .map(|(name, needs)| {
            let condition =
                json!({"property": format!("$.flags.{needs}.enabled"), "operator": "EQUAL", "value": "true"});
            let over = json!({"key": name, "name": name, "enabled": true, "value": "on"});
            let rules = json!([{"type": "ALL", "conditions": [condition]}]);
            (format!("s-{name}"), json!({"key": name, "name": name, "rules": rules, "overrides": [over]}))
        })
        .collect();
    json!({"environment": {"key": "e", "name": "E"}, "features": features, "segments": segments})
}

#[test]
fn a_flag_may_depend_on_another() {
    let mut context = dependent(&[("a", "b"), ("b", "c"), ("c", "nothing")]);
    assert_eq!(evaluate(&context, Reasons::V11).flags.get("a").unwrap().reason, "DEFAULT");
    context["features"]["c"]["enabled"] = json!(true);
    let flags = evaluate(&context, Reasons::V11).flags;
    assert_eq!(flags.get("a").unwrap().reason, "TARGETING_MATCH; segment=a");
    assert_eq!(flags.get("c").unwrap().reason, "DEFAULT");
}

#[test]
fn flags_on_a_cycle_answer_the_default_and_say_so() {
    let context = dependent(&[("a", "b"), ("b", "c"), ("c", "b"), ("me", "me")]);
    let result = evaluate(&context, Reasons::V11);
    for name in ["b", "c", "me"] {
        let flag = result.flags.get(name).unwrap();
        assert_eq!(flag.reason, "ERROR; code=CIRCULAR_DEPENDENCY", "{name}");
        assert_eq!(flag.value, "default", "{name}");
    }
    assert_eq!(result.flags.get("a").unwrap().reason, "DEFAULT", "it only leads to the cycle");
    assert!(result.segments.is_empty());
}

#[test]
fn a_long_chain_of_flags_is_cut() {
    let names: Vec<String> = (0..5000).map(|number| format!("f{number:05}")).collect();
    let edges: Vec<(&str, &str)> = names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let flags = evaluate(&dependent(&edges), Reasons::V11).flags;
    assert_eq!(flags.len(), edges.len());
    assert_eq!(flags.get("f00001").unwrap().reason, "ERROR; code=DEPENDENCY_TOO_DEEP");
}

#[test]
fn flags_that_all_read_each_other_are_answered_soon() {
    let names: Vec<String> = (0..40).map(|number| format!("f{number:02}")).collect();
    let edges: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let mut context = dependent(&edges);
    let reads: Vec<Value> = names
        .iter()
        .map(|name| json!({"property": format!("$.flags.{name}.enabled"), "operator": "EQUAL", "value": "true"}))
        .collect();
    for segment in context["segments"].as_object_mut().unwrap().values_mut() {
        segment["rules"] = json!([{"type": "NONE", "conditions": reads}]);
    }
    let flags = evaluate(&context, Reasons::V11).flags;
    assert!(flags.values().all(|flag| flag.reason.starts_with("ERROR; code=")), "{flags:?}");
}

#[test]
fn deep_rules_on_a_long_chain_fit_the_stack() {
    let names: Vec<String> = (0..100).map(|number| format!("f{number:03}")).collect();
    let edges: Vec<(&str, &str)> = names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let mut context = dependent(&edges);
    for segment in context["segments"].as_object_mut().unwrap().values_mut() {
        for _ in 0..55 {
            segment["rules"] = json!([{"type": "ALL", "rules": segment["rules"].take()}]);
        }
    }
    let text = context.to_string();
    let evaluation = move || evaluate_json(&text, Reasons::V11).unwrap().flags.len();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(evaluation).unwrap();
    assert_eq!(thread.join().unwrap(), edges.len());
}

#[test]
fn overrides_of_an_identity_win_over_segments_in_the_older_form() {
    let state = |value: &str| {
        json!({"feature": {"id": 1, "name": "f", "type": "STANDARD"}, "enabled": true,
        "feature_state_value": value, "django_id": 5, "multivariate_feature_state_values": []})
    };
    let everybody = json!([{"type": "ALL", "rules": [], "conditions": []}]);
    let mut over = state("segment");
    over["feature_segment"] = json!({"priority": 0});
    let document: EnvironmentDocument = serde_json::from_value(json!({
        "api_key": "env",
        "project": {"segments": [{"id": 1, "name": "all", "rules": everybody, "feature_states": [over]}]},
        "feature_states": [state("default")],
        "identity_overrides": [{"identifier": "vip", "identity_features": [state("own")]}],
    }))
    .unwrap();
    for (identifier, value) in [("vip", "own"), ("other", "segment")] {
        let identity = DocumentIdentity { identifier: identifier.to_owned(), ..DocumentIdentity::default() };
        let result = evaluate_document(&document, Some(&identity), Reasons::V11);
        assert_eq!(result.flags.get("f").unwrap().value, value, "{identifier}");
        assert_eq!(result.segments.len(), 1, "{identifier}");
    }
}
