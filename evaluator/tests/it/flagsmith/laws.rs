//! Laws of splits: the same identity always gets the same variant, and a larger share never takes anybody out.

use liftgate_evaluator::flagsmith::{EvaluationResult, Reasons, evaluate_json, percentage};
use proptest::prelude::*;
use serde_json::{Value, json};

fn evaluate(context: &Value) -> EvaluationResult {
    evaluate_json(&context.to_string(), Reasons::V11).unwrap()
}

fn context(identifier: &str, limit: f64, weights: &[f64]) -> Value {
    let variants: Vec<Value> = weights
        .iter()
        .enumerate()
        .map(|(number, weight)| json!({"key": format!("v{number}"), "value": number, "weight": weight, "priority": number}))
        .collect();
    json!({
        "environment": {"key": "env", "name": "E"},
        "identity": {"identifier": identifier},
        "features": {"f": {"key": "78986", "name": "f", "enabled": true, "value": "control", "variants": variants}},
        "segments": {"s": {"key": "4267", "name": "s", "rules": [{"type": "ALL", "conditions": [
            {"property": "", "operator": "PERCENTAGE_SPLIT", "value": limit.to_string()},
        ]}]}},
    })
}

fn variant(result: &EvaluationResult) -> Option<&str> {
    result.flags.get("f").unwrap().variant.as_deref()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn percentages_stay_on_their_line(ids in prop::collection::vec(any::<String>(), 0..4)) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        prop_assert!((0.0..100.0).contains(&percentage(&ids)));
    }

    #[test]
    fn the_same_identity_gets_the_same_variant(identifier in "[a-z0-9-]{1,20}", weight in 0.0..100.0_f64, name in ".{0,9}") {
        let one = context(&identifier, 50.0, &[weight, 100.0 - weight]);
        let mut other = one.clone();
        other["environment"]["name"] = json!(name);
        other["identity"]["traits"] = json!({"anything": name});
        let (one, other) = (evaluate(&one), evaluate(&other));
        prop_assert_eq!(variant(&one), variant(&other));
    }

    #[test]
    fn a_larger_percentage_keeps_everybody(identifier in "[a-z0-9-]{1,20}", less in 0.0..100.0_f64, more in 0.0..100.0_f64) {
        let (less, more) = (less.min(more), less.max(more));
        let in_less = !evaluate(&context(&identifier, less, &[])).segments.is_empty();
        let in_more = !evaluate(&context(&identifier, more, &[])).segments.is_empty();
        prop_assert!(in_more || !in_less);
        prop_assert!(!evaluate(&context(&identifier, 100.0, &[])).segments.is_empty());
    }

    #[test]
    fn a_larger_first_variant_keeps_everybody(identifier in "[a-z0-9-]{1,20}", less in 0.0..100.0_f64, more in 0.0..100.0_f64) {
        let (less, more) = (less.min(more), less.max(more));
        let is_in = |weight: f64| variant(&evaluate(&context(&identifier, 0.0, &[weight]))) == Some("v0");
        prop_assert!(is_in(more) || !is_in(less));
    }
}

#[test]
fn splits_have_the_sizes_of_their_weights() {
    let units = 20_000;
    let mut counts = [0_i32; 3];
    for unit in 0..units {
        let result = evaluate(&context(&format!("user-{unit}"), 0.0, &[20.0, 30.0]));
        counts[match variant(&result) {
            Some("v0") => 0,
            Some("v1") => 1,
            _ => 2,
        }] += 1;
    }
    // Five standard deviations of a binomial of a half are below 360.
    for (count, expected) in counts.into_iter().zip([4000, 6000, 10_000]) {
        assert!((count - expected).abs() < 360, "{counts:?}");
    }
}
