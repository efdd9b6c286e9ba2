//! What holds for every state and every evidence.

use liftgate_domain::{RolloutStatus, Timestamp};
use liftgate_scheduler::record::OutcomeRecord;
use liftgate_scheduler::{Act, Verdict};
use liftgate_stats::{Moments, Stratum};
use proptest::prelude::*;

use crate::scene::{HOUR_MS, Scene};

fn moments() -> impl Strategy<Value = Moments> {
    prop_oneof![
        8 => (0_u64..6_000, 0.0..1.0_f64).prop_map(|(n, rate)| Moments::from_counts(n, (n as f64 * rate) as u64)),
        1 => (any::<u64>(), any::<f64>(), any::<f64>()).prop_map(|(n, mean, m2)| Moments { n, mean, m2 }),
    ]
}

fn strata() -> impl Strategy<Value = Vec<Stratum>> {
    let stratum =
        (0_u32..5, moments(), moments()).prop_map(|(stage, treatment, control)| Stratum { stage, treatment, control });
    proptest::collection::vec(stratum, 0..4)
}

fn ago(now: Timestamp) -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::weighted(0.9, (0..HOUR_MS).prop_map(move |ms| now.plus_millis(-ms)))
}

fn scene() -> impl Strategy<Value = Scene> {
    let ready = Scene::ready();
    let now = ready.now;
    let state = (0_u32..5, 0..5_usize, 0..48 * HOUR_MS, 0..HOUR_MS);
    let world = (strata(), strata(), 0..9_000_u64, 0..9_000_u64, 0..300_u64, ago(now), ago(now), 0.0..1.0_f64);
    (state, world).prop_map(move |((stage, status, baked, since), world)| {
        let (errors, conversion, treated, control, crossed, last_treatment, last_control, share_equal) = world;
        let mut scene = ready.clone();
        scene.rollout.stage = stage;
        scene.rollout.status = [
            RolloutStatus::Running,
            RolloutStatus::Running,
            RolloutStatus::Running,
            RolloutStatus::Paused,
            RolloutStatus::RolledBack,
        ][status];
        scene.rollout.baked_ms = u64::try_from(baked).unwrap();
        scene.rollout.baked_until = now.plus_millis(-since);
        scene.set_strata("errors", errors);
        scene.set_strata("conversion", conversion);
        scene.evidence.arms[0].units = control;
        // Most of the time equal, or nothing but SRM would ever be seen.
        scene.evidence.arms[1].units = if share_equal < 0.8 { control } else { treated };
        scene.evidence.crossover_units = crossed.saturating_sub(250);
        scene.evidence.last_treatment_at = last_treatment;
        scene.evidence.last_control_at = last_control;
        scene
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_look_decides_the_same(scene in scene()) {
        let text = |scene: &Scene| serde_json::to_string(&OutcomeRecord::from(&scene.decide())).unwrap();
        prop_assert_eq!(text(&scene), text(&scene.clone()));
    }

    #[test]
    fn never_more_than_one_stage_and_never_while_not_running(scene in scene()) {
        match scene.decide().verdict {
            Verdict::Advance { to } => {
                prop_assert_eq!(to, scene.rollout.stage + 1);
                prop_assert!((to as usize) < scene.policy.stages.len());
                prop_assert_eq!(scene.rollout.status, RolloutStatus::Running);
            }
            Verdict::Complete => {
                prop_assert!(scene.rollout.stage as usize >= scene.policy.stages.len() - 1);
                prop_assert_eq!(scene.rollout.status, RolloutStatus::Running);
            }
            Verdict::RollBack { .. } => prop_assert!(scene.rollout.status.is_active()),
            Verdict::Stay | Verdict::Hold(_) => {}
        }
    }

    #[test]
    fn rolls_back_exactly_when_a_hard_guardrail_crosses_its_line(scene in scene()) {
        let outcome = scene.decide();
        let crossed = outcome.guardrails.iter().any(|reading| {
            reading.act == Act::Rollback && reading.assessment.log_e_harm >= (1.0 / reading.alpha_g).ln()
        });
        let rolls_back = matches!(outcome.verdict, Verdict::RollBack { .. });
        prop_assert_eq!(rolls_back, crossed && scene.rollout.status.is_active());
    }

    #[test]
    fn never_advances_while_a_guardrail_is_harmed_or_undetermined(scene in scene()) {
        let outcome = scene.decide();
        if matches!(outcome.verdict, Verdict::Advance { .. }) {
            for reading in &outcome.guardrails {
                let verdict = reading.assessment.verdict;
                prop_assert!(matches!(verdict, liftgate_stats::Verdict::Safe | liftgate_stats::Verdict::Undecided));
            }
            prop_assert_eq!(outcome.hold, None);
        }
    }

    #[test]
    fn a_policys_numbers_read_back_to_the_same_bits(alpha in any::<u64>().prop_map(f64::from_bits)) {
        prop_assume!(alpha.is_finite());
        let mut policy = crate::scene::policy();
        policy.guardrails.alpha = alpha;
        let text = serde_json::to_string(&policy).unwrap();
        let read: liftgate_scheduler::Policy = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.guardrails.alpha.to_bits(), alpha.to_bits());
        prop_assert_eq!(liftgate_scheduler::policy_hash(&read), liftgate_scheduler::policy_hash(&policy));
    }
}
