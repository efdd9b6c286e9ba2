//! Every operator against every kind of value: met as documented or not met, in linear time; shares that are none.

use liftgate_evaluator::{Context, Ruleset, Share, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::with_state;

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// One test of the attribute `a` for each operator.
fn every_operator() -> Vec<Value> {
    [
        ("equals", json!(5)),
        ("not_equals", json!("x")),
        ("in", json!(["x", 5, true])),
        ("not_in", json!(["x", 5, true])),
        ("contains", json!("xyz")),
        ("not_contains", json!("xyz")),
        ("has_any", json!(["x", 5])),
        ("has_all", json!(["x", 5])),
        ("has_none", json!(["x", 5])),
        ("starts_with", json!("xyz")),
        ("ends_with", json!("xyz")),
        ("matches", json!("(x+x+)+y")),
        ("gt", json!(5)),
        ("gte", json!("2026-01-31")),
        ("lt", json!(1e300)),
        ("lte", json!("2026-01-31")),
        ("days_since_gt", json!(1e300)),
        ("days_since_gte", json!(-1e300)),
        ("days_since_lt", json!(30)),
        ("days_since_lte", json!(30)),
        ("exists", json!(null)),
        ("not_exists", json!(null)),
        ("semver_eq", json!("1.2.3")),
        ("semver_lt", json!("1.2.3")),
        ("in_cidr", json!("10.0.0.0/8")),
        ("not_in_cidr", json!("::/0")),
    ]
    .map(|(op, value)| json!({"attribute": "a", "op": op, "value": value}))
    .to_vec()
}

/// The operators that an attribute meets.
fn met(attribute: Value) -> Vec<String> {
    let rule = |when: &Value| json!({"id": "r", "when": when, "serve": {"variation": "on"}});
    let context = Context::user("u").with("a", attribute);
    let is_met = |when: &&Value| {
        let ruleset = with_state(json!({"enabled": true, "rules": [rule(when)]}), json!([]));
        assert_eq!(ruleset.problems(), []);
        let answer = ruleset.evaluate_at("f", &context, NOW);
        assert_eq!(ruleset.explain("f", &context, NOW).evaluation, answer);
        answer.variation == Some("on")
    };
    every_operator().iter().filter(is_met).map(|when| when["op"].as_str().unwrap().to_owned()).collect()
}

/// What everything meets that is there but is not what an operator looks for.
const COMPLEMENTS: [&str; 6] = ["not_equals", "not_in", "not_contains", "has_none", "exists", "not_in_cidr"];

fn complements_and(more: &[&str]) -> Vec<String> {
    let order = every_operator();
    let order = order.iter().map(|when| when["op"].as_str().unwrap());
    order.filter(|op| COMPLEMENTS.contains(op) || more.contains(op)).map(str::to_owned).collect()
}

#[test]
fn huge_numbers_are_compared_and_are_no_times() {
    for number in [json!(u64::MAX), json!(i64::MAX), json!(1e299)] {
        assert_eq!(met(number.clone()), complements_and(&["gt", "lt"]), "{number}");
    }
    assert_eq!(met(json!(i64::MIN)), complements_and(&["lt"]));
    assert_eq!(met(json!(f64::MAX)), complements_and(&["gt"]));
    // Milliseconds: shortly after 1970, and as early as a time can be told.
    assert_eq!(met(json!(-0.0)), complements_and(&["lt", "days_since_gte"]));
    assert_eq!(met(json!(i64::MIN / 1_000)), complements_and(&["lt", "days_since_gte"]));
}

#[test]
fn nested_objects_and_lists_meet_nothing_but_what_is_complementary() {
    let deep = (0..100).fold(json!("x"), |inner, _| json!({"x": [inner]}));
    for nested in [json!({}), json!({"x": 5}), json!([]), json!([["x"], {"x": "x"}, null]), deep] {
        assert_eq!(met(nested.clone()), complements_and(&[]), "{nested}");
    }
    assert_eq!(met(json!(null)), ["not_equals", "not_in", "not_contains", "has_none", "not_exists", "not_in_cidr"]);
}

#[test]
fn a_megabyte_of_text_is_looked_through_in_linear_time() {
    // A backtracking engine would never finish `(x+x+)+y` on this.
    assert_eq!(met(json!("x".repeat(1 << 20))), complements_and(&[]));
    assert_eq!(
        met(json!("x".repeat(1 << 20) + "yz")),
        complements_and(&["contains", "ends_with", "matches"])
            .into_iter()
            .filter(|op| op != "not_contains")
            .collect::<Vec<_>>()
    );
    let list = json!(vec!["y"; 100_000]);
    assert_eq!(met(list), complements_and(&[]));
}

#[test]
fn percentages_outside_0_to_100_are_refused_by_name() {
    for text in ["-1%", "100.001%", "101%", "1e9%", "NaN%", "inf%", "-0.001%", "0.0001%", "%", "5", ""] {
        let error = text.parse::<Share>().unwrap_err().to_string();
        assert_eq!(error, format!("`{text}` is not a share: use 0% to 100% in steps of 0.001%, such as `2.5%`"));
        let ramp = json!({"ramp": {"salt": "s", "treatment": "on", "control": "off", "share": text}});
        let source = json!({"revision": 1, "flags": [{"flag": {"key": "f", "kind": "boolean"}, "state": {"enabled": true, "fallthrough": ramp}, "revision": 1}]});
        let ruleset = Ruleset::parse(&source.to_string()).unwrap();
        let problem = ruleset.problems()[0].to_string();
        assert!(problem.starts_with("flags.f.fallthrough.ramp.share: ") && problem.contains(&error), "{problem}");
    }
    for number in [-1.0, -0.001, 100.001, 1e300, f64::NAN, f64::INFINITY] {
        assert!(Share::from_percent(number).is_err(), "{number}");
    }
}

/// Values that nobody expects where they stand.
fn wild() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![
            "",
            "on",
            "f0",
            "f1",
            "s0",
            "user",
            "100%",
            "-5%",
            "(",
            "2026-01-31",
            "::/0",
            "\0",
            "in",
            "percentage"
        ])
        .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_answered_and_complements_are_exact(value in wild()) {
        let met = met(value);
        prop_assert_eq!(met.contains(&"exists".to_owned()), !met.contains(&"not_exists".to_owned()));
        prop_assert_eq!(met.contains(&"has_any".to_owned()), !met.contains(&"has_none".to_owned()));
    }
}
