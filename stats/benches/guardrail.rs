//! How long one look takes: a guardrail through five stages, and a comparison.

use divan::{Bencher, black_box};
use liftgate_stats::guardrail::log_evidence;
use liftgate_stats::{Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum, assess, compare};

fn main() {
    divan::main();
}

fn plan(outcome: Outcome) -> GuardrailPlan {
    GuardrailPlan {
        outcome,
        harm: Direction::Increase,
        margin: Margin::Relative(0.05),
        detect: Some(Margin::Relative(0.5)),
        alpha: 0.0125,
        alpha_safe: 0.05,
        stages: 5,
    }
}

#[divan::bench]
fn assess_five_stages_of_counts(bencher: Bencher) {
    let strata: Vec<Stratum> = (0..5_u32)
        .map(|stage| {
            let units = 500 << stage;
            let arm = |events: u64| Moments::from_counts(units, events << stage);
            Stratum { stage, treatment: arm(26), control: arm(24) }
        })
        .collect();
    let plan = plan(Outcome::Binary);
    bencher.bench(|| assess(black_box(&plan), black_box(&strata)));
}

#[divan::bench]
fn evidence_of_one_stage_of_counts(bencher: Bencher) {
    let arm = |events: u64| Moments::from_counts(5_000, events);
    let strata = [Stratum { stage: 0, treatment: arm(260), control: arm(240) }];
    let plan = GuardrailPlan { stages: 1, ..plan(Outcome::Binary) };
    bencher.bench(|| log_evidence(black_box(&plan), black_box(&strata)));
}

#[divan::bench]
fn assess_five_stages_of_means(bencher: Bencher) {
    let strata: Vec<Stratum> = (0..5_u32)
        .map(|stage| {
            let arm = |mean: f64| Moments { n: 500 << stage, mean, m2: 900.0 * f64::from(500 << stage) };
            Stratum { stage, treatment: arm(101.0), control: arm(100.0) }
        })
        .collect();
    let plan = plan(Outcome::Mean);
    bencher.bench(|| assess(black_box(&plan), black_box(&strata)));
}

#[divan::bench]
fn compare_means(bencher: Bencher) {
    let arm = |mean: f64| Moments { n: 5_000, mean, m2: 20_000.0 };
    let (control, treatment) = (arm(10.0), arm(10.1));
    bencher.bench(|| compare(Outcome::Mean, Direction::Increase, black_box(&control), black_box(&treatment), 0.05));
}

#[divan::bench]
fn compare_counts(bencher: Bencher) {
    let (control, treatment) = (Moments::from_counts(5_000, 250), Moments::from_counts(5_000, 290));
    bencher.bench(|| compare(Outcome::Binary, Direction::Increase, black_box(&control), black_box(&treatment), 0.05));
}
