//! Planning: worked examples, statsmodels, simulation, and the laws that sizes, powers and effects owe each other.

use liftgate_stats::power::{
    Baseline, Hypothesis, MetricKind, PowerAnswer, PowerError, PowerMethod, PowerRequest, PowerWarning, Sides, SoFar,
    Traffic, TunedAt, power,
};
use liftgate_stats::{Direction, Margin};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::oracle::assert_close;

pub fn proportion(mean: f64, effect: f64) -> PowerRequest {
    PowerRequest {
        name: None,
        kind: MetricKind::Proportion,
        baseline: Baseline { mean, variance: None, treatment_variance: None, units: None },
        effect: Some(Margin::Relative(effect)),
        direction: Direction::Increase,
        hypothesis: Hypothesis::Superiority,
        margin: None,
        method: PowerMethod::Fixed,
        tuned_at: None,
        alpha: 0.05,
        sides: None,
        power: 0.8,
        allocation: None,
        arms: 2,
        success_metrics: 1,
        guardrails: 0,
        correlation: None,
        design_effect: None,
        cluster: None,
        traffic: None,
        units_per_arm: None,
        so_far: None,
    }
}

fn mean(mean: f64, variance: f64, effect: f64) -> PowerRequest {
    PowerRequest {
        kind: MetricKind::Mean,
        baseline: Baseline { mean, variance: Some(variance), treatment_variance: None, units: None },
        effect: Some(Margin::Absolute(effect)),
        ..proportion(0.5, 0.1)
    }
}

fn json(text: &str) -> Result<PowerRequest, serde_json::Error> {
    serde_json::from_str(text)
}

#[track_caller]
pub fn answer(request: &PowerRequest) -> PowerAnswer {
    power(request).expect("an answer")
}

#[track_caller]
pub fn units(request: &PowerRequest) -> u64 {
    answer(request).needed.expect("a size").treatment.expected
}

#[track_caller]
fn refused(request: &PowerRequest, field: &str) {
    let error = power(request).expect_err(field);
    assert_eq!(error.field(), field, "{error}");
    assert!(error.to_string().contains("write") || error.to_string().contains("leave"), "{error}");
}

#[test]
fn sizes_of_three_plans_come_out_by_every_method() {
    // scipy: root of d sqrt(n/V) - c(2 n) - z, rounded up.
    for (baseline, lift, fixed, at_5000, tuned) in
        [(0.05, 0.2, 6_424, 14_669, 13_621), (0.01, 0.5, 6_103, 13_881, 12_940), (0.05, 0.5, 1_157, 2_452, 2_452)]
    {
        let one_sided = PowerRequest { sides: Some(Sides::One), ..proportion(baseline, lift) };
        assert_eq!(units(&one_sided), fixed);
        let sequential = PowerRequest { method: PowerMethod::Sequential, ..one_sided };
        assert_eq!(units(&PowerRequest { tuned_at: Some(TunedAt::Units(5_000)), ..sequential.clone() }), at_5000);
        assert_eq!(units(&PowerRequest { tuned_at: Some(TunedAt::Auto), ..sequential }), tuned);
    }
}

#[test]
fn fixed_sizes_agree_with_statsmodels() {
    // statsmodels 0.15.0, NormalIndPower().solve_power; ratio is control over treatment.
    for (d, sd, alpha, target, allocation, sides, expected) in [
        (0.1, 1.0, 0.05, 0.8, None, Sides::Two, 1_569.772_102),
        (0.1, 1.0, 0.05, 0.8, None, Sides::One, 1_236.511_446),
        (2.0, 30.0, 0.01, 0.9, None, Sides::Two, 6_695.724_225),
        (2.0, 30.0, 0.05, 0.95, Some(0.25), Sides::One, 3_246.652_145),
        (0.5, 12.0, 0.001, 0.8, Some(0.8), Sides::Two, 49_174.982_796),
    ] {
        let request = PowerRequest { alpha, power: target, allocation, sides: Some(sides), ..mean(10.0, sd * sd, d) };
        assert_eq!(units(&request), f64::ceil(expected) as u64);
    }
    // samplesize_proportions_2indep_onetail takes the variance under no effect for alpha, which is 3 units more here.
    for (baseline, lift, expected) in [(0.05, 0.2, 6_425.72), (0.01, 0.5, 6_104.23), (0.05, 0.5, 1_158.18)] {
        let found = units(&PowerRequest { sides: Some(Sides::One), ..proportion(baseline, lift) });
        assert!((found as f64 - expected).abs() < 3.0, "{found} {expected}");
    }
}

#[test]
fn parts_of_the_question_do_what_their_formulas_say() {
    let plain = mean(100.0, 400.0, 3.0);
    let base = units(&plain) as f64;
    let check = |request: PowerRequest, factor: f64| {
        let found = units(&request) as f64;
        assert!((found - base * factor).abs() <= 1.0 + factor, "{found} {}", base * factor);
    };
    check(PowerRequest { correlation: Some(-0.6), ..plain.clone() }, 0.64);
    check(PowerRequest { design_effect: Some(2.5), ..plain.clone() }, 2.5);
    let clustered = json(
        r#"{"kind": "mean", "baseline": {"mean": 100, "variance": 400}, "effect": {"absolute": 3},
            "cluster": {"size": 21, "intraclass_correlation": 0.05}}"#,
    );
    check(clustered.expect("a request"), 2.0);
    check(PowerRequest { effect: Some(Margin::Relative(0.03)), ..plain.clone() }, 1.0);
    check(PowerRequest { kind: MetricKind::Ratio, direction: Direction::Decrease, ..plain.clone() }, 1.0);
    let wider = Baseline { treatment_variance: Some(1_200.0), ..plain.baseline };
    check(PowerRequest { baseline: wider, ..plain.clone() }, 2.0);
    // A quarter in treatment: V = s^2 (1 + 1/3) instead of 2 s^2.
    check(PowerRequest { allocation: Some(0.25), ..plain.clone() }, 2.0 / 3.0);
    // 3 arms, 2 success metrics, 3 guardrails: z(.05/4/2) and z(1 - .2/4), scipy.
    let split = PowerRequest { arms: 3, success_metrics: 2, guardrails: 3, ..proportion(0.1, 0.1) };
    assert_eq!(units(&split), 32_246);
    let found = answer(&split);
    assert_close(found.alpha_per_test, 0.0125, 1e-15, "alpha");
    assert_close(found.power_per_test, 0.95, 1e-15, "power");
    assert_eq!(found.needed.expect("a size").total.expected, 3 * 32_246);
}

#[test]
fn non_inferiority_is_sized_by_its_margin_and_the_assumed_effect() {
    let relative = PowerRequest {
        hypothesis: Hypothesis::NonInferiority,
        effect: None,
        margin: Some(Margin::Relative(0.05)),
        ..proportion(0.1, 0.1)
    };
    assert_eq!(units(&relative), 42_345);
    let absolute = PowerRequest {
        hypothesis: Hypothesis::NonInferiority,
        direction: Direction::Decrease,
        margin: Some(Margin::Absolute(3.0)),
        ..mean(100.0, 400.0, -1.0)
    };
    assert_eq!(units(&absolute), 1_237);
    let better = PowerRequest { effect: Some(Margin::Absolute(1.0)), ..absolute.clone() };
    assert!(units(&better) < units(&absolute));
    let worse = PowerRequest { effect: Some(Margin::Absolute(-3.0)), ..absolute.clone() };
    refused(&worse, "effect");
    // Success metrics share alpha, guardrails do not.
    assert_eq!(units(&PowerRequest { success_metrics: 5, ..absolute }), 1_237);
}

#[test]
fn a_baseline_with_its_units_gives_a_range_and_traffic_gives_days() {
    let request = PowerRequest {
        baseline: Baseline { units: Some(20_000), ..proportion(0.05, 0.2).baseline },
        traffic: Some(Traffic { units_per_day_low: 800.0, units_per_day_high: 1_200.0 }),
        ..proportion(0.05, 0.2)
    };
    let needed = answer(&request).needed.expect("a size");
    // Wilson's interval of 5 % of 20 000 is 4.7065 % to 5.3108 %.
    let found = (needed.treatment.low, needed.treatment.expected, needed.treatment.high);
    assert_eq!(found, (7_650, 8_155, Some(8_694)));
    let days = needed.days.expect("days");
    assert_eq!((days.low, days.high), (13, Some(22)));
}

#[test]
fn a_baseline_that_may_be_zero_has_no_upper_size() {
    let request = PowerRequest {
        baseline: Baseline { mean: 1.0, variance: Some(100.0), treatment_variance: None, units: Some(100) },
        effect: Some(Margin::Relative(0.1)),
        ..mean(1.0, 100.0, 1.0)
    };
    let found = answer(&request);
    assert_eq!(found.needed.expect("a size").treatment.high, None);
    assert!(found.warnings.contains(&PowerWarning::BaselineTooUncertain));
}

#[test]
fn a_running_experiment_is_planned_again_from_all_its_arms_together() {
    let request = PowerRequest {
        traffic: Some(Traffic { units_per_day_low: 500.0, units_per_day_high: 1_000.0 }),
        so_far: Some(SoFar { units_per_arm: 2_000, mean: Some(0.055), variance: None }),
        ..proportion(0.06, 0.2)
    };
    let found = answer(&request);
    let rest = found.still_needed.expect("a re-estimate");
    // 5.5 % of both arms and +20 % are 5 % of control.
    assert_eq!(rest.needed.treatment.expected, 8_155);
    assert_eq!(rest.treatment.expected, 6_155);
    assert_eq!(rest.total.expected, 12_310);
    assert!(rest.treatment.low < 6_155 && rest.treatment.high > Some(6_155));
    assert_close(rest.fraction, 2_000.0 / 8_155.0, 1e-15, "fraction");
    let days = rest.days.expect("days");
    assert_eq!(days.low, rest.total.low.div_ceil(1_000));
    let done = PowerRequest {
        so_far: Some(SoFar { units_per_arm: 50_000, mean: Some(0.055), variance: None }),
        ..request.clone()
    };
    assert_eq!(answer(&done).still_needed.expect("a re-estimate").treatment.high, Some(0));
    let wider = PowerRequest {
        so_far: Some(SoFar { units_per_arm: 500, mean: None, variance: Some(800.0) }),
        ..mean(100.0, 400.0, 3.0)
    };
    let rest = answer(&wider).still_needed.expect("a re-estimate");
    assert_eq!(rest.needed.treatment.expected, units(&mean(100.0, 800.0, 3.0)));
}

#[test]
fn a_sequential_plan_keeps_its_tuning_when_it_is_planned_again() {
    let plan = PowerRequest { method: PowerMethod::Sequential, ..mean(100.0, 400.0, 3.0) };
    let tuned_at = answer(&plan).at_size.tuned_at.expect("a tuning");
    assert_eq!(tuned_at, 2 * units(&plan));
    let again = PowerRequest {
        so_far: Some(SoFar { units_per_arm: 100, mean: None, variance: Some(1_600.0) }),
        ..plan.clone()
    };
    let fixed = PowerRequest { tuned_at: Some(TunedAt::Units(tuned_at)), ..mean(100.0, 1_600.0, 3.0) };
    let fixed = PowerRequest { method: PowerMethod::Sequential, ..fixed };
    assert_eq!(answer(&again).still_needed.expect("a re-estimate").needed.treatment.expected, units(&fixed));
}

#[test]
fn a_size_alone_tells_what_can_be_detected() {
    let request = json(r#"{"kind": "proportion", "baseline": {"mean": 0.05}, "sides": "one", "units_per_arm": 6424}"#)
        .expect("a request");
    let found = answer(&request);
    assert_eq!(found.needed, None);
    assert_eq!(found.at_size.power, None);
    let detectable = found.at_size.detectable.expect("an effect");
    assert!((detectable.relative.expect("a fraction") - 0.2).abs() < 1e-4);
    assert!((detectable.absolute - 0.01).abs() < 1e-5);
    let tiny = PowerRequest { units_per_arm: Some(2), direction: Direction::Decrease, ..request.clone() };
    let found = answer(&tiny);
    assert_eq!(found.at_size.detectable, None);
    assert!(found.warnings.contains(&PowerWarning::NothingDetectable));
    assert!(found.warnings.contains(&PowerWarning::FewEvents));
    refused(&PowerRequest { units_per_arm: None, ..request }, "effect");
}

#[test]
fn an_effect_out_of_reach_still_has_a_power_at_a_size() {
    let request = mean(0.0, 1.0, 1e-9);
    refused(&request, "effect");
    let found = answer(&PowerRequest { units_per_arm: Some(1_000), ..request });
    assert_eq!(found.needed, None);
    assert!((found.at_size.power.expect("a power") - 0.025).abs() < 1e-6);
    assert_eq!(found.at_size.detectable.expect("an effect").relative, None);
}

#[test]
fn simulated_experiments_of_the_size_needed_have_the_power() {
    const RUNS: u32 = 2_000;
    let mut rng = SmallRng::seed_from_u64(20);
    for method in [PowerMethod::Fixed, PowerMethod::Sequential] {
        let request = PowerRequest { method, sides: Some(Sides::One), ..proportion(0.05, 0.5) };
        let found = answer(&request).at_size;
        let n = found.treatment_units;
        let mut share = |p: f64| (0..n).filter(|_| rng.random::<f64>() < p).count() as f64 / n as f64;
        let successes = (0..RUNS).filter(|_| {
            let (control, treatment) = (share(0.05), share(0.075));
            let pooled = 0.5 * (control + treatment);
            treatment - control > found.critical * (2.0 * pooled * (1.0 - pooled) / n as f64).sqrt()
        });
        let power = successes.count() as f64 / f64::from(RUNS);
        // Three standard errors of the simulation, .027.
        assert!((power - 0.8).abs() < 0.027, "{method:?} {power}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let p = || proportion(0.05, 0.2);
    let m = || mean(100.0, 400.0, 3.0);
    for bad in [0.0, 1.0, -0.1, 5.0, f64::NAN, f64::INFINITY] {
        refused(&proportion(bad, 0.2), "baseline.mean");
    }
    for bad in [0.0, -0.2, f64::NAN, f64::INFINITY, 19.0, 1e300] {
        refused(&proportion(0.05, bad), "effect");
    }
    refused(&PowerRequest { direction: Direction::Decrease, ..proportion(0.05, 1.0) }, "effect");
    refused(&PowerRequest { direction: Direction::Decrease, effect: Some(Margin::Relative(1.0)), ..m() }, "effect");
    refused(&PowerRequest { effect: Some(Margin::Absolute(0.95)), ..p() }, "effect");
    refused(&PowerRequest { effect: Some(Margin::Relative(0.1)), ..mean(0.0, 1.0, 1.0) }, "effect");
    refused(&PowerRequest { effect: None, ..p() }, "effect");
    refused(&proportion(1e-300, 1e-300), "effect");
    for bad in [0.0, 0.5, 1.0, -1.0, f64::NAN, 1e-320] {
        refused(&PowerRequest { alpha: bad, ..p() }, "alpha");
    }
    for bad in [0.0, 0.49, 1.0, 80.0, f64::NAN] {
        refused(&PowerRequest { power: bad, ..p() }, "power");
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&mean(100.0, bad, 3.0), "baseline.variance");
        let baseline = Baseline { treatment_variance: Some(bad), ..m().baseline };
        refused(&PowerRequest { baseline, ..m() }, "baseline.treatment_variance");
        refused(&PowerRequest { design_effect: Some(bad), ..m() }, "design_effect");
        refused(
            &PowerRequest { traffic: Some(Traffic { units_per_day_low: bad, units_per_day_high: 5.0 }), ..m() },
            "traffic.units_per_day_low",
        );
        refused(
            &PowerRequest { so_far: Some(SoFar { units_per_arm: 5, mean: None, variance: Some(bad) }), ..m() },
            "so_far.variance",
        );
        refused(
            &PowerRequest { hypothesis: Hypothesis::NonInferiority, margin: Some(Margin::Absolute(bad)), ..m() },
            "margin",
        );
    }
    refused(
        &PowerRequest { traffic: Some(Traffic { units_per_day_low: 9.0, units_per_day_high: 5.0 }), ..m() },
        "traffic.units_per_day_high",
    );
    refused(&PowerRequest { baseline: Baseline { variance: None, ..m().baseline }, ..m() }, "baseline.variance");
    refused(&PowerRequest { baseline: Baseline { variance: Some(0.05), ..p().baseline }, ..p() }, "baseline.variance");
    refused(&PowerRequest { baseline: Baseline { units: Some(0), ..p().baseline }, ..p() }, "baseline.units");
    for bad in [1.0, -1.0, f64::NAN] {
        refused(&PowerRequest { correlation: Some(bad), ..p() }, "correlation");
    }
    for bad in [0.0, 1.0, f64::NAN] {
        refused(&PowerRequest { allocation: Some(bad), ..p() }, "allocation");
    }
    refused(&PowerRequest { allocation: Some(0.5), arms: 3, ..p() }, "allocation");
    refused(&PowerRequest { arms: 1, ..p() }, "arms");
    refused(&PowerRequest { success_metrics: 0, ..p() }, "success_metrics");
    refused(&PowerRequest { guardrails: u32::MAX, ..p() }, "guardrails");
    refused(&PowerRequest { tuned_at: Some(TunedAt::Auto), ..p() }, "tuned_at");
    let sequential = PowerRequest { method: PowerMethod::Sequential, ..p() };
    refused(&PowerRequest { tuned_at: Some(TunedAt::Units(0)), ..sequential }, "tuned_at");
    refused(&PowerRequest { units_per_arm: Some(u64::MAX), ..p() }, "units_per_arm");
    refused(&PowerRequest { units_per_arm: Some(1), ..p() }, "units_per_arm");
    refused(&PowerRequest { margin: Some(Margin::Relative(0.1)), ..p() }, "margin");
    let guardrail = PowerRequest { hypothesis: Hypothesis::NonInferiority, effect: None, ..p() };
    refused(&guardrail, "margin");
    refused(&PowerRequest { margin: Some(Margin::Relative(1.0)), ..guardrail.clone() }, "margin");
    refused(&PowerRequest { margin: Some(Margin::Absolute(0.05)), ..guardrail }, "margin");
    refused(
        &PowerRequest { so_far: Some(SoFar { units_per_arm: 5, mean: Some(1.0), variance: None }), ..p() },
        "so_far.mean",
    );
    refused(
        &PowerRequest { so_far: Some(SoFar { units_per_arm: 0, mean: None, variance: None }), ..p() },
        "so_far.units_per_arm",
    );
}

#[test]
fn requests_are_read_from_json_and_mistakes_are_pointed_at() {
    let full = r#"{"name": "checkout", "kind": "mean", "baseline": {"mean": 20.0, "variance": 900.0, "units": 20000},
        "effect": {"relative": 0.02}, "direction": "increase", "hypothesis": "superiority", "method": "sequential",
        "tuned_at": 5000, "alpha": 0.05, "sides": "two", "power": 0.8, "allocation": 0.5, "arms": 2,
        "success_metrics": 1, "guardrails": 2, "correlation": 0.5, "design_effect": 1.2,
        "traffic": {"units_per_day_low": 1000.0, "units_per_day_high": 2000.0}, "units_per_arm": 10000,
        "so_far": {"units_per_arm": 500, "mean": 21.0, "variance": 1000.0}}"#;
    let request = json(full).expect("a request");
    assert_eq!(request.tuned_at, Some(TunedAt::Units(5_000)));
    let text = serde_json::to_string(&request).expect("json");
    assert_eq!(json(&text).expect("the same"), request);
    let found = answer(&request);
    let text = serde_json::to_string(&found).expect("json");
    assert_eq!(serde_json::from_str::<PowerAnswer>(&text).expect("the same"), found);
    assert_eq!(json(&full.replace("5000,", "\"auto\",")).expect("auto").tuned_at, Some(TunedAt::Auto));
    for (from, to, expected) in [
        ("5000,", "\"automatic\",", "a whole number of units, or \"auto\""),
        ("5000,", "-3,", "a whole number of units, or \"auto\""),
        ("\"arms\"", "\"arm\"", "unknown field `arm`"),
        ("\"relative\"", "\"percent\"", "unknown variant `percent`"),
        ("\"mean\": 20.0", "\"average\": 20.0", "unknown field `average`"),
    ] {
        let error = json(&full.replacen(from, to, 1)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn errors_tell_the_field_what_it_says_and_what_to_write() {
    let error = power(&PowerRequest { power: 80.0, ..proportion(0.05, 0.2) }).expect_err("80 is no probability");
    assert_eq!(error.to_string(), "`power` is 80: write a probability from 0.5 up and below 1, like 0.8");
    assert!(matches!(error, PowerError::Unusable { .. }));
    let error = power(&proportion(1e300, 0.2)).expect_err("no proportion");
    assert!(error.to_string().starts_with("`baseline.mean` is 1e300:"), "{error}");
}
