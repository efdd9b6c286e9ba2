//! The laws that sizes, powers and effects owe each other, and that no question panics.

use liftgate_stats::power::{
    Baseline, Hypothesis, MetricKind, PowerMethod, PowerRequest, Sides, SoFar, Traffic, TunedAt, power,
};
use liftgate_stats::{Direction, Margin};
use proptest::prelude::*;

use crate::power::{answer, proportion, units};

fn request() -> impl Strategy<Value = PowerRequest> {
    let parts = (
        prop_oneof![Just(MetricKind::Proportion), Just(MetricKind::Mean)],
        prop_oneof![Just(Direction::Increase), Just(Direction::Decrease)],
        prop_oneof![Just(Hypothesis::Superiority), Just(Hypothesis::NonInferiority)],
        prop_oneof![Just(PowerMethod::Fixed), Just(PowerMethod::Sequential)],
        prop_oneof![Just(None), Just(Some(TunedAt::Auto)), (100..1_000_000_u64).prop_map(|n| Some(TunedAt::Units(n)))],
        prop_oneof![Just(Sides::One), Just(Sides::Two)],
    );
    let numbers = (0.02..0.6_f64, 0.005..0.5_f64, any::<bool>(), 1e-4..0.3_f64, 0.5..0.99_f64, 0.02..0.9_f64);
    (parts, numbers).prop_map(|(parts, numbers)| {
        let (kind, direction, hypothesis, method, tuned_at, sides) = parts;
        let (baseline, size, is_relative, alpha, target, share) = numbers;
        let size = if is_relative { Margin::Relative(size) } else { Margin::Absolute(size * baseline) };
        let is_superiority = hypothesis == Hypothesis::Superiority;
        PowerRequest {
            kind,
            baseline: Baseline {
                mean: baseline,
                variance: (kind == MetricKind::Mean).then_some(3.0 * baseline),
                treatment_variance: None,
                units: None,
            },
            effect: is_superiority.then_some(size),
            margin: (!is_superiority).then_some(size),
            direction,
            hypothesis,
            method,
            tuned_at: tuned_at.filter(|_| method == PowerMethod::Sequential),
            sides: Some(sides),
            alpha,
            power: target,
            allocation: Some(share),
            ..proportion(0.5, 0.1)
        }
    })
}

fn shrink(request: &PowerRequest, factor: f64) -> PowerRequest {
    let by = |size: Margin| match size {
        Margin::Relative(size) => Margin::Relative(size * factor),
        Margin::Absolute(size) => Margin::Absolute(size * factor),
    };
    PowerRequest { effect: request.effect.map(by), margin: request.margin.map(by), ..request.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_size_needed_is_the_smallest_with_the_power(request in request()) {
        let n = units(&request);
        let power_at = |n: u64| {
            answer(&PowerRequest { units_per_arm: Some(n), ..request.clone() }).at_size.power.expect("a power")
        };
        prop_assert!(power_at(n) >= request.power - 1e-12);
        prop_assert!(n == 2 || power_at(n - 1) < request.power + 1e-12, "{}", n);
        prop_assert!(power_at(2 * n) >= power_at(n));
    }

    #[test]
    fn the_detectable_effect_inverts_the_size(request in request()) {
        let n = units(&request);
        prop_assume!(n > 2);
        let asked = request.effect.or(request.margin).expect("a size");
        let at = |n: u64| {
            let found = answer(&PowerRequest { units_per_arm: Some(n), ..request.clone() }).at_size.detectable;
            found.map_or(f64::INFINITY, |found| match asked {
                Margin::Relative(_) => found.relative.expect("a fraction"),
                Margin::Absolute(_) => found.absolute,
            })
        };
        prop_assert!(at(n) <= asked.size() * (1.0 + 1e-9), "{} {}", at(n), asked.size());
        prop_assert!(at(n - 1) >= asked.size() * (1.0 - 1e-9), "{} {}", at(n - 1), asked.size());
    }

    #[test]
    fn smaller_effects_more_power_and_less_alpha_need_more_units(request in request(), factor in 0.3..1.0_f64) {
        let n = units(&request);
        prop_assert!(units(&shrink(&request, factor)) >= n);
        // A given N* is tuned for its alpha: far from it, a smaller alpha may even need less.
        let tuned_at = request.tuned_at.filter(|tuned_at| *tuned_at == TunedAt::Auto);
        let request = PowerRequest { tuned_at, ..request };
        let n = units(&request);
        let stricter = PowerRequest { alpha: request.alpha * factor, ..request.clone() };
        prop_assert!(units(&stricter) >= n);
        let power = 1.0 - (1.0 - request.power) * factor;
        let surer = PowerRequest { power, ..request };
        prop_assert!(units(&surer) >= n);
    }

    #[test]
    fn two_sided_is_one_sided_at_half_alpha(request in request()) {
        let request = PowerRequest { tuned_at: None, ..request };
        let at = |sides: Sides, alpha: f64| units(&PowerRequest { sides: Some(sides), alpha, ..request.clone() });
        let (two, one_half, one) =
            (at(Sides::Two, request.alpha), at(Sides::One, 0.5 * request.alpha), at(Sides::One, request.alpha));
        prop_assert!(one <= two);
        match request.method {
            PowerMethod::Fixed => prop_assert_eq!(two, one_half),
            // The closed one-sided bound gives a little away.
            PowerMethod::Sequential => prop_assert!(two <= one_half && one_half as f64 <= 1.2 * two as f64 + 1.0),
        }
    }

    #[test]
    fn ranges_hold_the_expected(request in request(), measured in 50..100_000_u64) {
        let baseline = Baseline { units: Some(measured), ..request.baseline };
        let needed = answer(&PowerRequest { baseline, ..request }).needed.expect("a size").treatment;
        prop_assert!(needed.low <= needed.expected);
        prop_assert!(needed.high.is_none_or(|high| high >= needed.expected));
    }

    #[test]
    fn no_question_panics_or_is_answered_with_a_non_number(
        base in request(), numbers in prop::collection::vec(wild_number(), 12), counts in prop::collection::vec(any::<u64>(), 5),
        mask in any::<u32>(), is_kept in any::<bool>(),
    ) {
        let mut request = base;
        let pick = |bit: u32| mask >> bit & 1 == 1;
        let maybe = |bit: u32, number: f64| pick(bit).then_some(number);
        if pick(0) { request.baseline.mean = numbers[0]; }
        if pick(1) && request.kind != MetricKind::Proportion { request.baseline.variance = Some(numbers[1]); }
        request.baseline.units = pick(2).then_some(counts[0]);
        if pick(3) { request = shrink(&request, numbers[2]); }
        if pick(4) { request.effect = Some(Margin::Absolute(numbers[3])); }
        if pick(5) && !is_kept { request.alpha = numbers[4]; }
        if pick(6) && !is_kept { request.power = numbers[5]; }
        request.correlation = maybe(7, numbers[6]);
        request.design_effect = maybe(8, numbers[7]);
        request.traffic = pick(9).then_some(Traffic { units_per_day_low: numbers[8], units_per_day_high: numbers[9] });
        request.units_per_arm = pick(10).then_some(counts[1] >> (counts[1] % 64));
        request.so_far = pick(11).then_some(SoFar {
            units_per_arm: counts[2] >> (counts[2] % 64), mean: maybe(12, numbers[10]), variance: maybe(13, numbers[11]),
        });
        match power(&request) {
            Err(error) => prop_assert!(!error.field().is_empty()),
            Ok(answer) => {
                let detectable = answer.at_size.detectable;
                let all = [Some(answer.at_size.critical), answer.at_size.power, detectable.map(|found| found.absolute),
                    detectable.and_then(|found| found.relative), answer.still_needed.map(|rest| rest.fraction)];
                for number in all.into_iter().flatten() {
                    prop_assert!(number.is_finite() && number >= 0.0, "{:?}", answer);
                }
            }
        }
    }
}

fn wild_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(0.0),
        Just(-1.0),
        Just(1e15),
        Just(1e-300),
        Just(1e300),
        0.0..1.0_f64,
        0.0..1.0_f64,
        0.0..1e6_f64,
        any::<f64>(),
    ]
}
