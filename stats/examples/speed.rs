//! How long comparisons take, one thread: prints a line of JSON a case, for `bench/stats/compare.py`.
//!
//! `cargo run --release -p liftgate-stats --example speed`

use std::hint::black_box;
use std::time::Instant;

use liftgate_stats::{
    ArmSample, Covariates, Direction, GuardrailPlan, JointMoments, Margin, Model, Moments, Outcome, Plan, PlanMethod,
    Prior, Sample, Stratum, assess, bayes::NormalPrior, compare_by, guardrail::log_evidence,
};

/// The comparisons of a batch, as the target has it.
const COMPARISONS: usize = 12_000;
/// Batches; the median is printed.
const ROUNDS: usize = 15;
/// Values folded into moments.
const VALUES: usize = 5_000_000;

/// Arms that differ a little from case to case.
fn joint(index: usize, variables: usize) -> JointMoments {
    let wobble = (index % 97) as f64 / 97.0;
    let mut joint = JointMoments::new(variables);
    joint.n = 3_000 + (index % 1_013) as u64;
    let n = joint.n as f64;
    for i in 0..variables {
        joint.mean[i] = 2.0 + wobble + i as f64;
    }
    let mut place = 0;
    for i in 0..variables {
        for j in 0..=i {
            joint.co[place] = n * if i == j { 4.0 + wobble } else { 2.0 };
            place += 1;
        }
    }
    joint
}

fn counts(index: usize, base: u64) -> JointMoments {
    JointMoments::from(Moments::from_counts(5_000 + (index % 1_013) as u64, base + (index % 89) as u64))
}

/// Median milliseconds of a batch.
fn batch_ms(mut one: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            #[allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
            let start = Instant::now();
            (0..COMPARISONS).for_each(&mut one);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn print(case: &str, ms: f64) {
    println!(r#"{{"case": "{case}", "batch_ms": {ms:.3}, "each_us": {:.4}}}"#, ms * 1e3 / COMPARISONS as f64);
}

fn compare(case: &str, model: Model, plan: Plan, arm: impl Fn(usize, bool) -> JointMoments) {
    let arms: Vec<(ArmSample, ArmSample)> = (0..COMPARISONS)
        .map(|index| (ArmSample::new(arm(index, false)), ArmSample::new(arm(index + 31, true))))
        .collect();
    let ms = batch_ms(|index| {
        let (control, treatment) = &arms[index];
        let sample = Sample::new(model, black_box(control), black_box(treatment), Covariates::Used);
        black_box(compare_by(&plan, Direction::Increase, &sample));
    });
    print(case, ms);
}

fn main() {
    let fixed = Plan::default();
    let sequential = Plan { method: PlanMethod::Sequential, ..fixed };
    let prior = Prior::Relative(NormalPrior { mean: 0.0, sd: 0.3 });
    let bayesian = Plan { method: PlanMethod::Bayesian, prior: Some(prior), ..fixed };
    compare("mean", Model::Mean, fixed, |index, _| joint(index, 1));
    compare("proportion", Model::Proportion, fixed, |index, t| counts(index, if t { 290 } else { 250 }));
    compare("ratio", Model::Ratio, fixed, |index, _| joint(index, 2));
    compare("mean_cuped", Model::Mean, fixed, |index, _| joint(index, 2));
    compare("ratio_cuped", Model::Ratio, fixed, |index, _| joint(index, 4));
    compare("mean_sequential", Model::Mean, sequential, |index, _| joint(index, 1));
    compare("mean_bayesian", Model::Mean, bayesian, |index, _| joint(index, 1));
    let plan = GuardrailPlan {
        outcome: Outcome::Binary,
        harm: Direction::Increase,
        margin: Margin::Relative(0.1),
        detect: Some(Margin::Relative(0.5)),
        alpha: 0.05,
        alpha_safe: 0.05,
        stages: 5,
    };
    let strata = |index: usize| -> Vec<Stratum> {
        let arm = |stage: u64, base: u64| Moments::from_counts(500 << stage, (base + index as u64 % 7) << stage);
        (0..5)
            .map(|stage| Stratum { stage: stage as u32, treatment: arm(stage, 27), control: arm(stage, 25) })
            .collect()
    };
    let all: Vec<Vec<Stratum>> = (0..COMPARISONS).map(strata).collect();
    print(
        "guardrail_evidence",
        batch_ms(|index| {
            let _ = black_box(log_evidence(&plan, black_box(&all[index])));
        }),
    );
    print(
        "guardrail_with_bounds",
        batch_ms(|index| {
            black_box(assess(&plan, black_box(&all[index])));
        }),
    );
    let values: Vec<f64> = (0..VALUES).map(|i| (i % 1_009) as f64 * 0.37).collect();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            #[allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
            let start = Instant::now();
            black_box(Moments::of(black_box(&values).iter().copied()));
            VALUES as f64 / start.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!(r#"{{"case": "moments", "million_values_per_s": {:.1}}}"#, rates[ROUNDS / 2]);
}
