//! No input panics, and everything that comes out is finite or absent.

use liftgate_stats::{
    Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum, Verdict, assess, compare, srm_chi_square,
};
use proptest::prelude::*;

fn wild_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(0.0),
        Just(-1.0),
        Just(1e15),
        Just(1e-300),
        Just(1e300),
        0.0..1.0_f64,
        -1e6..1e6_f64,
        any::<f64>(),
    ]
}

fn wild_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(2), Just(1_000_000_000_000_000), Just(u64::MAX), 0..100_u64, 0..1_000_000_u64]
}

fn wild_moments() -> impl Strategy<Value = Moments> {
    prop_oneof![
        (wild_count(), wild_number(), wild_number()).prop_map(|(n, mean, m2)| Moments { n, mean, m2 }),
        (wild_count(), wild_count()).prop_map(|(n, events)| Moments::from_counts(n, events)),
        (wild_count(), 0.0..1.0_f64).prop_map(|(n, share)| Moments::from_counts(n, (n as f64 * share) as u64)),
        (wild_count(), 1e-3..1e3_f64).prop_map(|(n, mean)| Moments { n, mean, m2: n as f64 }),
    ]
}

fn margin() -> impl Strategy<Value = Margin> {
    prop_oneof![
        wild_number().prop_map(Margin::Relative),
        wild_number().prop_map(Margin::Absolute),
        (0.0..0.5_f64).prop_map(Margin::Relative),
        (0.0..0.5_f64).prop_map(Margin::Absolute),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Binary), Just(Outcome::Mean)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Increase), Just(Direction::Decrease)]
}

fn level() -> impl Strategy<Value = f64> {
    prop_oneof![wild_number(), 0.001..0.5_f64, 0.001..0.5_f64]
}

fn stage() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, any::<u32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_guardrail_input_panics(
        outcome in outcome(),
        harm in direction(),
        margin in margin(),
        detect in prop::option::of(margin()),
        alpha in level(),
        alpha_safe in level(),
        stages in stage(),
        arms in prop::collection::vec((stage(), wild_moments(), wild_moments()), 0..5),
    ) {
        let plan = GuardrailPlan { outcome, harm, margin, detect, alpha, alpha_safe, stages };
        let strata: Vec<Stratum> =
            arms.into_iter().map(|(stage, treatment, control)| Stratum { stage, treatment, control }).collect();
        let found = assess(&plan, &strata);
        prop_assert_eq!(found.verdict == Verdict::Undetermined, found.reason.is_some());
        let numbers = [found.log_e_harm, found.log_e_safe, found.n_eff, found.mean_treatment, found.mean_control];
        let optional = [found.effect, found.lower, found.upper];
        prop_assert!(numbers.into_iter().chain(optional.into_iter().flatten()).all(f64::is_finite), "{:?}", found);
        prop_assert!(!matches!((found.lower, found.upper), (Some(lower), Some(upper)) if lower > upper));
    }

    #[test]
    fn no_comparison_input_panics(
        outcome in outcome(),
        better in direction(),
        control in wild_moments(),
        treatment in wild_moments(),
        alpha in level(),
    ) {
        let found = compare(outcome, better, &control, &treatment, alpha);
        prop_assert!(found.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{:?}", found);
        prop_assert!(found.p_value.is_some() || !found.warnings.is_empty(), "{:?}", found);
        for estimate in [found.absolute, found.relative].into_iter().flatten() {
            prop_assert!([estimate.value, estimate.lower, estimate.upper].into_iter().all(f64::is_finite), "{:?}", estimate);
        }
    }

    #[test]
    fn no_share_input_panics(arms in prop::collection::vec((wild_count(), wild_number()), 0..5)) {
        let (counts, weights): (Vec<u64>, Vec<f64>) = arms.into_iter().unzip();
        if let Ok(found) = srm_chi_square(&counts, &weights) {
            prop_assert!((0.0..=1.0).contains(&found.p_value), "{:?}", found);
        }
    }
}
