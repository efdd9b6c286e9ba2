//! The long calibration (`examples/calibrate`) in a short, seeded form: does a guardrail cry wolf when nothing is
//! wrong, does it see what is, and would wrong methods be caught? Judged by Clopper-Pearson intervals of 95 %.

#[allow(dead_code, reason = "the long calibration uses the rest")]
#[path = "../../examples/calibrate/simulation/mod.rs"]
mod simulation;

use liftgate_stats::{
    Comparison, Direction, GuardrailPlan, Margin, Model, Moments, Outcome, Plan, Stratum, Verdict, compare, compare_by,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use simulation::chance::{coin, lognormal, negative_binomial, normal, zero_inflated};
use simulation::clustered::{is_quantile_harmed, is_ratio_harmed};
use simulation::controls::{
    Alarms, censored_arm, known_cut, peeking, pooled_stages, raw_events, request_variance, rest_as_control, restarted,
};
use simulation::family::any_harm;
use simulation::lift::{self, LIFT, Lifts};
use simulation::past::{errors_with_past, value_with_past};
use simulation::race::{Fired, Times, race};
use simulation::ramp::{Instant, Looks, Pair, Ramp};
use simulation::rate::Rate;
use simulation::readout::{Arms, arm, is_effect_shown, is_ever_said, sequential};
use simulation::verdict::{ALPHA, is_harm, is_safe, plan};
use simulation::{events, strata};

/// Enough that a true rate of .025 shows as at most .05, mostly.
const RUNS: u64 = 700;
/// Fewer where a run is long: there the true rates are near .015.
const RUNS_LONG: u64 = 350;
/// Runs of a wrong method: it breaks by much.
const RUNS_WRONG: u64 = 60;
/// Comparisons at one look are cheap.
const RUNS_ONE_LOOK: u64 = 20_000;
/// 2 000 units.
const PAIRS: u64 = 1_000;
const PAIRS_OF_STAGES: [u64; 5] = [60, 100, 160, 260, 420];
const BASE: f64 = 0.05;

fn runs<T>(count: u64, run: impl Fn(&mut SmallRng) -> T) -> Vec<T> {
    (0..count).map(|seed| run(&mut SmallRng::seed_from_u64(seed))).collect()
}

fn rate(run: impl Fn(&mut SmallRng) -> bool) -> Rate {
    Rate::of(&runs(RUNS, run))
}

#[track_caller]
fn assert_at_most(limit: f64, rate: Rate) {
    assert!(rate.upper() <= limit, "{rate:?}");
}

#[track_caller]
fn assert_above(limit: f64, rate: Rate) {
    assert!(rate.lower() > limit, "{rate:?}");
}

/// Harm with a look after every pair of one stage; both arms are alike.
fn false_harm(outcome: Outcome, unit: impl Fn(&mut SmallRng) -> f64) -> Rate {
    let plan = plan(outcome, 0.0);
    let ramp = Ramp { pairs: &[PAIRS], looks: Looks::EveryPair };
    rate(|rng| ramp.pairs_to_alarm(rng, |rng, _| Pair::alike(|| unit(rng)), |strata| is_harm(&plan, strata)).is_some())
}

/// Alarms in a ramp of five stages.
fn alarms(
    margin: f64,
    draw: impl Fn(&mut SmallRng, Instant) -> Pair,
    says: impl Fn(&GuardrailPlan, &[Stratum]) -> bool,
) -> Rate {
    let plan = GuardrailPlan { stages: 5, ..plan(Outcome::Binary, margin) };
    let ramp = Ramp { pairs: &PAIRS_OF_STAGES, looks: Looks::Thinned };
    let sounds = |rng: &mut SmallRng| ramp.pairs_to_alarm(rng, &draw, |strata| says(&plan, strata)).is_some();
    Rate::of(&runs(RUNS_LONG, sounds))
}

fn raised(rng: &mut SmallRng, base: f64, factor: f64) -> Pair {
    Pair { treatment: coin(rng, base * factor), control: coin(rng, base) }
}

#[test]
fn false_harm_of_counts_stays_below_alpha_at_every_look() {
    for base in [0.001, 0.01, 0.1, 0.5] {
        assert_at_most(ALPHA, false_harm(Outcome::Binary, |rng| coin(rng, base)));
    }
}

#[test]
fn false_harm_of_means_stays_below_alpha_at_every_look() {
    assert_at_most(ALPHA, false_harm(Outcome::Mean, |rng| 300.0 + 75.0 * normal(rng)));
    assert_at_most(ALPHA, false_harm(Outcome::Mean, |rng| lognormal(rng, 1.0)));
    assert_at_most(ALPHA, false_harm(Outcome::Mean, zero_inflated));
    assert_at_most(ALPHA, false_harm(Outcome::Mean, |rng| f64::from(negative_binomial(rng, 2.0, 0.5))));
}

#[test]
fn false_harm_stays_below_alpha_while_the_baseline_drifts_by_half() {
    assert_at_most(ALPHA, alarms(0.0, |rng, now| Pair::alike(|| coin(rng, BASE * now.drift())), is_harm));
}

#[test]
fn an_effect_at_the_margin_is_neither_harm_nor_safe() {
    assert_at_most(ALPHA, alarms(0.1, |rng, _| raised(rng, BASE, 1.1), is_harm));
    assert_at_most(ALPHA, alarms(0.1, |rng, _| raised(rng, BASE, 1.1), is_safe));
}

#[test]
fn a_doubled_rate_is_found() {
    assert_above(0.95, alarms(0.0, |rng, _| raised(rng, 0.1, 2.0), is_harm));
}

#[test]
fn a_doubled_rate_that_begins_at_the_third_stage_is_found() {
    let late = |rng: &mut SmallRng, now: Instant| raised(rng, 0.1, if now.stage < 2 { 1.0 } else { 2.0 });
    assert_above(0.95, alarms(0.0, late, is_harm));
}

#[test]
fn no_guardrail_of_ten_cries_wolf_in_more_than_alpha_together() {
    assert_at_most(ALPHA, Rate::of(&runs(RUNS_LONG, |rng| any_harm(rng, PAIRS / 2, 0.5))));
}

#[test]
fn ratios_and_quantiles_of_clustered_requests_keep_alpha() {
    assert_at_most(ALPHA, rate(|rng| is_ratio_harmed(rng, PAIRS, Pair::alike(|| 0.1))));
    assert_at_most(ALPHA, rate(|rng| is_quantile_harmed(rng, PAIRS, 25.0, |latency| latency + 25.0)));
}

#[test]
fn a_sequential_readout_of_any_model_rarely_shows_an_effect_that_is_not_there() {
    let pairs = PAIRS / 2;
    let long = |run: &dyn Fn(&mut SmallRng) -> bool| Rate::of(&runs(RUNS_LONG, run));
    assert_at_most(ALPHA, rate(|rng| is_effect_shown(rng, Model::Mean, pairs, |rng| value_with_past(rng, 10.0))));
    assert_at_most(ALPHA, long(&|rng| is_effect_shown(rng, Model::Ratio, pairs, |rng| errors_with_past(rng, 1.0))));
    assert_at_most(ALPHA, long(&|rng| strata::is_effect_shown(rng, pairs)));
    assert_at_most(ALPHA, long(&|rng| events::is_effect_shown(rng, 0.95, [50, pairs], 12)));
}

#[test]
fn a_covariate_leaves_a_sequential_margin_its_alpha() {
    let plan = Plan { margin: Some(Margin::Relative(0.1)), ..sequential() };
    let draw = |rng: &mut SmallRng| [value_with_past(rng, 11.0), value_with_past(rng, 10.0)];
    for wrong in [Verdict::Harm, Verdict::Safe] {
        assert_at_most(
            ALPHA,
            rate(|rng| {
                is_ever_said(rng, Model::Mean, PAIRS / 2, draw, |sample| {
                    let margin = compare_by(&plan, Direction::Decrease, sample).margin;
                    margin.is_some_and(|margin| margin.verdict == wrong)
                })
            }),
        );
    }
}

#[test]
fn an_interval_with_a_covariate_holds_the_truth_in_95_of_100() {
    let holds = runs(RUNS_ONE_LOOK, |rng| {
        let mut of = |mean: f64| arm(100, || value_with_past(rng, mean));
        let arms = Arms { model: Model::Mean, treatment: of(11.0), control: of(10.0) };
        let found = compare_by(&Plan::fixed(ALPHA), Direction::Increase, &arms.sample());
        [(found.absolute, 1.0), (found.relative, 0.1)]
            .map(|(interval, truth)| interval.is_some_and(|it| it.contains(truth)))
    });
    for scale in [0, 1] {
        let rate = Rate::of(&holds.iter().map(|holds| holds[scale]).collect::<Vec<bool>>());
        assert!(rate.lower() > 0.94 && rate.upper() < 0.96, "{rate:?}");
    }
}

#[test]
fn intervals_at_one_look_hold_the_truth_in_95_of_100() {
    let check = |outcome, difference: f64, arms: &dyn Fn(&mut SmallRng) -> [Moments; 2]| {
        let holds = runs(RUNS_ONE_LOOK, |rng| {
            let [treatment, control] = arms(rng);
            let Comparison { absolute, .. } = compare(outcome, Direction::Increase, &control, &treatment, 0.05);
            absolute.is_some_and(|interval| interval.contains(difference))
        });
        let rate = Rate::of(&holds);
        assert!(rate.lower() > 0.94 && rate.upper() < 0.96, "{rate:?}");
    };
    let normals = |rng: &mut SmallRng, n: u32, mean: f64, sd: f64| Moments::of((0..n).map(|_| mean + sd * normal(rng)));
    check(Outcome::Mean, 1.0, &|rng| [normals(rng, 15, 11.0, 4.0), normals(rng, 60, 10.0, 1.0)]);
    let coins = |rng: &mut SmallRng, n: u32, share: f64| Moments::of((0..n).map(|_| coin(rng, share)));
    check(Outcome::Binary, -0.05, &|rng| [coins(rng, 500, 0.10), coins(rng, 2_000, 0.15)]);
}

#[test]
fn both_tails_of_a_lift_over_an_uncertain_baseline_are_alike() {
    let lifts = runs(RUNS_ONE_LOOK, lift::one_run);
    let share = |is_missed: fn(&Lifts) -> bool| Rate::of(&lifts.iter().map(is_missed).collect::<Vec<bool>>());
    let below = share(|lifts| lifts.fieller.is_some_and(|fieller| fieller.lower > LIFT));
    let above = share(|lifts| lifts.fieller.is_some_and(|fieller| fieller.upper < LIFT));
    for tail in [below, above] {
        assert!(tail.lower() > 0.02 && tail.upper() < 0.03, "{tail:?}");
    }
    // The delta method would not do.
    assert_at_most(0.01, share(|lifts| lifts.delta.lower > LIFT));
    assert_above(0.035, share(|lifts| lifts.delta.upper < LIFT));
}

#[test]
fn harm_is_found_within_the_promised_exposures() {
    let check = |rates: Pair, limits: [u64; 3]| {
        let fired = runs(RUNS_LONG, |rng| race(rng, rates));
        let median = |of: fn(&Fired) -> Option<u64>| Times::of(fired.iter().map(of).collect()).median();
        let found = [median(|fired| fired.plain), median(|fired| fired.detect), median(|fired| fired.shared)];
        let found = found.map(|median| median.expect("more than half of the runs end in harm"));
        assert!(found.iter().zip(limits).all(|(median, limit)| *median <= limit), "{rates:?}: {found:?}");
        let growthbook = median(|fired| fired.growthbook).expect("control has events");
        assert!(found[0] as f64 <= 1.17 * growthbook as f64 && found[1] <= growthbook, "{found:?} {growthbook}");
    };
    check(Pair { treatment: 0.10, control: 0.05 }, [960, 720, 1_370]);
    check(Pair { treatment: 0.01, control: 0.001 }, [2_300, 1_850, 3_200]);
}

#[test]
fn wrong_methods_are_caught() {
    let caught = |one_run: fn(&mut SmallRng) -> Alarms| {
        let wrong: Vec<bool> = runs(RUNS_WRONG, one_run).iter().map(|alarms| alarms.wrong).collect();
        assert_above(ALPHA, Rate::of(&wrong));
    };
    caught(peeking::one_run);
    caught(pooled_stages::one_run);
    caught(request_variance::one_run);
    caught(rest_as_control::one_run);
    caught(censored_arm::one_run);
    caught(raw_events::one_run);
    caught(known_cut::one_run);
}

#[test]
fn one_sum_over_all_stages_has_the_power_that_restarts_lose() {
    let alarms = runs(RUNS_LONG, restarted::one_run);
    let rate = |of: fn(&Alarms) -> bool| Rate::of(&alarms.iter().map(of).collect::<Vec<bool>>());
    let (restarted, one_sum) = (rate(|alarms| alarms.wrong), rate(|alarms| alarms.right));
    assert!(restarted.upper() + 0.2 < one_sum.lower(), "{restarted:?} {one_sum:?}");
}

#[test]
fn a_tuned_bet_keeps_alpha_as_well() {
    let tuned = GuardrailPlan { detect: Some(Margin::Relative(0.5)), ..plan(Outcome::Binary, 0.0) };
    let ramp = Ramp { pairs: &[PAIRS], looks: Looks::EveryPair };
    let draw = |rng: &mut SmallRng, _: Instant| Pair::alike(|| coin(rng, BASE));
    assert_at_most(ALPHA, rate(|rng| ramp.pairs_to_alarm(rng, draw, |strata| is_harm(&tuned, strata)).is_some()));
}
