//! The laws of bucketing: whatever is edited, nobody moves who need not.

use std::collections::HashMap;

use liftgate_evaluator::{
    BUCKETS, CONTROL, Context, Ramp, Range, Ruleset, Serve, Share, Split, TREATMENT, bucket, check_tiling, ramp_arm,
    ranges_for_weights, share_bucket, split_bucket,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::{serving, with_state};

fn share() -> impl Strategy<Value = Share> {
    (0..=BUCKETS).prop_map(|parts| Share::from_ppc(parts).unwrap())
}

fn ramp(salt: &str, share: Share) -> Serve {
    Serve::Ramp(Ramp {
        unit: "user".to_owned(),
        salt: salt.to_owned(),
        treatment: "on".to_owned(),
        control: "off".to_owned(),
        share,
        run: None,
    })
}

fn split(salt: &str, share: Share) -> Serve {
    let range = |variation: &str, start, end| Range { variation: variation.to_owned(), start, end };
    Serve::Split(Split {
        unit: "user".to_owned(),
        salt: salt.to_owned(),
        share,
        ranges: vec![range("on", 0, 50_000), range("off", 50_000, BUCKETS)],
        run: None,
    })
}

/// The variation of a unit, and whether a bucket decided it.
fn served(ruleset: &Ruleset, flag: &str, unit: &str) -> (String, String) {
    let context = Context::user(unit);
    let answer = ruleset.evaluate(flag, &context);
    (answer.variation.unwrap().to_owned(), answer.reason.to_string())
}

proptest! {
    #[test]
    fn raising_a_share_never_moves_a_unit_out(
        low in share(), high in share(), salt in "[a-z]{1,8}",
        units in prop::collection::vec("[a-z0-9]{1,12}", 32),
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let (before, after) =
            (serving("f", &ramp(&salt, low)), serving("f", &ramp(&salt, high)));
        let (gate_before, gate_after) =
            (serving("f", &split(&salt, low)), serving("f", &split(&salt, high)));
        for unit in &units {
            let treated = |ruleset: &Ruleset| served(ruleset, "f", unit).0 == "on";
            prop_assert!(!treated(&before) || treated(&after));
            // Lowering it again removes exactly those who came in between the two shares.
            let came_last = (low.parts()..high.parts()).contains(&share_bucket(&salt, unit));
            prop_assert_eq!(treated(&after) && !treated(&before), came_last);

            let (was, is) = (served(&gate_before, "f", unit), served(&gate_after, "f", unit));
            prop_assert!(was.1 != "SPLIT" || was == is);
            prop_assert_eq!(was != is && is.1 == "SPLIT", came_last);
        }
    }

    #[test]
    fn nobody_changes_arms_and_arms_only_grow_below_one_half(
        low in share(), high in share(), bucket in 0..BUCKETS,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let (before, after) = (ramp_arm(bucket, low).arm(), ramp_arm(bucket, high).arm());
        prop_assert!(before.is_none() || after.is_none() || before == after);
        let half = Share::from_ppc(BUCKETS / 2).unwrap();
        if high <= half {
            prop_assert!(before.is_none() || before == after);
        }
        if low >= half {
            prop_assert!(after.is_none() || before == after);
        }
    }

    #[test]
    fn a_weight_edit_moves_the_least_mass(
        edits in prop::collection::vec(prop::collection::vec(0_u32..50, 5), 1..8),
    ) {
        let mut ranges: Vec<Range> = Vec::new();
        for edit in edits {
            let weights: Vec<(String, u32)> = ["a", "b", "c", "d", "e"]
                .iter()
                .zip(edit)
                .filter(|(_, weight)| *weight > 0)
                .map(|(name, weight)| ((*name).to_owned(), weight))
                .collect();
            prop_assume!(!weights.is_empty());
            let new = ranges_for_weights(&weights, &ranges).unwrap();
            check_tiling(&new).unwrap();

            let parts = parts_by_variation(&new);
            let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
            for (name, weight) in &weights {
                let exact = f64::from(BUCKETS) * f64::from(*weight) / f64::from(sum);
                prop_assert!((f64::from(parts[name.as_str()]) - exact).abs() < 1.0);
            }
            prop_assert_eq!(parts.len(), weights.len());

            if !ranges.is_empty() {
                let old = parts_by_variation(&ranges);
                let must_move: u32 = parts
                    .iter()
                    .map(|(name, parts)| parts.saturating_sub(old.get(name).copied().unwrap_or(0)))
                    .sum();
                prop_assert_eq!(moved(&ranges, &new), must_move);
            }
            prop_assert_eq!(&ranges_for_weights(&weights, &new).unwrap(), &new);
            ranges = new;
        }
    }

    #[test]
    fn a_flag_that_is_renamed_or_cloned_keeps_its_assignments(
        share in share(), name in "[a-z]{1,8}", unit in "\\PC{1,20}",
    ) {
        for serve in [ramp("salt", share), split("salt", share)] {
            let (original, clone) = (serving("original", &serve), serving(&name, &serve));
            prop_assert_eq!(served(&original, "original", &unit), served(&clone, &name, &unit));
        }
    }
}

fn parts_by_variation(ranges: &[Range]) -> HashMap<&str, u32> {
    let mut parts = HashMap::new();
    for range in ranges {
        *parts.entry(range.variation.as_str()).or_default() += range.parts();
    }
    parts
}

/// The buckets whose variation differs, by walking both lists: no cleverness shared with the code under test.
fn moved(old: &[Range], new: &[Range]) -> u32 {
    let overlap: u32 = old
        .iter()
        .flat_map(|left| new.iter().map(move |right| (left, right)))
        .filter(|(left, right)| left.variation == right.variation)
        .map(|(left, right)| left.end.min(right.end).saturating_sub(left.start.max(right.start)))
        .sum();
    BUCKETS - overlap
}

#[test]
fn analysed_arms_are_equal_at_every_share() {
    for parts in [0, 1, 5_000, 33_333, 49_999, 50_000, 50_001, 75_000, 99_999, 100_000] {
        let share = Share::from_ppc(parts).unwrap();
        let arms: Vec<_> = (0..BUCKETS).map(|bucket| ramp_arm(bucket, share)).collect();
        let count = |name| arms.iter().filter(|arm| arm.arm() == Some(name)).count() as u32;
        let smaller = parts.min(BUCKETS - parts);
        assert_eq!((count(TREATMENT), count(CONTROL)), (smaller, smaller), "{share}");
    }
}

const UNITS: u32 = 200_000;
const CELLS: usize = 10;
/// The data are fixed, so this is no flaky threshold: it would take a broken hash to fall below it.
const P_VALUE_MIN: f64 = 1e-3;

fn cell(bucket: u32) -> usize {
    bucket as usize * CELLS / BUCKETS as usize
}

/// Pearson's test that two bucket lines are independent, over a 10 x 10 table of sequential unit ids.
fn independence_p_value(one: impl Fn(&str) -> u32, other: impl Fn(&str) -> u32) -> f64 {
    let mut table = [[0.0; CELLS]; CELLS];
    for unit in 0..UNITS {
        let unit = format!("user-{unit}");
        table[cell(one(&unit))][cell(other(&unit))] += 1.0;
    }
    let rows = table.map(|row| row.iter().sum::<f64>());
    let columns: Vec<f64> = (0..CELLS).map(|j| table.iter().map(|row| row[j]).sum()).collect();
    let mut statistic = 0.0;
    for (row, total) in table.iter().zip(rows) {
        for (seen, column) in row.iter().zip(&columns) {
            let expected = total * column / f64::from(UNITS);
            statistic += (seen - expected).powi(2) / expected;
        }
    }
    let degrees = ((CELLS - 1) * (CELLS - 1)) as f64;
    ChiSquared::new(degrees).unwrap().sf(statistic)
}

#[test]
fn salts_and_lines_are_independent() {
    let share = |unit: &str| share_bucket("checkout", unit);
    assert!(independence_p_value(share, |unit| split_bucket("checkout", unit)) > P_VALUE_MIN);
    assert!(independence_p_value(share, |unit| share_bucket("checkout2", unit)) > P_VALUE_MIN);
    assert!(independence_p_value(share, |unit| bucket("checkout", unit)) > P_VALUE_MIN);
    // A holdout, and a share that a condition asks for by the same salt.
    let held_out = |unit: &str| bucket("holdout", unit);
    let by_condition = |unit: &str| bucket("checkout\0condition", unit);
    let split = |unit: &str| split_bucket("checkout", unit);
    assert!(independence_p_value(share, held_out) > P_VALUE_MIN && independence_p_value(split, held_out) > P_VALUE_MIN);
    assert!(independence_p_value(share, by_condition) > P_VALUE_MIN);
    assert!(independence_p_value(split, by_condition) > P_VALUE_MIN);
    // The test itself can tell: a line is not independent of itself.
    assert!(independence_p_value(share, share) < 1e-12);
}

#[test]
fn buckets_are_uniform() {
    let mut counts = [0.0; 100];
    for unit in 0..UNITS {
        counts[bucket("salt", &unit.to_string()) as usize / 1_000] += 1.0;
    }
    let expected = f64::from(UNITS) / 100.0;
    let statistic: f64 = counts.iter().map(|seen: &f64| (seen - expected).powi(2) / expected).sum();
    assert!(ChiSquared::new(99.0).unwrap().sf(statistic) > P_VALUE_MIN);
}

/// Whether each of a million users is treated by a ramp of this share.
fn treated(percent: f64) -> Vec<bool> {
    let ruleset = serving("f", &ramp("salt", Share::from_percent(percent).unwrap()));
    let mut context = Context::default();
    let is_treated = |number: u32| {
        context.targeting_key = Some(format!("user-{number}"));
        ruleset.evaluate("f", &context).variation == Some("on")
    };
    (0..1_000_000).map(is_treated).collect()
}

#[test]
fn a_rising_ramp_only_adds_among_a_million_units() {
    let mut before = treated(0.0);
    assert!(!before.contains(&true));
    for percent in [0.1, 1.0, 10.0, 50.0, 100.0] {
        let after = treated(percent);
        assert!(before.iter().zip(&after).all(|(was, is)| is >= was), "{percent}");
        let (count, expected) = (after.iter().filter(|is| **is).count() as f64, percent * 10_000.0);
        let deviation = (expected * (1.0 - percent / 100.0)).sqrt();
        assert!((count - expected).abs() <= 4.0 * deviation, "{percent}: {count}");
        before = after;
    }
}

#[test]
fn nobody_moves_when_everything_but_the_salt_is_edited() {
    let flag = |key: &str, name: &str, revision: u64, extra_rule: bool| {
        let split = json!({"split": {"salt": "s", "share": "60%", "ranges": [
            {"variation": "on", "start": 0, "end": 30_000}, {"variation": "off", "start": 30_000, "end": 100_000}]}});
        let ramp = json!({"ramp": {"salt": "t", "share": "30%", "treatment": "on", "control": "off"}});
        let mut rules = vec![json!({"id": name, "description": name, "serve": split})];
        if extra_rule {
            let nobody = json!({"attribute": "nowhere", "op": "exists"});
            rules.insert(0, json!({"id": "new", "when": nobody, "serve": {"variation": "on"}}));
        }
        json!({"flag": {"key": key, "name": name, "description": name, "tags": [name], "owner": name, "kind": "boolean"},
            "state": {"enabled": true, "rules": rules, "fallthrough": ramp}, "revision": revision})
    };
    let source = |revision: u64, flags: Vec<Value>| crate::ruleset(json!({"revision": revision, "flags": flags}));
    let before = source(1, vec![flag("f", "old", 1, false)]);
    let after = source(
        u64::MAX,
        vec![flag("other", "x", 9, true), flag("renamed", "new-name", 99, true), flag("f", "old", 2, false)],
    );
    for unit in 0..5_000 {
        let unit = format!("user-{unit}");
        let was = served(&before, "f", &unit);
        assert!(["other", "renamed", "f"].into_iter().all(|flag| served(&after, flag, &unit) == was), "{unit}");
    }
}

#[test]
fn each_segment_has_its_own_share() {
    let ramp = |share: &str| json!({"ramp": {"salt": "s", "share": share, "treatment": "on", "control": "off"}});
    let rule = |id: &str, share: &str| json!({"id": id, "when": {"segment": id}, "serve": ramp(share)});
    let is = |name: &str| json!({"attribute": name, "op": "equals", "value": true});
    let state =
        json!({"enabled": true, "rules": [rule("beta", "100%"), rule("premium", "50%")], "fallthrough": ramp("25%")});
    let segments = json!([{"key": "beta", "when": is("beta")}, {"key": "premium", "when": is("premium")}]);
    let ruleset = with_state(state, segments);
    let treated = |unit: u32, attributes: &[&str]| {
        let context = attributes.iter().fold(Context::user(format!("u{unit}")), |it, name| it.with(*name, true));
        ruleset.evaluate("f", &context).variation == Some("on")
    };
    let count =
        |attributes: &[&str]| (0..UNITS).filter(|unit| treated(*unit, attributes)).count() as f64 / f64::from(UNITS);
    assert_eq!((count(&["beta"]), count(&["beta", "premium"])), (1.0, 1.0), "the first rule that matches");
    assert!((count(&["premium"]) - 0.5).abs() < 0.01);
    assert!((count(&[]) - 0.25).abs() < 0.01);
    // On one salt nobody loses the feature by joining a segment with a larger share.
    assert!((0..UNITS).all(|unit| !treated(unit, &[]) || treated(unit, &["premium"])));
}

#[test]
fn individual_targets_win_over_every_rule_both_ways() {
    for (served, other) in [("on", "off"), ("off", "on")] {
        let everybody = json!({"id": "everybody", "serve": {"variation": other}});
        let state = json!({"enabled": true, "rules": [everybody], "fallthrough": {"variation": other},
            "targets": [{"variation": served, "units": ["ada"]}]});
        let ruleset = with_state(state, json!([]));
        let answer = |unit: &str| ruleset.evaluate("f", &Context::user(unit)).variation.map(str::to_owned);
        assert_eq!((answer("ada").as_deref(), answer("bob").as_deref()), (Some(served), Some(other)));
    }
}
