//! The promises about errors, kept by the whole decision: seeded simulations through `decide`, look after look.

use liftgate_domain::{ArmCount, NodeMark, RolloutStatus, Timestamp};
use liftgate_evaluator::{CONTROL, TREATMENT};
use liftgate_scheduler::{Policy, decide, step};
use liftgate_stats::{Moments, Stratum};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::json;

use crate::scene::Scene;

const LOOKS_MAX: usize = 150;
const UNITS_A_LOOK: u64 = 60;
const LOOK_MS: i64 = 600_000;

fn policy() -> Policy {
    let stage = |share: &str| json!({"share": share, "bake": "6h", "min_exposed": 1000});
    let guardrail = |metric: &str, harm: &str| json!({"metric": metric, "harm": harm, "margin": "0%"});
    serde_json::from_value(json!({
        "stages": [stage("5%"), stage("20%"), stage("50%"), {"share": "100%", "bake": "1h"}],
        "guardrails": {"metrics": [guardrail("errors", "increase"), guardrail("conversion", "decrease")]},
    }))
    .unwrap()
}

#[derive(Copy, Clone)]
struct Truth {
    errors: (f64, f64),
    conversion: (f64, f64),
}

fn draw(rng: &mut SmallRng, rate: f64) -> Moments {
    let events = (0..UNITS_A_LOOK).filter(|_| rng.random::<f64>() < rate).count();
    Moments::from_counts(UNITS_A_LOOK, events as u64)
}

fn add(strata: &mut Vec<Stratum>, stage: u32, treatment: Moments, control: Moments) {
    if strata.last().is_none_or(|last| last.stage != stage) {
        strata.push(Stratum { stage, treatment: Moments::default(), control: Moments::default() });
    }
    let pool = |arm: &mut Moments, more: Moments| {
        let events = arm.events().unwrap() + more.events().unwrap();
        *arm = Moments::from_counts(arm.n + more.n, events);
    };
    if let Some(last) = strata.last_mut() {
        pool(&mut last.treatment, treatment);
        pool(&mut last.control, control);
    }
}

fn at(scene: &mut Scene, now: Timestamp, units: u64) {
    scene.now = now;
    let mark = NodeMark { epoch: 2, sequence: units, received_at: now };
    scene.evidence.watermark.advance("a", mark);
    scene.evidence.as_of = Some(now);
    scene.evidence.last_treatment_at = Some(now);
    scene.evidence.last_control_at = Some(now);
    scene.evidence.treated_units = units;
    scene.evidence.arms =
        [CONTROL, TREATMENT].map(|arm| ArmCount { slice: None, stage: 0, arm: arm.to_owned(), units }).into();
}

/// One rollout to its end, or to the last look.
fn simulate(seed: u64, truth: Truth) -> RolloutStatus {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut scene = Scene::ready();
    scene.policy = policy();
    scene.rollout.stage = 0;
    scene.rollout.baked_ms = 0;
    let (mut errors, mut conversion) = (Vec::new(), Vec::new());
    let mut units = 0;
    for _ in 0..LOOKS_MAX {
        let stage = scene.rollout.stage;
        if stage < 3 {
            units += UNITS_A_LOOK;
            add(&mut errors, stage, draw(&mut rng, truth.errors.0), draw(&mut rng, truth.errors.1));
            add(&mut conversion, stage, draw(&mut rng, truth.conversion.0), draw(&mut rng, truth.conversion.1));
        }
        scene.set_strata("errors", errors.clone());
        scene.set_strata("conversion", conversion.clone());
        let now = scene.now.plus_millis(LOOK_MS);
        at(&mut scene, now, units);
        let outcome = decide(&scene.policy, &scene.rollout, &scene.evidence, now);
        scene.rollout = step::decided(&scene.rollout, &scene.evidence, &outcome, now);
        if !scene.rollout.status.is_active() {
            break;
        }
    }
    scene.rollout.status
}

fn count(rollouts: u64, truth: Truth, status: RolloutStatus) -> usize {
    (0..rollouts).filter(|seed| simulate(*seed, truth) == status).count()
}

#[test]
fn harmless_rollouts_are_rarely_rolled_back() {
    let truth = Truth { errors: (0.05, 0.05), conversion: (0.2, 0.2) };
    // 150 at 5 %: more than 16 has a probability of .1 %.
    let rolled_back = count(150, truth, RolloutStatus::RolledBack);
    assert!(rolled_back <= 16, "{rolled_back} of 150");
    let completed = count(150, truth, RolloutStatus::Completed);
    assert!(completed >= 100, "{completed} of 150 reach the end");
}

#[test]
fn harmful_rollouts_are_rolled_back() {
    for (name, truth) in [
        ("errors double", Truth { errors: (0.10, 0.05), conversion: (0.2, 0.2) }),
        ("conversion falls by 30 %", Truth { errors: (0.05, 0.05), conversion: (0.14, 0.2) }),
    ] {
        let rolled_back = count(60, truth, RolloutStatus::RolledBack);
        assert!(rolled_back >= 57, "{name}: {rolled_back} of 60");
    }
}
