//! Records: their form, and that not one bit can change unnoticed.

use liftgate_domain::{Actor, Clock as _, Decision};
use liftgate_scheduler::record::{ENGINE, OutcomeRecord};
use liftgate_scheduler::{DecisionRecord, replay, seal, step};
use std::sync::Arc;

use crate::canned::CannedWarehouse;
use crate::scene::Scene;
use crate::ticks::{CALM, HARM};
use crate::world::World;

fn record(scene: &Scene) -> DecisionRecord {
    let outcome = scene.decide();
    DecisionRecord {
        engine: ENGINE.to_owned(),
        rollout: scene.rollout.id.clone(),
        scope: scene.rollout.scope.clone(),
        key: scene.rollout.key.clone(),
        seq: scene.rollout.decision_seq + 1,
        change: None,
        verdict: outcome.verdict.as_str().to_owned(),
        evaluated_at: scene.now,
        actor: Actor::Scheduler,
        reason: None,
        policy_hash: scene.rollout.policy_hash.clone(),
        evidence: Some(scene.evidence.clone()),
        outcome: Some(OutcomeRecord::from(&outcome)),
        before: Some(scene.rollout.clone()),
        after: step::decided(&scene.rollout, &scene.evidence, &outcome, scene.now),
    }
}

#[test]
fn a_record_reads_the_same_for_years() {
    let mut scene = Scene::ready();
    scene.make_harmed();
    let decision = seal(&scene.rollout.decision_hash, &record(&scene));
    let tree: serde_json::Value = serde_json::from_str(&decision.body).unwrap();
    insta::assert_json_snapshot!(tree);
}

#[test]
fn a_record_survives_its_text() {
    let mut scene = Scene::ready();
    scene.make_suspect();
    let written = record(&scene);
    let decision = seal("", &written);
    let read: DecisionRecord = serde_json::from_str(&decision.body).unwrap();
    assert_eq!(seal("", &read), decision);
    assert_eq!(replay(&[decision]).unwrap().identical, 1);
}

#[test]
fn another_engine_would_be_noticed() {
    let scene = Scene::ready();
    let mut written = record(&scene);
    let outcome = written.outcome.as_mut().unwrap();
    let bits = outcome.guardrails[0].log_e_harm.0.to_bits();
    outcome.guardrails[0].log_e_harm.0 = f64::from_bits(bits ^ 1);
    let error = replay(&[seal("", &written)]).unwrap_err();
    assert_eq!(error.seq, 3);
    assert!(error.what.contains("would decide otherwise"), "{error}");

    let mut written = record(&scene);
    written.after.stage += 1;
    let error = replay(&[seal("", &written)]).unwrap_err();
    assert!(error.what.contains("does not follow from its decision"), "{error}");

    let mut written = record(&scene);
    written.policy_hash = "00".repeat(32);
    let error = replay(&[seal("", &written)]).unwrap_err();
    assert!(error.what.contains("policy does not fit its hash"), "{error}");
}

async fn chain() -> Vec<Decision> {
    let warehouse = Arc::new(CannedWarehouse::new());
    let world = World::new(warehouse.clone()).await;
    world.start().await;
    for counts in [CALM, CALM, CALM, CALM, CALM, CALM, HARM] {
        world.clock.advance_ms(60_000);
        warehouse.say(world.clock.now(), counts);
        world.scheduler.tick().await.unwrap();
    }
    let decisions = world.decisions().await;
    assert_eq!(world.verdicts().await, ["start", "advance", "rollback"]);
    decisions
}

#[tokio::test]
async fn one_flipped_bit_is_found_and_named() {
    let decisions = chain().await;
    assert_eq!(replay(&decisions).unwrap().records, 3);
    for (index, decision) in decisions.iter().enumerate() {
        // Every 37th byte of the body, then the columns; ASCII stays ASCII.
        let mut damaged: Vec<Decision> = (0..decision.body.len())
            .step_by(37)
            .map(|place| {
                let mut bytes = decision.body.clone().into_bytes();
                bytes[place] ^= 1;
                Decision { body: String::from_utf8(bytes).unwrap(), ..decision.clone() }
            })
            .collect();
        let flip = |text: &str| {
            let mut bytes = text.to_owned().into_bytes();
            match bytes.first_mut() {
                Some(first) => *first ^= 1,
                None => bytes.push(b'0'),
            }
            String::from_utf8(bytes).unwrap()
        };
        damaged.push(Decision { hash: flip(&decision.hash), ..decision.clone() });
        damaged.push(Decision { previous_hash: flip(&decision.previous_hash), ..decision.clone() });
        damaged.push(Decision { verdict: flip(&decision.verdict), ..decision.clone() });
        damaged.push(Decision { at: decision.at.plus_millis(1), ..decision.clone() });
        damaged.push(Decision { seq: decision.seq ^ 8, ..decision.clone() });
        for bad in damaged {
            let mut chain = decisions.clone();
            let seq = if index == 0 { bad.seq } else { decision.seq };
            chain[index] = bad;
            assert_eq!(replay(&chain).unwrap_err().seq, seq);
        }
    }
}

#[tokio::test]
async fn a_missing_or_swapped_record_is_found() {
    let decisions = chain().await;
    let without: Vec<Decision> = [&decisions[0], &decisions[2]].map(Clone::clone).into();
    assert_eq!(replay(&without).unwrap_err().seq, 2);
    let swapped: Vec<Decision> = [&decisions[0], &decisions[2], &decisions[1]].map(Clone::clone).into();
    assert_eq!(replay(&swapped).unwrap_err().seq, 2);
    assert_eq!(replay(&decisions[1..]).unwrap().records, 2, "an excerpt may begin later");
}
