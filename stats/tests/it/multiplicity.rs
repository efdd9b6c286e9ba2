//! Families of tests against statsmodels, and the agreement of decisions, adjusted values and intervals.

use std::collections::BTreeMap;

use liftgate_stats::multiplicity::{Adjusted, Correction, MultiplicityError, adjust_e_values, adjust_p_values};
use liftgate_stats::special::normal_sf;
use proptest::prelude::*;
use serde::Deserialize;

use crate::oracle::assert_close;

const ON_P_VALUES: [Correction; 5] =
    [Correction::Bonferroni, Correction::Holm, Correction::Hochberg, Correction::Bh, Correction::By];

#[derive(Deserialize)]
struct Row {
    p_values: Vec<f64>,
    alpha: f64,
    adjusted: BTreeMap<Correction, Vec<f64>>,
    rejected: BTreeMap<Correction, Vec<bool>>,
}

#[test]
fn adjusted_p_and_decisions_agree_with_statsmodels() {
    let rows: Vec<Row> =
        serde_json::from_str(include_str!("../fixtures/multiplicity.json")).expect("the fixture is well formed");
    for row in rows {
        assert_eq!(row.adjusted.len(), ON_P_VALUES.len());
        for (correction, expected) in row.adjusted {
            let p_values: Vec<_> = row.p_values.iter().copied().map(Some).collect();
            let found = adjust_p_values(correction, &p_values, row.alpha).expect("the family is sound");
            for ((found, expected), rejected) in found.iter().zip(expected).zip(&row.rejected[&correction]) {
                assert_close(found.p_adjusted.expect("tested"), expected, 1e-14, "adjusted p");
                assert_eq!(found.rejected, *rejected, "{correction:?} {:?}", row.p_values);
            }
        }
    }
}

#[test]
fn intervals_stand_at_the_step_of_their_hypothesis() {
    let check = |correction, p_values: &[f64], expected: &[f64]| {
        let p_values: Vec<_> = p_values.iter().copied().map(Some).collect();
        let found = adjust_p_values(correction, &p_values, 0.05).expect("the family is sound");
        for (found, expected) in found.iter().zip(expected) {
            assert_close(found.interval_alpha, *expected, 1e-15, &format!("{correction:?}"));
        }
    };
    // Holm stops at .02 > .05/3; .021 < .05/2 would pass its own step and waits behind all the same.
    check(Correction::Holm, &[0.001, 0.02, 0.9, 0.021], &[0.05 / 4.0, 0.05 / 3.0, 0.05 / 3.0, 0.05 / 3.0]);
    check(Correction::Hochberg, &[0.001, 0.02, 0.9, 0.021], &[0.05 / 2.0, 0.05 / 2.0, 0.05, 0.05 / 2.0]);
    check(Correction::Bonferroni, &[0.001, 0.02], &[0.025, 0.025]);
    check(Correction::Bh, &[0.001, 0.02, 0.9, 0.021], &[0.0375; 4]);
    check(Correction::Bh, &[0.9, 0.8], &[0.025, 0.025]);
    check(Correction::By, &[0.9, 0.8], &[0.025 / 1.5, 0.025 / 1.5]);
}

#[test]
fn e_bh_counts_evidence_in_logarithms() {
    // m/(k alpha) = 80, 40, 26.7, 20.
    let e_values = [90.0_f64, 41.0, 0.5, 19.0];
    let log_e: Vec<_> = e_values.iter().map(|e| Some(e.ln())).collect();
    let found = adjust_e_values(&log_e, 0.05).expect("the family is sound");
    assert_eq!(found.iter().map(|test| test.rejected).collect::<Vec<_>>(), [true, true, false, false]);
    let adjusted = |index: usize| found[index].log_e_adjusted.expect("tested");
    assert_close(adjusted(0), (90.0_f64 / 4.0).ln(), 1e-14, "e");
    assert_close(adjusted(1), (41.0_f64 / 2.0).ln(), 1e-14, "e");
    assert_close(adjusted(3), (19.0_f64 * 0.75).ln(), 1e-14, "e");
    assert_close(found[1].p_adjusted.expect("tested"), 2.0 / 41.0, 1e-14, "p");
    assert!(found.iter().all(|test| test.interval_alpha == 0.025));
    // Far beyond what a double holds.
    let huge = adjust_e_values(&[Some(5_000.0), None, Some(f64::INFINITY), Some(f64::NEG_INFINITY)], 1e-9);
    let huge = huge.expect("the family is sound");
    assert!(huge[0].rejected && huge[2].rejected && !huge[3].rejected && !huge[1].rejected);
    assert!(huge.iter().filter_map(|test| test.log_e_adjusted).all(f64::is_finite));
}

#[test]
fn a_missing_test_counts_and_is_never_rejected() {
    let with = |p_values: &[Option<f64>], correction| adjust_p_values(correction, p_values, 0.05).expect("sound");
    for correction in ON_P_VALUES {
        let found = with(&[Some(0.001), None, Some(0.02)], correction);
        let reference = with(&[Some(0.001), Some(1.0), Some(0.02)], correction);
        assert_eq!((found[1].p_adjusted, found[1].rejected), (None, false));
        assert_eq!((found[0], found[2]), (reference[0], reference[2]), "{correction:?}");
        assert_eq!(found[1].interval_alpha, reference[1].interval_alpha);
        assert_eq!(with(&[], correction), []);
        assert!(!with(&[None, None], correction)[0].rejected);
    }
}

#[test]
fn unsound_families_say_why() {
    let p = |p_value: f64| adjust_p_values(Correction::Holm, &[Some(0.5), Some(p_value)], 0.05);
    assert!(matches!(p(f64::NAN), Err(MultiplicityError::PValue { test: 1, p_value }) if p_value.is_nan()));
    assert_eq!(p(1.5), Err(MultiplicityError::PValue { test: 1, p_value: 1.5 }));
    assert_eq!(p(-0.1), Err(MultiplicityError::PValue { test: 1, p_value: -0.1 }));
    assert_eq!(adjust_e_values(&[Some(f64::NAN)], 0.05), Err(MultiplicityError::EValue { test: 0 }));
    assert_eq!(adjust_p_values(Correction::EBh, &[], 0.05), Err(MultiplicityError::WrongEvidence));
    for alpha in [0.0, 1.0, -1.0, 5e-324, f64::INFINITY] {
        assert_eq!(adjust_p_values(Correction::Bh, &[], alpha), Err(MultiplicityError::Alpha(alpha)));
        assert_eq!(adjust_e_values(&[], alpha), Err(MultiplicityError::Alpha(alpha)));
    }
    assert!(adjust_p_values(Correction::Bh, &[], f64::NAN).is_err());
}

#[test]
fn an_unusable_estimate_has_no_interval() {
    let test = Adjusted { p_adjusted: None, log_e_adjusted: None, rejected: false, interval_alpha: 0.05 };
    for (value, se) in [(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, 0.0), (1.0, -1.0), (0.0, f64::INFINITY), (1e308, 1e308)]
    {
        assert_eq!(test.normal_interval(value, se), None);
    }
}

fn z_values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![-6.0..6.0_f64, -2.5..2.5_f64], 1..12)
}

proptest! {
    #[test]
    fn rejected_exactly_when_the_interval_excludes_no_effect(z in z_values(), alpha in 0.001..0.3_f64) {
        let p_values: Vec<_> = z.iter().map(|z| Some((2.0 * normal_sf(z.abs())).min(1.0))).collect();
        for correction in ON_P_VALUES {
            let found = adjust_p_values(correction, &p_values, alpha).expect("the family is sound");
            for (test, z) in found.iter().zip(&z) {
                let p_adjusted = test.p_adjusted.expect("tested");
                prop_assume!((p_adjusted / alpha - 1.0).abs() > 1e-9);
                let interval = test.normal_interval(*z, 1.0).expect("usable");
                prop_assert_eq!(test.rejected, p_adjusted < alpha);
                prop_assert_eq!(test.rejected, !interval.contains(0.0), "{:?} {:?}", correction, test);
            }
        }
    }

    #[test]
    fn e_bh_rejects_exactly_at_its_interval_alpha(log_e in prop::collection::vec(-3.0..12.0_f64, 1..12), alpha in 0.001..0.3_f64) {
        let values: Vec<_> = log_e.iter().copied().map(Some).collect();
        for (test, log_e) in adjust_e_values(&values, alpha).expect("sound").iter().zip(&log_e) {
            // An interval made of e-values excludes what has e >= 1/interval_alpha.
            prop_assert_eq!(test.rejected, *log_e >= -test.interval_alpha.ln() - 1e-12, "{:?}", test);
        }
    }

    #[test]
    fn corrections_keep_their_order_of_strength(p in prop::collection::vec(prop::option::weighted(0.9, 0.0..1.0_f64), 1..15)) {
        let adjusted = |correction| -> Vec<f64> {
            let found = adjust_p_values(correction, &p, 0.05).expect("the family is sound");
            found.iter().map(|test| test.p_adjusted.unwrap_or(1.0)).collect()
        };
        let [bonferroni, holm, hochberg, bh, by] = ON_P_VALUES.map(adjusted);
        for test in 0..p.len() {
            prop_assert!(p[test].unwrap_or(1.0) <= bh[test] && bh[test] <= hochberg[test]);
            prop_assert!(hochberg[test] <= holm[test] && holm[test] <= bonferroni[test]);
            prop_assert!(bh[test] <= by[test]);
        }
    }

    #[test]
    fn the_order_of_the_tests_does_not_matter(p in prop::collection::vec(0.0..1.0_f64, 1..15)) {
        let forth: Vec<_> = p.iter().copied().map(Some).collect();
        let back: Vec<_> = forth.iter().rev().copied().collect();
        for correction in ON_P_VALUES {
            let forth = adjust_p_values(correction, &forth, 0.05).expect("the family is sound");
            let mut back = adjust_p_values(correction, &back, 0.05).expect("the family is sound");
            back.reverse();
            prop_assert_eq!(forth, back);
        }
    }
}
