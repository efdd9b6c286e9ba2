//! Laws that hold for all data.

use liftgate_stats::{
    Comparison, Direction, Estimate, GuardrailPlan, Margin, Moments, Outcome, Stratum, Verdict, assess, compare,
};
use proptest::prelude::*;

fn means_arm() -> impl Strategy<Value = Moments> {
    (2..5_000_u64, 0.5..60.0_f64, 0.01..40.0_f64).prop_map(|(n, mean, variance)| Moments {
        n,
        mean,
        m2: variance * (n - 1) as f64,
    })
}

fn counts_arm() -> impl Strategy<Value = Moments> {
    prop_oneof![1..60_u64, 1..3_000_u64]
        .prop_flat_map(|n| (Just(n), 0..=n))
        .prop_map(|(n, events)| Moments::from_counts(n, events))
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

fn run(outcome: Outcome, control: &Moments, treatment: &Moments, alpha: f64) -> Comparison {
    compare(outcome, Direction::Increase, control, treatment, alpha)
}

fn check_p_and_intervals_agree(found: &Comparison, alpha: f64) -> Result<(), TestCaseError> {
    let Some(p) = found.p_value else {
        return Ok(());
    };
    // Within rounding of the threshold either answer is right.
    prop_assume!((p / alpha - 1.0).abs() > 1e-7);
    for interval in [found.absolute, found.relative].into_iter().flatten() {
        let Estimate { value, lower, upper, .. } = interval;
        prop_assert_eq!(p < alpha, !interval.contains(0.0), "{:?}", found);
        prop_assert!(lower <= value + 1e-9 && value <= upper + 1e-9, "{:?}", interval);
    }
    Ok(())
}

fn check_swap(outcome: Outcome, a: &Moments, b: &Moments) -> Result<(), TestCaseError> {
    let (forth, back) = (run(outcome, a, b, 0.05), run(outcome, b, a, 0.05));
    let (Some(p), Some(q)) = (forth.p_value, back.p_value) else {
        return Ok(());
    };
    prop_assert!(close(p, q, 1e-9), "{} {}", p, q);
    if let (Some(forth), Some(back)) = (forth.absolute, back.absolute) {
        prop_assert!(close(forth.value, -back.value, 1e-12));
        prop_assert!(close(forth.lower, -back.upper, 1e-9), "{:?} {:?}", forth, back);
        prop_assert!(close(forth.upper, -back.lower, 1e-9), "{:?} {:?}", forth, back);
    }
    if let (Some(forth), Some(back)) = (forth.relative, back.relative) {
        let inverse = |lift: f64| 1.0 / (1.0 + lift) - 1.0;
        prop_assert!(close(forth.value, inverse(back.value), 1e-9));
        prop_assert!(close(forth.lower, inverse(back.upper), 1e-7), "{:?} {:?}", forth, back);
        prop_assert!(close(forth.upper, inverse(back.lower), 1e-7), "{:?} {:?}", forth, back);
    }
    Ok(())
}

proptest! {
    #[test]
    fn merge_order_does_not_matter(values in prop::collection::vec(-1e3..1e3_f64, 3..60), cuts in (0..60_usize, 0..60_usize)) {
        let (a, b) = (cuts.0.min(cuts.1).min(values.len()), cuts.0.max(cuts.1).min(values.len()));
        let parts = [&values[..a], &values[a..b], &values[b..]].map(|part| Moments::of(part.iter().copied()));
        let merged = |order: [usize; 3]| {
            let mut sum = Moments::default();
            order.iter().for_each(|&index| sum.merge(&parts[index]));
            sum
        };
        let whole = Moments::of(values.iter().copied());
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let sum = merged(order);
            prop_assert_eq!(sum.n, whole.n);
            prop_assert!((sum.mean - whole.mean).abs() <= 1e-12 * 1e3);
            prop_assert!((sum.m2 - whole.m2).abs() <= 1e-12 * whole.m2.max(1e3));
        }
    }

    #[test]
    fn an_offset_changes_no_variance_of_dyadic_data(values in prop::collection::vec(0..1024_u32, 2..200)) {
        // Multiples of 1/16 around 2^40: every value is exact, the mean is not.
        let near = Moments::of(values.iter().map(|&v| f64::from(v) / 16.0));
        let far = Moments::of(values.iter().map(|&v| f64::from(v) / 16.0 + 1_099_511_627_776.0));
        prop_assert!((near.m2 - far.m2).abs() <= 1e-3 * near.m2.max(1.0), "{:?} {:?}", near, far);
    }

    #[test]
    fn swapping_arms_mirrors_means(a in means_arm(), b in means_arm()) {
        check_swap(Outcome::Mean, &a, &b)?;
    }

    #[test]
    fn swapping_arms_mirrors_counts(a in counts_arm(), b in counts_arm()) {
        check_swap(Outcome::Binary, &a, &b)?;
    }

    #[test]
    fn p_is_below_alpha_exactly_when_zero_is_outside_for_means(a in means_arm(), b in means_arm(), alpha in 0.001..0.3_f64) {
        check_p_and_intervals_agree(&run(Outcome::Mean, &a, &b, alpha), alpha)?;
    }

    #[test]
    fn p_is_below_alpha_exactly_when_zero_is_outside_for_counts(a in counts_arm(), b in counts_arm(), alpha in 0.001..0.3_f64) {
        check_p_and_intervals_agree(&run(Outcome::Binary, &a, &b, alpha), alpha)?;
    }

    #[test]
    fn scaling_scales(a in means_arm(), b in means_arm(), scale in 1e-3..1e3_f64) {
        let scaled = |arm: &Moments| Moments { n: arm.n, mean: scale * arm.mean, m2: scale * scale * arm.m2 };
        let (one, other) = (run(Outcome::Mean, &a, &b, 0.05), run(Outcome::Mean, &scaled(&a), &scaled(&b), 0.05));
        let (absolute, expected) = (other.absolute.expect("the arms vary"), one.absolute.expect("the arms vary"));
        prop_assert!(close(absolute.lower / scale, expected.lower, 1e-9));
        prop_assert!(close(absolute.upper / scale, expected.upper, 1e-9));
        prop_assert_eq!(one.relative.is_some(), other.relative.is_some());
        if let (Some(one), Some(other)) = (one.relative, other.relative) {
            prop_assert!(close(one.lower, other.lower, 1e-8) && close(one.upper, other.upper, 1e-8));
        }
    }

    #[test]
    fn a_wider_margin_never_makes_harm_likelier(a in counts_arm(), b in counts_arm(), margin in 0.0..0.5_f64, more in 0.01..0.5_f64) {
        let plan = |margin: f64| GuardrailPlan {
            outcome: Outcome::Binary,
            harm: Direction::Increase,
            margin: Margin::Relative(margin),
            detect: None,
            alpha: 0.05,
            alpha_safe: 0.05,
            stages: 1,
        };
        let strata = [Stratum { stage: 0, treatment: a, control: b }];
        let (narrow, wide) = (assess(&plan(margin), &strata), assess(&plan(margin + more), &strata));
        prop_assert!(!(narrow.verdict == Verdict::Safe && wide.verdict == Verdict::Harm));
        prop_assert!(wide.verdict != Verdict::Harm || narrow.verdict == Verdict::Harm, "{:?} {:?}", narrow, wide);
        for found in [narrow, wide] {
            if let (Some(lower), Some(upper)) = (found.lower, found.upper) {
                prop_assert!(lower <= upper);
            }
        }
    }

    #[test]
    fn relabelling_events_as_non_events_mirrors_an_absolute_guardrail(a in counts_arm(), b in counts_arm(), margin in 0.0..0.2_f64) {
        let plan = |harm| GuardrailPlan {
            outcome: Outcome::Binary,
            harm,
            margin: Margin::Absolute(margin),
            detect: None,
            alpha: 0.05,
            alpha_safe: 0.05,
            stages: 2,
        };
        let flip = |arm: Moments| Moments::from_counts(arm.n, arm.n - arm.events().expect("0/1 data"));
        let events = |arm: Moments| arm.events().expect("0/1 data");
        let total = events(a) + events(b);
        // The burn-in counts events, so both labels must have enough of them.
        if total < 20 || a.n + b.n - total < 20 {
            return Ok(());
        }
        let up = assess(&plan(Direction::Increase), &[Stratum { stage: 0, treatment: a, control: b }]);
        let down = assess(&plan(Direction::Decrease), &[Stratum { stage: 0, treatment: flip(a), control: flip(b) }]);
        prop_assert!(close(up.log_e_harm, down.log_e_harm, 1e-8), "{:?} {:?}", up, down);
        prop_assert!(close(up.log_e_safe, down.log_e_safe, 1e-8));
    }
}
