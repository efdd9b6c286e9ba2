//! The long calibration of the guardrail monitor: seeded ramps with a look after every batch. Prints each error rate
//! with its Clopper-Pearson interval and ends with code 1 when a bound is broken, or when a negative control (a
//! method that is known to be wrong) is not caught.
//!
//! `cargo run --release -p liftgate-stats --example calibrate [RUNS]`

use std::process::ExitCode;

use liftgate_stats::{Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum, Verdict, assess, special};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use statrs::distribution::{Beta, ContinuousCDF};

const ALPHA: f64 = 0.05;
const RUNS_DEFAULT: u64 = 2_000;
/// 1 / 5 / 10 / 25 / 50 % of traffic: units an arm in a batch of each stage.
const BATCHES: [u64; 5] = [20, 100, 200, 500, 1_000];
const LOOKS_A_STAGE: usize = 10;

/// What one unit of an arm does, at a stage.
type World = fn(&mut SmallRng, stage: usize, arm: Arm) -> f64;
/// Whether the method under test raises its alarm on these strata.
type Alarm = fn(&GuardrailPlan, &[Stratum]) -> bool;

#[derive(Clone, Copy, PartialEq)]
enum Arm {
    Treatment,
    Control,
}

/// What the rate of alarms must be.
#[derive(Clone, Copy)]
enum Bound {
    /// At most this: the lower confidence bound may not lie above it.
    AtMost(f64),
    /// At least this: the upper confidence bound may not lie below it.
    AtLeast(f64),
    /// A method that is known to be wrong: the lower confidence bound must lie above this.
    MustBreak(f64),
}

struct Case {
    name: &'static str,
    plan: GuardrailPlan,
    world: World,
    alarm: Alarm,
    bound: Bound,
}

fn plan(outcome: Outcome, margin: f64, detect: Option<f64>) -> GuardrailPlan {
    GuardrailPlan {
        outcome,
        harm: Direction::Increase,
        margin: Margin::Relative(margin),
        detect: detect.map(Margin::Relative),
        alpha: ALPHA,
        alpha_safe: ALPHA,
        stages: 5,
    }
}

fn coin(rng: &mut SmallRng, rate: f64) -> f64 {
    f64::from(u8::from(rng.random::<f64>() < rate))
}

/// A standard normal by Box and Muller.
fn normal(rng: &mut SmallRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn drift(stage: usize) -> f64 {
    1.0 + 0.5 * stage as f64 / 4.0
}

fn lift(arm: Arm, factor: f64) -> f64 {
    if arm == Arm::Treatment { factor } else { 1.0 }
}

fn is_harm(plan: &GuardrailPlan, strata: &[Stratum]) -> bool {
    assess(plan, strata).verdict == Verdict::Harm
}

fn is_safe(plan: &GuardrailPlan, strata: &[Stratum]) -> bool {
    assess(plan, strata).verdict == Verdict::Safe
}

/// A one-sided z test of everything so far, read at every look.
fn is_peeked(_: &GuardrailPlan, strata: &[Stratum]) -> bool {
    let (mut treatment, mut control) = (Moments::default(), Moments::default());
    for stratum in strata {
        treatment.merge(&stratum.treatment);
        control.merge(&stratum.control);
    }
    let square = |arm: &Moments| arm.variance().unwrap_or(0.0) / arm.n.max(1) as f64;
    let se = (square(&treatment) + square(&control)).sqrt();
    se > 0.0 && special::normal_sf((treatment.mean - control.mean) / se) < ALPHA
}

fn cases() -> Vec<Case> {
    let binary = |margin, detect| plan(Outcome::Binary, margin, detect);
    let mean = |margin, detect| plan(Outcome::Mean, margin, detect);
    vec![
        Case {
            name: "A/A, base 10 %",
            plan: binary(0.0, None),
            world: |r, _, _| coin(r, 0.1),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, base 1 %",
            plan: binary(0.0, None),
            world: |r, _, _| coin(r, 0.01),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, base 0.1 %",
            plan: binary(0.0, None),
            world: |r, _, _| coin(r, 0.001),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, base 5 %, detect +50 %",
            plan: binary(0.0, Some(0.5)),
            world: |r, _, _| coin(r, 0.05),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, base 5 %, drifting by half",
            plan: binary(0.0, None),
            world: |r, s, _| coin(r, 0.05 * drift(s)),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "harm equal to the margin of 10 %",
            plan: binary(0.1, None),
            world: |r, _, a| coin(r, 0.05 * lift(a, 1.1)),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "harm equal to the margin, declared safe",
            plan: binary(0.1, None),
            world: |r, _, a| coin(r, 0.05 * lift(a, 1.1)),
            alarm: is_safe,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, normal",
            plan: mean(0.0, None),
            world: |r, _, _| 300.0 + 80.0 * normal(r),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, lognormal, drifting by half",
            plan: mean(0.0, None),
            world: |r, s, _| drift(s) * normal(r).exp(),
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "A/A, revenue: 95 % zeros, else lognormal",
            plan: mean(0.0, None),
            world: |r, _, _| if r.random::<f64>() < 0.05 { (1.5 * normal(r)).exp() } else { 0.0 },
            alarm: is_harm,
            bound: Bound::AtMost(ALPHA),
        },
        Case {
            name: "no harm at a margin of 25 %, declared safe",
            plan: binary(0.25, None),
            world: |r, _, _| coin(r, 0.1),
            alarm: is_safe,
            bound: Bound::AtLeast(0.8),
        },
        Case {
            name: "rate doubled",
            plan: binary(0.0, None),
            world: |r, _, a| coin(r, 0.05 * lift(a, 2.0)),
            alarm: is_harm,
            bound: Bound::AtLeast(0.99),
        },
        Case {
            name: "rate doubled from the fourth stage on",
            plan: binary(0.0, None),
            world: |r, s, a| coin(r, 0.05 * if s >= 3 { lift(a, 2.0) } else { 1.0 }),
            alarm: is_harm,
            bound: Bound::AtLeast(0.99),
        },
        Case {
            name: "mean raised by 5 %",
            plan: mean(0.0, None),
            world: |r, _, a| lift(a, 1.05) * (300.0 + 80.0 * normal(r)),
            alarm: is_harm,
            bound: Bound::AtLeast(0.99),
        },
        Case {
            name: "negative control: z test at every look",
            plan: binary(0.0, None),
            world: |r, _, _| coin(r, 0.05),
            alarm: is_peeked,
            bound: Bound::MustBreak(ALPHA),
        },
    ]
}

/// Whether the alarm fires at any look of one ramp.
fn fires(case: &Case, seed: u64) -> bool {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut strata: Vec<Stratum> = Vec::new();
    for (stage, batch) in BATCHES.iter().enumerate() {
        strata.push(Stratum {
            stage: u32::try_from(stage).expect("there are five stages"),
            treatment: Moments::default(),
            control: Moments::default(),
        });
        for _ in 0..LOOKS_A_STAGE {
            let last = strata.last_mut().expect("a stratum was just opened");
            for _ in 0..*batch {
                last.treatment.push((case.world)(&mut rng, stage, Arm::Treatment));
                last.control.push((case.world)(&mut rng, stage, Arm::Control));
            }
            if (case.alarm)(&case.plan, &strata) {
                return true;
            }
        }
    }
    false
}

/// How many of `runs` ramps fire, on all cores.
fn hits(case: &Case, runs: u64) -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    (thread..runs).step_by(threads as usize).filter(|seed| fires(case, *seed)).count() as u64
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a ramp does not panic")).sum()
    })
}

/// Two-sided 95 % Clopper-Pearson interval.
fn clopper_pearson(hits: u64, runs: u64) -> (f64, f64) {
    let (x, n) = (hits as f64, runs as f64);
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).expect("positive shapes").inverse_cdf(p);
    let lower = if hits == 0 { 0.0 } else { quantile(x, n - x + 1.0, 0.025) };
    let upper = if hits == runs { 1.0 } else { quantile(x + 1.0, n - x, 0.975) };
    (lower, upper)
}

fn main() -> ExitCode {
    let runs = match std::env::args().nth(1).map(|text| text.parse::<u64>()) {
        None => RUNS_DEFAULT,
        Some(Ok(runs)) if runs > 0 => runs,
        Some(_) => {
            eprintln!("usage: calibrate [RUNS], a whole number above 0");
            return ExitCode::from(2);
        }
    };
    println!("{runs} ramps a case, {} looks each, alpha {ALPHA}\n", BATCHES.len() * LOOKS_A_STAGE);
    println!("{:<45} {:>8} {:>20}  {:<16} ", "case", "rate", "95 % interval", "bound");
    let mut broken = 0;
    for case in cases() {
        let hits = hits(&case, runs);
        let (lower, upper) = clopper_pearson(hits, runs);
        let (kept, bound) = match case.bound {
            Bound::AtMost(limit) => (lower <= limit, format!("at most {limit}")),
            Bound::AtLeast(limit) => (upper >= limit, format!("at least {limit}")),
            Bound::MustBreak(limit) => (lower > limit, format!("must break {limit}")),
        };
        broken += u32::from(!kept);
        let rate = hits as f64 / runs as f64;
        let verdict = if kept { "ok" } else { "BROKEN" };
        println!("{:<45} {rate:>8.4} [{lower:>8.4}, {upper:>8.4}]  {bound:<16} {verdict}", case.name);
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
