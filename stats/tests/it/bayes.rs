//! Posteriors against mpmath and by their laws.

use liftgate_stats::bayes::{
    BayesError, Beta, BetaComparison, NormalEffect, NormalPrior, Posterior, compare_betas, normal_posterior,
    probability_greater_by_quadrature, probability_greater_by_sum,
};
use liftgate_stats::special::normal_cdf;
use liftgate_stats::{Direction, Estimate};
use proptest::prelude::*;
use serde::Deserialize;

use crate::oracle::{assert_close, number};

#[derive(Deserialize)]
struct BetaRow {
    control: (f64, f64),
    treatment: (f64, f64),
    alpha: f64,
    greater: String,
    treatment_excess: String,
    control_excess: String,
    difference: Option<[String; 2]>,
    lift: Option<[String; 3]>,
}

#[derive(Deserialize)]
struct NormalRow {
    value: String,
    se: String,
    prior: Option<(String, String)>,
    alpha: f64,
    probability: String,
    below: String,
    above: String,
    mean: String,
    sd: String,
    interval: [String; 2],
}

#[derive(Deserialize)]
struct File {
    beta: Vec<BetaRow>,
    large: Vec<BetaRow>,
    normal: Vec<NormalRow>,
}

fn file() -> File {
    serde_json::from_str(include_str!("../fixtures/bayes.json")).expect("the fixture is well formed")
}

fn beta(alpha: f64, beta: f64) -> Beta {
    Beta { alpha, beta }
}

fn run(control: Beta, treatment: Beta) -> BetaComparison {
    compare_betas(control, treatment, Direction::Increase, 0.05).expect("comparable")
}

#[test]
fn beta_posteriors_agree_with_their_integrals() {
    let file = file();
    assert!(!file.beta.is_empty() && !file.large.is_empty());
    for (rows, tolerance) in [(file.beta, 1e-11), (file.large, 1e-9)] {
        for row in rows {
            let (control, treatment) = (beta(row.control.0, row.control.1), beta(row.treatment.0, row.treatment.1));
            let found = compare_betas(control, treatment, Direction::Increase, row.alpha).expect("comparable");
            let what = format!("{control:?} {treatment:?}");
            assert_close(found.difference.probability_better, number(&row.greater), tolerance, &what);
            assert_close(found.difference.loss_treatment, number(&row.control_excess), tolerance, &what);
            assert_close(found.difference.loss_control, number(&row.treatment_excess), tolerance, &what);
            let quadrature = probability_greater_by_quadrature(treatment, control).expect("sound shapes");
            assert_close(quadrature, number(&row.greater), tolerance, &what);
            if let Some([lower, upper]) = row.difference {
                assert_close(found.difference.lower, number(&lower), 1e-10, &what);
                assert_close(found.difference.upper, number(&upper), 1e-10, &what);
            }
            if let Some([lower, median, upper]) = row.lift {
                let lift = found.lift.expect("bounded");
                assert_close(lift.lower, number(&lower), 1e-10, &what);
                assert!((lift.value - number(&median)).abs() < 1e-10, "{what}: {lift:?} {median}");
                assert_close(lift.upper, number(&upper), 1e-10, &what);
            }
        }
    }
}

#[test]
fn the_printed_example_comes_out() {
    let (control, treatment) = (beta(41.0, 61.0), beta(51.0, 51.0));
    for found in [
        run(control, treatment).difference.probability_better,
        probability_greater_by_sum(treatment, control).expect("whole shapes"),
        probability_greater_by_quadrature(treatment, control).expect("sound shapes"),
    ] {
        assert!((found - 0.921_426_248_506_339).abs() < 1e-13, "{found}");
    }
}

/// Up to a thousand billion units two proportions are two normal means, to the order of the skewness.
#[test]
fn huge_shapes_near_the_normal_distribution() {
    for units in [1e9_f64, 1e12] {
        let sd = (2.0 * 0.3 * 0.7 / units).sqrt();
        for r in [-3.0, -1.0, 0.0, 0.5, 2.0, 6.0] {
            let treated = 0.3 * units + r * sd * units;
            let found = run(beta(0.3 * units, 0.7 * units), beta(treated, units - treated));
            let r = found.difference.mean / found.difference.sd;
            assert_close(found.difference.probability_better, normal_cdf(r), 2e-3 * (1e9 / units).sqrt(), "P");
            let half_width = 1.959_963_984_540_054 * found.difference.sd;
            assert!((found.difference.lower - (found.difference.mean - half_width)).abs() < 1e-4 * half_width);
            assert!((found.difference.upper - (found.difference.mean + half_width)).abs() < 1e-4 * half_width);
        }
    }
}

/// Between arms far apart nothing is lost: choosing the wrong one costs the whole difference.
#[test]
fn arms_far_apart_lose_their_difference() {
    for (control, treatment) in
        [(beta(1e-3, 1e15), beta(1e15, 1e-3)), (beta(30.0, 1e9), beta(1e9, 30.0)), (beta(2.0, 1e6), beta(5e8, 5e8))]
    {
        let found = run(control, treatment).difference;
        assert_close(found.loss_control, found.mean, 1e-12, "loss");
        assert_eq!(found.loss_treatment, 0.0);
        assert!((found.probability_better - 1.0).abs() < 1e-13);
    }
}

#[test]
fn counts_become_posteriors() {
    assert_eq!(Beta::default().after(40, 100), Ok(beta(41.0, 61.0)));
    assert_eq!(beta(0.5, 0.5).after(0, 0), Ok(beta(0.5, 0.5)));
    assert_eq!(Beta::default().after(3, 2), Err(BayesError::Counts { events: 3, units: 2 }));
    assert_eq!(beta(-1.0, 1.0).after(5, 9), Err(BayesError::Shape(-1.0)));
    assert!(Beta::default().after(0, u64::MAX).is_err());
}

#[test]
fn what_has_no_posterior_says_why() {
    let flat = Beta::default();
    for shape in [0.0, -1.0, 1e-9, 1e16, f64::INFINITY] {
        let check = |control, treatment| {
            assert_eq!(compare_betas(control, treatment, Direction::Increase, 0.05), Err(BayesError::Shape(shape)));
        };
        check(flat, beta(shape, 1.0));
        check(beta(1.0, shape), flat);
    }
    assert!(compare_betas(beta(f64::NAN, 1.0), flat, Direction::Increase, 0.05).is_err());
    assert_eq!(compare_betas(flat, flat, Direction::Increase, 1.0), Err(BayesError::Alpha(1.0)));
    let normal =
        |value: f64, se: f64, prior| normal_posterior(NormalEffect { value, se }, prior, Direction::Increase, 0.05);
    assert_eq!(normal(1.0, 0.0, None), Err(BayesError::Effect { value: 1.0, se: 0.0 }));
    assert!(normal(f64::NAN, 1.0, None).is_err() && normal(1.0, f64::INFINITY, None).is_err());
    let prior = NormalPrior { mean: 0.0, sd: 0.0 };
    assert_eq!(normal(1.0, 1.0, Some(prior)), Err(BayesError::NormalPrior { mean: 0.0, sd: 0.0 }));
    assert_eq!(normal(0.0, 1e308, None), Err(BayesError::OutOfRange));
}

#[test]
fn normal_posteriors_agree_with_their_integrals() {
    for row in file().normal {
        let effect = NormalEffect { value: number(&row.value), se: number(&row.se) };
        let prior = row.prior.map(|(mean, sd)| NormalPrior { mean: number(&mean), sd: number(&sd) });
        let found = normal_posterior(effect, prior, Direction::Increase, row.alpha).expect("sound");
        let what = format!("{effect:?} {prior:?}");
        assert_close(found.probability_better, number(&row.probability), 1e-13, &what);
        assert_close(found.loss_treatment, number(&row.below), 1e-11, &what);
        assert_close(found.loss_control, number(&row.above), 1e-11, &what);
        assert_close(found.mean, number(&row.mean), 1e-13, &what);
        assert_close(found.sd, number(&row.sd), 1e-13, &what);
        assert_close(found.lower, number(&row.interval[0]), 1e-12, &what);
        assert_close(found.upper, number(&row.interval[1]), 1e-12, &what);
    }
}

fn shapes() -> impl Strategy<Value = Beta> {
    let shape = || prop_oneof![0.05..3.0_f64, 1.0..300.0_f64, (1..200_u32).prop_map(f64::from), 1.0..1e9_f64];
    (shape(), shape()).prop_map(|(a, b)| beta(a, b))
}

/// A second arm a few standard deviations from the first.
fn near_shapes() -> impl Strategy<Value = (Beta, Beta)> {
    (shapes(), -3.0..3.0_f64, 0.5..2.0_f64).prop_map(|(first, r, size)| {
        let n = size * (first.alpha + first.beta);
        let p = first.alpha / (first.alpha + first.beta);
        let q = (p + r * (p * (1.0 - p) / n).sqrt()).clamp(0.02 * p, 1.0 - 0.02 * (1.0 - p));
        (first, beta((q * n).max(0.05), ((1.0 - q) * n).max(0.05)))
    })
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

fn check_finite(found: Posterior) -> Result<(), TestCaseError> {
    prop_assert!((0.0..=1.0).contains(&found.probability_better), "{:?}", found);
    prop_assert!(found.loss_treatment >= 0.0 && found.loss_control >= 0.0, "{:?}", found);
    let numbers = [found.loss_treatment, found.loss_control, found.mean, found.sd, found.lower, found.upper];
    prop_assert!(numbers.into_iter().all(f64::is_finite) && found.lower <= found.upper, "{:?}", found);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn sum_and_quadrature_agree(a in (1..400_u32, 1..400_u32), b in (0.1..900.0_f64, 0.1..9_000.0_f64)) {
        let (whole, any) = (beta(a.0.into(), a.1.into()), beta(b.0, b.1));
        for (treatment, control) in [(whole, any), (any, whole), (whole, whole)] {
            if let Some(sum) = probability_greater_by_sum(treatment, control) {
                let quadrature = probability_greater_by_quadrature(treatment, control).expect("sound shapes");
                prop_assert!(close(sum, quadrature, 1e-10) || sum < 1e-50, "{} {}", sum, quadrature);
            }
        }
    }

    #[test]
    fn losses_differ_by_the_mean_and_the_interval_holds_its_mass((control, treatment) in near_shapes()) {
        let found = run(control, treatment).difference;
        check_finite(found)?;
        let tolerance = 1e-9 * found.sd;
        prop_assert!((found.loss_control - found.loss_treatment - found.mean).abs() < tolerance, "{:?}", found);
        // P(better) at alpha/2 exactly when the lower end is 0: ask with alpha = 2 P(T < C).
        let p = found.probability_better.min(1.0 - found.probability_better);
        prop_assume!(p > 1e-6);
        let touching = compare_betas(control, treatment, Direction::Increase, (2.0 * p).min(0.999_999)).expect("comparable");
        let end = if found.probability_better > 0.5 { touching.difference.lower } else { touching.difference.upper };
        prop_assert!(end.abs() < 1e-7 * found.sd.max(1e-300) || p > 0.49, "{:?} {:?}", touching, p);
        if let Some(Estimate { value, lower, upper, .. }) = touching.lift {
            prop_assert!(lower <= value + 1e-12 && value <= upper + 1e-12);
        }
    }

    #[test]
    fn swapping_arms_and_ends_mirrors((control, treatment) in near_shapes()) {
        let forth = run(control, treatment).difference;
        let back = compare_betas(treatment, control, Direction::Decrease, 0.05).expect("comparable").difference;
        let flip = |arm: Beta| beta(arm.beta, arm.alpha);
        let flipped = compare_betas(flip(control), flip(treatment), Direction::Decrease, 0.05).expect("comparable").difference;
        for other in [back, flipped] {
            prop_assert!(close(forth.probability_better, other.probability_better, 1e-10), "{:?} {:?}", forth, other);
            prop_assert!(close(forth.loss_treatment, other.loss_treatment, 1e-9) || forth.loss_treatment < 1e-30);
            prop_assert!(close(forth.loss_control, other.loss_control, 1e-9) || forth.loss_control < 1e-30);
            prop_assert!((forth.lower + other.upper).abs() < 1e-8 * forth.sd, "{:?} {:?}", forth, other);
            prop_assert!((forth.upper + other.lower).abs() < 1e-8 * forth.sd, "{:?} {:?}", forth, other);
        }
    }

    #[test]
    fn a_normal_prior_pulls_the_mean_and_never_widens(value in -5.0..5.0_f64, se in 0.01..3.0_f64, mean in -5.0..5.0_f64, sd in 0.01..3.0_f64) {
        let effect = NormalEffect { value, se };
        let of = |prior, better| normal_posterior(effect, prior, better, 0.05).expect("sound");
        let (with, flat) = (of(Some(NormalPrior { mean, sd }), Direction::Increase), of(None, Direction::Increase));
        prop_assert!(with.sd <= flat.sd.min(sd) && (value.min(mean)..=value.max(mean)).contains(&with.mean));
        let mirrored = of(Some(NormalPrior { mean, sd }), Direction::Decrease);
        prop_assert!((with.probability_better + mirrored.probability_better - 1.0).abs() < 1e-15);
        prop_assert_eq!((with.loss_treatment, with.loss_control), (mirrored.loss_control, mirrored.loss_treatment));
        prop_assert_eq!((with.lower, with.upper), (mirrored.lower, mirrored.upper));
        prop_assert!(close(with.loss_control - with.loss_treatment, with.mean, 1e-12) || with.mean.abs() < 1e-9);
        // A vague prior says nothing.
        let vague = of(Some(NormalPrior { mean, sd: 1e9 }), Direction::Increase);
        prop_assert!(close(vague.sd, flat.sd, 1e-12) && (vague.mean - flat.mean).abs() < 1e-12);
    }

    #[test]
    fn no_input_panics(
        shapes in prop::array::uniform4(prop_oneof![any::<f64>(), Just(1e-3), Just(1e15), Just(1.0), 1e-3..10.0_f64]),
        numbers in prop::array::uniform4(any::<f64>()),
        alpha in prop_oneof![any::<f64>(), 0.0..1.0_f64, Just(1e-300), Just(0.05)],
    ) {
        let [a, b, c, d] = shapes;
        if let Ok(found) = compare_betas(beta(a, b), beta(c, d), Direction::Increase, alpha) {
            check_finite(found.difference)?;
            if let Some(Estimate { value, lower, upper, .. }) = found.lift {
                prop_assert!([value, lower, upper].into_iter().all(f64::is_finite) && lower <= upper, "{:?}", found);
            }
        }
        let effect = NormalEffect { value: numbers[0], se: numbers[1].abs() };
        for prior in [None, Some(NormalPrior { mean: numbers[2], sd: numbers[3].abs() })] {
            if let Ok(found) = normal_posterior(effect, prior, Direction::Decrease, alpha) {
                check_finite(found)?;
            }
        }
    }
}
