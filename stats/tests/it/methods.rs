//! The fixed-horizon methods against outside references and against the values printed in the design.

use liftgate_stats::exact::mid_p;
use liftgate_stats::lift::fieller::{ArmMean, lift};
use liftgate_stats::proportion::{self, Count, Table, score_p_value};
use liftgate_stats::welch::welch;
use liftgate_stats::{
    ComparisonVerdict, Direction, Method, Moments, Outcome, SrmError, Warning, compare, srm_chi_square,
};
use serde::Deserialize;

use crate::oracle::{assert_close, number, tables};

const TOLERANCE: f64 = 1e-9;

#[test]
fn welch_and_fieller_agree_with_the_references() {
    for row in &tables(include_str!("../fixtures/means.json"))["welch"] {
        let value = |index: usize| number(&row[index]);
        let arm = |index: usize| Moments { n: value(index) as u64, mean: value(index + 1), m2: value(index + 2) };
        let (control, treatment) = (arm(0), arm(3));
        let found = welch(&control, &treatment, value(6)).expect("the arms vary");
        assert_close(found.statistic, value(7), TOLERANCE, "t");
        assert_close(found.df, value(8), TOLERANCE, "df");
        assert_close(found.p_value, value(9), TOLERANCE, "p");
        assert_close(found.difference.lower, value(10), TOLERANCE, "lower");
        assert_close(found.difference.upper, value(11), TOLERANCE, "upper");
        let mean = |arm: &Moments| ArmMean { mean: arm.mean, variance: arm.m2 / (arm.n - 1) as f64 / arm.n as f64 };
        let lift = lift(mean(&control), mean(&treatment), found.critical);
        assert_eq!(lift.is_none(), row[12] == "none", "{row:?}");
        if let Some(lift) = lift {
            assert_close(lift.lower, value(12), TOLERANCE, "lift lower");
            assert_close(lift.upper, value(13), TOLERANCE, "lift upper");
        }
    }
}

fn table(row: &[String]) -> Table {
    let count = |index: usize| {
        let value = |text: &String| text.parse().expect("a count");
        Count::new(value(&row[index]), value(&row[index + 1])).expect("a count of units")
    };
    Table { treatment: count(0), control: count(2) }
}

#[test]
fn score_test_and_miettinen_nurminen_intervals_agree_with_the_references() {
    for row in &tables(include_str!("../fixtures/proportions.json"))["score"] {
        let (table, alpha) = (table(row), number(&row[4]));
        assert_close(score_p_value(table), number(&row[5]), TOLERANCE, "p");
        let difference = proportion::difference(table, alpha);
        assert_close(difference.lower, number(&row[6]), TOLERANCE, "lower");
        assert_close(difference.upper, number(&row[7]), TOLERANCE, "upper");
        let lift = proportion::lift(table, alpha).expect("there are control events");
        assert_close(lift.lower, number(&row[8]), TOLERANCE, "lift lower");
        assert_close(lift.upper, number(&row[9]), TOLERANCE, "lift upper");
    }
}

#[test]
fn mid_p_agrees_with_exact_sums() {
    for row in &tables(include_str!("../fixtures/proportions.json"))["mid_p"] {
        let found = mid_p(table(row), number(&row[4]));
        assert_close(found.p_value, number(&row[5]), TOLERANCE, "p");
        assert_close(found.odds_lower, number(&row[6]), TOLERANCE, "odds lower");
        assert_close(found.odds_upper, number(&row[7]), TOLERANCE, "odds upper");
    }
}

#[test]
fn comparisons_printed_in_the_design_come_out() {
    // gbstats: sums and sums of squares of 3407 and 3461 units.
    let arm = |n: u64, sum: f64, squares: f64| Moments { n, mean: sum / n as f64, m2: squares - sum * sum / n as f64 };
    let (control, treatment) = (arm(3407, 1396.87, 52377.9767), arm(3461, 2422.7, 134_698.29));
    let found = compare(Outcome::Mean, Direction::Increase, &control, &treatment, 0.05);
    let absolute = found.absolute.expect("the arms vary");
    let within = |found: f64, expected: f64, tolerance: f64| assert!((found - expected).abs() < tolerance, "{found}");
    within(absolute.value, 0.29, 5e-6);
    within(absolute.lower, 0.04538, 5e-6);
    within(absolute.upper, 0.53462, 5e-6);
    within(absolute.se.expect("Welch has one"), 0.12478, 5e-6);
    within(found.p_value.expect("the arms vary"), 0.02016, 5e-6);
    let relative = found.relative.expect("the baseline is far from zero");
    within(relative.value, 0.70732, 5e-6);
    // Fieller, unlike the delta method (-.035, 1.450), agrees with p < alpha.
    assert!(relative.lower > 0.0 && relative.upper > 1.45, "{relative:?}");
    assert_eq!((found.method, found.verdict), (Method::Welch, ComparisonVerdict::Better));

    let (control, treatment) = (Moments { n: 10, mean: 5.0, m2: 36.0 }, Moments { n: 12, mean: 7.0, m2: 99.0 });
    let found = welch(&control, &treatment, 0.05).expect("the arms vary");
    assert_close(found.statistic, 1.865_009_616_480_627_6, 1e-14, "t");
    assert_close(found.df, 19.190_545_987_541_217, 1e-14, "df");
    assert_close(found.p_value, 0.077_546_438_682_058_55, 1e-12, "p");

    let arm = |mean: f64| Moments { n: 5_000_000, mean, m2: 4.0 * 4_999_999.0 };
    let found = welch(&arm(1.0), &arm(1.01), 0.05).expect("the arms vary");
    assert_close(found.p_value, 2.664_714_868_912e-15, 1e-10, "p at five million units");
}

#[test]
fn a_zero_cell_gets_a_verdict() {
    let (control, treatment) = (Moments::from_counts(10_000, 0), Moments::from_counts(10_000, 300));
    let found = compare(Outcome::Binary, Direction::Decrease, &control, &treatment, 0.05);
    assert_eq!((found.method, found.verdict), (Method::MidP, ComparisonVerdict::Worse));
    assert!(found.p_value.expect("counts have one") < 1e-80);
    assert_eq!((found.relative, found.warnings), (None, vec![Warning::LowCounts, Warning::BaselineNearZero]));
    let absolute = found.absolute.expect("counts have one");
    assert!(absolute.lower < 0.028 && absolute.lower > 0.02 && absolute.upper > 0.032, "{absolute:?}");
}

#[test]
fn constant_arms_are_named() {
    let constant = |value: f64| Moments { n: 100, mean: value, m2: 0.0 };
    let varying = Moments { n: 100, mean: 2.0, m2: 50.0 };
    let check = |control: Moments, treatment: Moments, has_p: bool, verdict: ComparisonVerdict| {
        let found = compare(Outcome::Mean, Direction::Increase, &control, &treatment, 0.05);
        assert_eq!((found.p_value.is_some(), found.absolute.is_some()), (has_p, has_p), "{found:?}");
        assert_eq!(found.difference, Some(treatment.mean - control.mean));
        assert!(found.warnings.contains(&Warning::Degenerate));
        assert_eq!(found.verdict, verdict);
    };
    check(constant(1.0), varying, true, ComparisonVerdict::Better);
    check(varying, constant(1.0), true, ComparisonVerdict::Worse);
    check(constant(1.0), constant(1.0), false, ComparisonVerdict::Inconclusive);
    check(constant(1.0), constant(3.0), false, ComparisonVerdict::Undetermined);
}

#[test]
fn a_baseline_near_zero_has_no_lift() {
    let arm = |mean: f64| Moments { n: 100, mean, m2: 100.0 };
    let found = compare(Outcome::Mean, Direction::Increase, &arm(0.01), &arm(0.9), 0.05);
    assert_eq!((found.relative, found.verdict), (None, ComparisonVerdict::Better));
    assert_eq!(found.warnings, [Warning::BaselineNearZero]);
}

#[derive(Deserialize)]
struct SrmRow {
    counts: Vec<u64>,
    weights: Vec<f64>,
    statistic: String,
    df: u32,
    p_value: String,
}

#[derive(Deserialize)]
struct SrmFile {
    chi_square: Vec<SrmRow>,
}

#[test]
fn sample_ratio_mismatch_agrees_with_the_references() {
    let file: SrmFile = serde_json::from_str(include_str!("../fixtures/srm.json")).expect("the fixture is well formed");
    assert!(!file.chi_square.is_empty());
    for row in file.chi_square {
        let found = srm_chi_square(&row.counts, &row.weights).expect("the row is testable");
        assert_close(found.statistic, number(&row.statistic), TOLERANCE, "statistic");
        assert_close(found.p_value, number(&row.p_value), TOLERANCE, "p");
        assert_eq!(found.df, row.df);
        assert_eq!(found.is_alarm(), number(&row.p_value) < 0.001);
    }
    let p_value = |counts: &[u64]| srm_chi_square(counts, &vec![1.0; counts.len()]).expect("testable").p_value;
    assert!((p_value(&[5000, 5200]) - 0.04767).abs() < 5e-6);
    assert_close(p_value(&[8600, 8000, 8100]), 3.54275e-6, 2e-6, "p");
}

#[test]
fn shares_that_cannot_be_tested_say_why() {
    let check = |counts: &[u64], weights: &[f64], expected: SrmError| {
        assert_eq!(srm_chi_square(counts, weights), Err(expected));
    };
    check(&[1, 2], &[1.0], SrmError::LengthMismatch { counts: 2, weights: 1 });
    check(&[1, 2], &[1.0, -1.0], SrmError::BadWeight { arm: 1, weight: -1.0 });
    check(&[1, 2], &[1.0, f64::INFINITY], SrmError::BadWeight { arm: 1, weight: f64::INFINITY });
    check(&[0, 2], &[0.0, 1.0], SrmError::TooFewArms);
    check(&[0, 0], &[1.0, 1.0], SrmError::NoUnits);
    check(&[5, 5, 1], &[1.0, 1.0, 0.0], SrmError::UnitsInZeroWeightArm { arm: 2, units: 1 });
    check(&[], &[], SrmError::TooFewArms);
    check(&[0, 0], &[0.0, 0.0], SrmError::TooFewArms);
}
