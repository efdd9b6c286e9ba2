//! Weight edits of a split, as units see them: only those move who must.

use liftgate_evaluator::{Context, Range, ranges_for_weights};
use serde_json::{Value, json};

use crate::ruleset;

const UNITS: u32 = 200_000;

/// The variation of each unit.
fn served(ranges: &[Range]) -> Vec<String> {
    let variations: Vec<Value> = ["a", "b", "c"].map(|key| json!({"key": key, "value": key})).into();
    let split = json!({"split": {"salt": "s", "ranges": ranges}});
    let ruleset = ruleset(json!({"revision": 1, "flags": [{"revision": 1,
        "flag": {"key": "f", "kind": "string", "variations": variations, "off_variation": "a"},
        "state": {"enabled": true, "fallthrough": split}}]}));
    let variation = |number: u32| {
        let context = Context::user(format!("u{number}"));
        ruleset.evaluate("f", &context).variation.unwrap().to_owned()
    };
    (0..UNITS).map(variation).collect()
}

fn weighted(weights: &[(&str, u32)], old: &[Range]) -> Vec<Range> {
    let weights: Vec<_> = weights.iter().map(|(key, weight)| ((*key).to_owned(), *weight)).collect();
    ranges_for_weights(&weights, old).unwrap()
}

#[test]
fn a_weight_edit_moves_only_the_units_that_must_move() {
    let mut ranges = weighted(&[("a", 50), ("b", 50)], &[]);
    let mut before = served(&ranges);
    for (weights, must_move) in [
        (&[("a", 40), ("b", 60)][..], 0.1),
        (&[("a", 40), ("b", 40), ("c", 20)], 0.2),
        (&[("c", 20), ("b", 40), ("a", 40)], 0.0),
        (&[("b", 70), ("c", 30)], 0.4),
    ] {
        ranges = weighted(weights, &ranges);
        let now = served(&ranges);
        let moved = before.iter().zip(&now).filter(|(was, is)| was != is).count() as f64;
        let (expected, units) = (must_move * f64::from(UNITS), f64::from(UNITS));
        // Five standard deviations of a binomial count; the units are fixed, so this never flickers.
        let tolerance = 5.0 * (units * must_move * (1.0 - must_move)).sqrt();
        assert!((moved - expected).abs() <= tolerance, "{weights:?}: {moved} moved");
        before = now;
    }
}
