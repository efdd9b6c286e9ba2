//! Two Poisson rates against exact sums, and the agreement of test and interval.

use liftgate_stats::rate::{Rate, RateComparison, RateError, TwoSided, compare_rates};
use proptest::prelude::*;
use serde::Deserialize;

use crate::oracle::{assert_close, number};

const ALL: [TwoSided; 3] = [TwoSided::MinLikelihood, TwoSided::Central, TwoSided::MidP];

#[derive(Deserialize)]
struct Row {
    treatment: (u64, f64),
    control: (u64, f64),
    alpha: f64,
    min_likelihood: [String; 3],
    central: [String; 3],
    mid_p: [String; 3],
}

fn rate(events: u64, exposure: f64) -> Rate {
    Rate { events, exposure }
}

#[test]
fn p_and_bounds_agree_with_exact_sums() {
    let rows: Vec<Row> =
        serde_json::from_str(include_str!("../fixtures/rates.json")).expect("the fixture is well formed");
    assert!(!rows.is_empty());
    for row in rows {
        let (treatment, control) = (rate(row.treatment.0, row.treatment.1), rate(row.control.0, row.control.1));
        for (two_sided, [p, lower, upper]) in ALL.into_iter().zip([row.min_likelihood, row.central, row.mid_p]) {
            let found = compare_rates(control, treatment, two_sided, row.alpha).expect("comparable");
            let what = format!("{two_sided:?} {treatment:?} {control:?}");
            assert_close(found.p_value, number(&p), 1e-12, &what);
            assert_close(found.ratio.lower, if lower == "none" { 0.0 } else { number(&lower) }, 1e-10, &what);
            assert_eq!(found.ratio.upper.is_none(), upper == "none", "{what}");
            if let Some(found) = found.ratio.upper {
                assert_close(found, number(&upper), 1e-10, &what);
            }
        }
    }
}

#[test]
fn the_printed_example_comes_out() {
    let found = compare_rates(rate(30, 54_308.7), rate(60, 51_477.5), TwoSided::default(), 0.05).expect("comparable");
    assert_close(found.p_value, 0.000_675_182_658_686_321, 1e-12, "p");
    assert_close(
        found.ratio.value.expect("there are control events"),
        60.0 / 51_477.5 / (30.0 / 54_308.7),
        1e-15,
        "ratio",
    );
}

/// A billion events: the tails are those of the normal distribution up to known terms, and take no time.
#[test]
fn a_billion_events_are_no_loop() {
    for two_sided in ALL {
        let found =
            compare_rates(rate(1_000_000_000, 1.0), rate(1_000_100_000, 1.0), two_sided, 0.05).expect("comparable");
        // z = 1e5/sqrt(2 000 100 000) with Yates' half, good to 1e-5 here.
        let shift = if two_sided == TwoSided::MidP { 0.0 } else { 1.0 };
        let z = (1e5 - shift) / 2_000_100_000.0_f64.sqrt();
        assert_close(found.p_value, 2.0 * liftgate_stats::special::normal_sf(z), 3e-5, "p");
        let half_width = 1.959_963_984_540_054 * (2.0_f64 / 1.000_05e9).sqrt();
        assert!((found.ratio.lower.ln() - (1.0001_f64.ln() - half_width)).abs() < 1e-4 * half_width, "{found:?}");
        assert!(found.ratio.contains(1.0001) && found.ratio.lower > 1.0);
    }
}

#[test]
fn what_cannot_be_compared_says_why() {
    let check = |control, treatment, alpha, expected| {
        assert_eq!(compare_rates(control, treatment, TwoSided::MidP, alpha), Err(expected));
    };
    check(rate(0, 1.0), rate(0, 1.0), 0.05, RateError::NoEvents);
    check(rate(1, 0.0), rate(1, 1.0), 0.05, RateError::Exposure(0.0));
    check(rate(1, 1.0), rate(1, -1.0), 0.05, RateError::Exposure(-1.0));
    check(rate(1, 1.0), rate(1, f64::INFINITY), 0.05, RateError::Exposure(f64::INFINITY));
    check(rate(1, 1e-200), rate(1, 1e200), 0.05, RateError::Exposure(1e200));
    check(rate(u64::MAX, 1.0), rate(1, 1.0), 0.05, RateError::TooManyEvents(u64::MAX));
    check(rate(1, 1.0), rate(1, 1.0), 1.0, RateError::Alpha(1.0));
    assert!(compare_rates(rate(1, 1.0), rate(1, f64::NAN), TwoSided::MidP, 0.05).is_err());
    assert!(compare_rates(rate(1, 1.0), rate(1, 1.0), TwoSided::MidP, f64::NAN).is_err());
}

#[test]
fn an_empty_arm_leaves_its_side_open() {
    for two_sided in ALL {
        let found = compare_rates(rate(0, 1.0), rate(20, 1.0), two_sided, 0.05).expect("comparable");
        assert!(found.ratio.value.is_none() && found.ratio.upper.is_none() && found.ratio.lower > 1.0, "{found:?}");
        let found = compare_rates(rate(20, 1.0), rate(0, 1.0), two_sided, 0.05).expect("comparable");
        assert_eq!((found.ratio.value, found.ratio.lower), (Some(0.0), 0.0));
        assert!(found.ratio.upper < Some(1.0));
    }
}

/// Equal rates in a hole of the minimum-likelihood set: p < alpha, and p rises above alpha once more farther out.
#[test]
fn an_interval_never_bridges_a_hole_at_equal_rates() {
    let compared = |odds: f64, alpha| compare_rates(rate(62, 1.0), rate(2, odds), TwoSided::MinLikelihood, alpha);
    let odds = 0.118_094_183_109_602_21 / (1.0 - 0.118_094_183_109_602_21);
    let p = compared(odds, 0.5).expect("comparable").p_value;
    assert_close(p, 0.030_588_878_034_982_114, 1e-9, "scipy's binomtest");
    let found = compared(odds, p * 1.01).expect("comparable");
    assert!(!found.ratio.contains(1.0), "{found:?}");
    // Not because no ratio farther out passes.
    let farther =
        (0..200).map(|step| compared(odds * (1.0 + 1e-3 * f64::from(step)), 0.5).expect("comparable").p_value);
    assert!(farther.fold(0.0, f64::max) > p * 1.01);
}

fn arm() -> impl Strategy<Value = Rate> {
    let events = prop_oneof![0..8_u64, 0..300_u64, 0..2_000_000_000_u64];
    (events, prop_oneof![Just(1.0), 0.1..10.0_f64]).prop_map(|(events, exposure)| rate(events, exposure))
}

fn near_arms() -> impl Strategy<Value = (Rate, Rate)> {
    (arm(), -4.0..4.0_f64, 0.5..2.0_f64).prop_map(|(control, shift, share)| {
        let mean = control.events as f64 * share + 1.0;
        let events = (mean + shift * mean.sqrt()).max(0.0) as u64;
        (control, rate(events, control.exposure * share))
    })
}

fn run(control: Rate, treatment: Rate, two_sided: TwoSided, alpha: f64) -> Option<RateComparison> {
    compare_rates(control, treatment, two_sided, alpha).ok()
}

proptest! {
    #[test]
    fn p_is_below_alpha_exactly_when_one_is_outside((control, treatment) in near_arms(), alpha in prop_oneof![0.001..0.3_f64, 0.01..0.99_f64]) {
        for two_sided in ALL {
            let Some(found) = run(control, treatment, two_sided, alpha) else { return Ok(()) };
            prop_assume!((found.p_value / alpha - 1.0).abs() > 1e-7);
            prop_assert_eq!(found.p_value < alpha, !found.ratio.contains(1.0), "{:?}", found);
        }
    }

    #[test]
    fn the_interval_is_the_set_of_ratios_that_are_not_rejected((control, treatment) in near_arms(), ratio in 0.3..3.0_f64, alpha in 0.01..0.3_f64) {
        for two_sided in ALL {
            let Some(found) = run(control, treatment, two_sided, alpha) else { return Ok(()) };
            // The same counts when the rates differ by `ratio`: treatment's exposure counts so much more.
            let tested = run(control, rate(treatment.events, treatment.exposure * ratio), two_sided, alpha).expect("comparable");
            let is_clear = (tested.p_value / alpha - 1.0).abs() > 1e-6;
            // Not rejected means inside, up to the cut at equal rates.
            let is_cut = two_sided == TwoSided::MinLikelihood && found.p_value < alpha && found.p_value > 0.85 * alpha;
            if is_clear && !is_cut && tested.p_value > alpha {
                prop_assert!(found.ratio.contains(ratio), "{:?} {} {:?}", found, ratio, tested);
            }
            // Rejected means outside for monotone tests, and near enough with holes filled.
            let filled = if two_sided == TwoSided::MinLikelihood { 0.85 * alpha } else { alpha };
            if is_clear && tested.p_value < filled {
                prop_assert!(!found.ratio.contains(ratio), "{:?} {} {:?}", found, ratio, tested);
            }
        }
    }

    #[test]
    fn swapping_arms_inverts_the_ratio((a, b) in near_arms(), alpha in 0.001..0.3_f64) {
        for two_sided in ALL {
            let (Some(forth), Some(back)) = (run(a, b, two_sided, alpha), run(b, a, two_sided, alpha)) else { return Ok(()) };
            prop_assert!((forth.p_value / back.p_value - 1.0).abs() < 1e-9);
            match (forth.ratio.upper, back.ratio.upper) {
                (Some(upper), _) if back.ratio.lower > 0.0 => {
                    prop_assert!((upper * back.ratio.lower - 1.0).abs() < 1e-8, "{:?} {:?}", forth, back);
                }
                (upper, _) => prop_assert_eq!(upper.is_none(), back.ratio.lower == 0.0),
            }
        }
    }

    #[test]
    fn no_input_panics(
        counts in (any::<u64>(), prop_oneof![0..5_u64, any::<u64>(), Just(1 << 53)]),
        exposures in (any::<f64>(), prop_oneof![any::<f64>(), 0.0..1e15_f64]),
        alpha in prop_oneof![any::<f64>(), 0.0..1.0_f64, Just(1e-300), Just(1.0 - 1e-16)],
        shift in 0..64_u32,
    ) {
        for two_sided in ALL {
            let found = run(rate(counts.0 >> shift, exposures.0.abs()), rate(counts.1 >> shift, exposures.1), two_sided, alpha);
            if let Some(RateComparison { p_value, ratio, .. }) = found {
                prop_assert!((0.0..=1.0).contains(&p_value) && ratio.lower.is_finite() && ratio.lower >= 0.0);
                prop_assert!(ratio.upper.is_none_or(|upper| upper.is_finite() && upper >= ratio.lower));
                prop_assert!(ratio.value.is_none_or(f64::is_finite));
            }
        }
    }
}
