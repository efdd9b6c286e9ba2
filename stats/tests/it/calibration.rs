//! Simulated ramps: how often does a guardrail cry wolf when nothing is wrong, and does it see what is? Seeded, short.

use liftgate_stats::{Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum, Verdict, assess, special};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use statrs::distribution::{Beta, ContinuousCDF};

const ALPHA: f64 = 0.05;
const RUNS: u64 = 400;
const STAGES: u32 = 5;
const BATCHES_PER_STAGE: u32 = 8;
/// Units an arm in a batch of the first stage; each stage doubles it.
const BATCH: u64 = 60;
const BASE: f64 = 0.05;

/// Event probabilities of one batch.
struct Rates {
    treatment: f64,
    control: f64,
}

fn plan() -> GuardrailPlan {
    GuardrailPlan {
        outcome: Outcome::Binary,
        harm: Direction::Increase,
        margin: Margin::Relative(0.0),
        detect: None,
        alpha: ALPHA,
        alpha_safe: ALPHA,
        stages: STAGES,
    }
}

/// Share of the ramps in which `is_alarm` fires at any look; a look after every batch.
fn alarms(rates: impl Fn(u32) -> Rates, is_alarm: impl Fn(&[Stratum]) -> bool) -> u64 {
    (0..RUNS).filter(|&seed| ramp_alarms(&mut SmallRng::seed_from_u64(seed), &rates, &is_alarm)).count() as u64
}

fn ramp_alarms(rng: &mut SmallRng, rates: &impl Fn(u32) -> Rates, is_alarm: &impl Fn(&[Stratum]) -> bool) -> bool {
    let mut strata: Vec<Stratum> = Vec::new();
    for stage in 0..STAGES {
        strata.push(Stratum { stage, treatment: Moments::default(), control: Moments::default() });
        for _ in 0..BATCHES_PER_STAGE {
            let last = strata.last_mut().expect("a stratum was just opened");
            let Rates { treatment, control } = rates(stage);
            last.treatment.merge(&batch(rng, BATCH << stage, treatment));
            last.control.merge(&batch(rng, BATCH << stage, control));
            if is_alarm(&strata) {
                return true;
            }
        }
    }
    false
}

fn batch(rng: &mut SmallRng, units: u64, rate: f64) -> Moments {
    let events = (0..units).filter(|_| rng.random::<f64>() < rate).count();
    Moments::from_counts(units, events as u64)
}

fn is_harm(strata: &[Stratum]) -> bool {
    assess(&plan(), strata).verdict == Verdict::Harm
}

/// A one-sided z test of all units, read at every look.
fn is_peeked(strata: &[Stratum]) -> bool {
    let (mut treatment, mut control) = (Moments::default(), Moments::default());
    for stratum in strata {
        treatment.merge(&stratum.treatment);
        control.merge(&stratum.control);
    }
    let variance = |arm: &Moments| arm.mean * (1.0 - arm.mean) / arm.n as f64;
    let se = (variance(&treatment) + variance(&control)).sqrt();
    se > 0.0 && special::normal_sf((treatment.mean - control.mean) / se) < ALPHA
}

/// Clopper-Pearson bounds, each with 95 % confidence.
fn clopper_pearson(hits: u64) -> (f64, f64) {
    let (x, n) = (hits as f64, RUNS as f64);
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).expect("positive shapes").inverse_cdf(p);
    let lower = if hits == 0 { 0.0 } else { quantile(x, n - x + 1.0, 0.05) };
    let upper = if hits == RUNS { 1.0 } else { quantile(x + 1.0, n - x, 0.95) };
    (lower, upper)
}

fn steady(_: u32) -> Rates {
    Rates { treatment: BASE, control: BASE }
}

#[test]
fn false_harm_stays_below_alpha_at_every_look() {
    let hits = alarms(steady, is_harm);
    assert!(clopper_pearson(hits).1 < ALPHA, "{hits} of {RUNS}");
}

#[test]
fn false_harm_stays_below_alpha_while_the_baseline_drifts_by_half() {
    let drifting = |stage: u32| {
        let rate = BASE * (1.0 + 0.5 * f64::from(stage) / f64::from(STAGES - 1));
        Rates { treatment: rate, control: rate }
    };
    let hits = alarms(drifting, is_harm);
    assert!(clopper_pearson(hits).1 < ALPHA, "{hits} of {RUNS}");
}

#[test]
fn a_doubled_rate_is_found() {
    let hits = alarms(|_| Rates { treatment: 2.0 * BASE, control: BASE }, is_harm);
    assert!(clopper_pearson(hits).0 > 0.95, "{hits} of {RUNS}");
}

#[test]
fn a_doubled_rate_that_begins_at_the_third_stage_is_found() {
    let late = |stage: u32| Rates { treatment: if stage < 2 { BASE } else { 2.0 * BASE }, control: BASE };
    let hits = alarms(late, is_harm);
    assert!(clopper_pearson(hits).0 > 0.95, "{hits} of {RUNS}");
}

#[test]
fn reading_a_plain_z_test_at_every_look_cries_wolf() {
    let hits = alarms(steady, is_peeked);
    assert!(clopper_pearson(hits).0 > ALPHA, "{hits} of {RUNS}");
}
