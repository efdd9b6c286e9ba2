//! Sample ratio at every look and by group, against mpmath and by its laws.

use liftgate_stats::{SRM_CONCENTRATIONS, SrmError, SrmGroup, SrmMethod, srm_by_group, srm_chi_square, srm_sequential};
use proptest::prelude::*;
use serde::Deserialize;

use crate::oracle::{assert_close, number};

#[derive(Deserialize)]
struct Row {
    counts: Vec<u64>,
    weights: Vec<f64>,
    log_bayes_factors: Vec<String>,
    p_value: String,
}

#[test]
fn factors_agree_with_the_references_up_to_a_thousand_billion_units() {
    let rows: Vec<Row> =
        serde_json::from_str(include_str!("../fixtures/srm_sequential.json")).expect("the fixture is well formed");
    assert!(!rows.is_empty());
    for row in rows {
        let found = srm_sequential(&row.counts, &row.weights).expect("the row is testable");
        for (factor, expected) in found.factors.iter().zip(&row.log_bayes_factors) {
            let expected = number(expected);
            let is_close = (factor.log_bayes_factor - expected).abs() <= 1e-11 * expected.abs().max(1.0);
            assert!(is_close, "{:?}: {factor:?}, expected {expected:e}", row.counts);
        }
        assert_close(found.p_value, number(&row.p_value), 1e-9, "p");
    }
}

#[test]
fn printed_examples_come_out() {
    let factor = |counts: &[u64], index: usize| {
        let found = srm_sequential(counts, &vec![1.0; counts.len()]).expect("testable");
        assert_eq!(found.factors[index].k, SRM_CONCENTRATIONS[index]);
        found.factors[index].p_value
    };
    assert_close(factor(&[5000, 5200], 1), 0.52803, 1e-5, "k = 10 000");
    assert_close(factor(&[8600, 8000, 8100], 1), 4.76807e-4, 1e-6, "k = 10 000");
    assert_close(factor(&[8600, 8000, 8100], 0), 1.007479e-3, 1e-6, "k = 100");
}

#[test]
fn what_cannot_be_tested_says_why() {
    let error = |counts: &[u64], weights: &[f64]| srm_sequential(counts, weights).expect_err("not testable");
    assert_eq!(error(&[0, 0], &[1.0, 1.0]), SrmError::NoUnits);
    assert_eq!(error(&[1, 2, 3], &[1.0, 1.0, 0.0]), SrmError::UnitsInZeroWeightArm { arm: 2, units: 3 });
    assert_eq!(error(&[1, 2], &[1.0, f64::INFINITY]), SrmError::BadWeight { arm: 1, weight: f64::INFINITY });
    assert_eq!(error(&[1, 2], &[1.0]), SrmError::LengthMismatch { counts: 2, weights: 1 });
}

#[test]
fn an_arm_of_weight_zero_without_units_changes_nothing() {
    let with = srm_sequential(&[400, 0, 500], &[1.0, 0.0, 1.0]).expect("testable");
    let without = srm_sequential(&[400, 500], &[1.0, 1.0]).expect("testable");
    assert_eq!(with.log_bayes_factor, without.log_bayes_factor);
}

/// The p-value is one at every look: over all looks at a fair split it dips below .05 in at most 5 % of the runs.
#[test]
fn a_fair_split_seldom_alarms_however_often_it_is_looked_at() {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    const RUNS: u32 = 400;
    let mut alarms = (0, 0);
    for run in 0..RUNS {
        let mut rng = StdRng::seed_from_u64(u64::from(run));
        let (mut counts, mut sequential, mut peeked) = ([0_u64; 2], 1.0_f64, 1.0_f64);
        for _ in 0..150 {
            (0..20).for_each(|_| counts[usize::from(rng.random_bool(0.5))] += 1);
            sequential = sequential.min(srm_sequential(&counts, &[1.0, 1.0]).expect("testable").p_value);
            peeked = peeked.min(srm_chi_square(&counts, &[1.0, 1.0]).expect("testable").p_value);
        }
        alarms.0 += u32::from(sequential < 0.05);
        alarms.1 += u32::from(peeked < 0.05);
    }
    assert!(alarms.0 <= RUNS / 20, "{alarms:?}");
    // The control that must fail: chi-square read at every look.
    assert!(alarms.1 > RUNS / 10, "{alarms:?}");
}

fn group(name: &str, counts: &[u64], weights: &[f64]) -> SrmGroup {
    SrmGroup { name: name.into(), counts: counts.into(), weights: weights.into() }
}

#[test]
fn the_broken_group_comes_first_and_is_adjusted_for_the_search() {
    let groups = [
        group("DE", &[5000, 5010], &[1.0, 1.0]),
        group("empty", &[0, 0], &[1.0, 1.0]),
        group("FR", &[5000, 5600], &[1.0, 1.0]),
        group("off", &[90, 10], &[1.0, 0.0]),
        group("US", &[300, 290], &[50.0, 50.0]),
    ];
    for method in [SrmMethod::Fixed, SrmMethod::Sequential] {
        let found = srm_by_group(&groups, method);
        let names: Vec<&str> = found.iter().map(|finding| finding.name.as_str()).collect();
        assert_eq!(names[..2], ["off", "FR"]);
        assert_eq!(names[4], "empty");
        assert_eq!(found[0].error, Some(SrmError::UnitsInZeroWeightArm { arm: 1, units: 10 }));
        let worst = found[1].p_value.expect("tested");
        assert!(worst < 1e-3);
        assert_close(found[1].p_adjusted.expect("tested"), 5.0 * worst, 1e-15, "all five groups count");
        assert_eq!((found[4].p_value, found[4].error), (None, Some(SrmError::NoUnits)));
    }
    assert_eq!(srm_by_group(&[], SrmMethod::Fixed), []);
}

fn wild_weight() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..1.0_f64, Just(0.0), Just(1e-300), Just(1e300), Just(5e-324), Just(1.0)]
}

fn wild_count() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, 0..1_000_000_u64, Just(1_000_000_000_000_000), Just(u64::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_input_panics_and_all_numbers_are_finite(arms in prop::collection::vec((wild_count(), wild_weight()), 0..5)) {
        let (counts, weights): (Vec<u64>, Vec<f64>) = arms.into_iter().unzip();
        if let Ok(found) = srm_sequential(&counts, &weights) {
            prop_assert!((0.0..=1.0).contains(&found.p_value) && found.log_bayes_factor.is_finite(), "{:?}", found);
            prop_assert!(found.factors.iter().all(|factor| factor.log_bayes_factor.is_finite()), "{:?}", found);
        }
    }

    #[test]
    fn order_and_scale_of_the_arms_do_not_matter(
        counts in prop::collection::vec(0..100_000_u64, 3), weights in prop::collection::vec(0.1..1.0_f64, 3),
    ) {
        prop_assume!(counts.iter().any(|&n| n > 0));
        let forth = srm_sequential(&counts, &weights).expect("testable");
        let back = srm_sequential(
            &counts.iter().rev().copied().collect::<Vec<_>>(),
            &weights.iter().rev().map(|weight| 1e6 * weight).collect::<Vec<_>>(),
        )
        .expect("testable");
        let (a, b) = (forth.log_bayes_factor, back.log_bayes_factor);
        prop_assert!((a - b).abs() <= 1e-10 * a.abs().max(1.0));
    }

    /// The bet is fair: over all outcomes of one more unit the factor keeps its value on average.
    #[test]
    fn the_factor_is_a_martingale(
        counts in prop::collection::vec(0..3_000_u64, 3), weights in prop::collection::vec(0.1..1.0_f64, 3),
    ) {
        prop_assume!(counts.iter().any(|&n| n > 0));
        let now = srm_sequential(&counts, &weights).expect("testable");
        for index in 0..SRM_CONCENTRATIONS.len() {
            let expected: f64 = (0..3)
                .map(|arm| {
                    let mut next = counts.clone();
                    next[arm] += 1;
                    let next = srm_sequential(&next, &weights).expect("testable").factors[index].log_bayes_factor;
                    now.ratio_expected[arm] * (next - now.factors[index].log_bayes_factor).exp()
                })
                .sum();
            prop_assert!((expected - 1.0).abs() < 1e-10, "{}", expected);
        }
    }
}
