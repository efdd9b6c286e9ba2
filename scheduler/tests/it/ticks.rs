//! The loop over a canned warehouse: what is recorded, what is only looked at, who hears of it.

use std::sync::Arc;

use liftgate_domain::{Clock as _, Expected, HoldCode, Mutation, ResourceKind, RolloutStatus, Share};
use liftgate_scheduler::{NoLoss, Scheduler, SchedulerConfig, TickReport, replay, why};
use tokio_util::sync::CancellationToken;

use crate::canned::{CannedWarehouse, Counts};
use crate::scene::key;
use crate::world::{World, someone};

pub const CALM: Counts<'static> = &[
    ("errors", 0, "control", 1_000, 50),
    ("errors", 0, "treatment", 1_000, 50),
    ("conversion", 0, "control", 1_000, 200),
    ("conversion", 0, "treatment", 1_000, 200),
];
pub const HARM: Counts<'static> = &[
    ("errors", 0, "control", 1_000, 50),
    ("errors", 0, "treatment", 1_000, 200),
    ("conversion", 0, "control", 1_000, 200),
    ("conversion", 0, "treatment", 1_000, 200),
];
const MINUTE_MS: i64 = 60_000;

async fn canned() -> (World, Arc<CannedWarehouse>) {
    let warehouse = Arc::new(CannedWarehouse::new());
    let world = World::new(warehouse.clone()).await;
    (world, warehouse)
}

/// Minutes of calm, a tick each.
async fn calm(world: &World, warehouse: &CannedWarehouse, minutes: u32) -> TickReport {
    let mut report = TickReport::default();
    for _ in 0..minutes {
        world.clock.advance_ms(MINUTE_MS);
        warehouse.say(world.clock.now(), CALM);
        report = world.scheduler.tick().await.unwrap();
    }
    report
}

#[tokio::test]
async fn quiet_looks_write_no_record_but_one_an_hour() {
    let (world, warehouse) = canned().await;
    let mut policy = crate::world::short_policy();
    policy["stages"][0]["bake"] = serde_json::json!("5h");
    world.put(ResourceKind::Policy, &world.scope.to_project(), "standard", policy).await;
    world.start().await;
    calm(&world, &warehouse, 59).await;
    assert_eq!(world.verdicts().await, ["start"]);
    let rollout = world.rollout().await;
    assert_eq!((rollout.version, rollout.baked_ms), (1, 59 * 60_000));
    assert_eq!(rollout.last_looked_at, Some(world.clock.now()));
    assert_eq!(rollout.treated_units, 1_000);
    calm(&world, &warehouse, 61).await;
    assert_eq!(world.verdicts().await, ["start", "stay", "stay"]);
}

#[tokio::test]
async fn an_outage_is_one_hold_and_one_recovery() {
    let (world, warehouse) = canned().await;
    world.start().await;
    calm(&world, &warehouse, 2).await;
    warehouse.fail("disk full");
    for _ in 0..5 {
        assert_eq!(world.tick_after(10 * MINUTE_MS).await.failed, 0);
    }
    let held = world.rollout().await;
    assert_eq!(held.hold.as_ref().map(|hold| hold.code), Some(HoldCode::WarehouseError));
    assert_eq!(held.baked_ms, 120_000, "the bake stood still");
    let answer = why(&*world.catalog, &*world.warehouse, &NoLoss, &world.scope, &key("checkout")).await.unwrap();
    assert!(answer.sentence.contains("holds, WAREHOUSE_ERROR"), "{}", answer.sentence);
    assert!(answer.sentence.contains("disk full"), "{}", answer.sentence);

    warehouse.say(world.clock.now(), CALM);
    assert_eq!(world.tick_after(1_000).await.decided, 1);
    let resumed = world.rollout().await;
    assert_eq!((resumed.hold, resumed.stage, resumed.baked_ms), (None, 0, 120_000), "the outage is not counted");
    let kinds = world.event_kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "rollout.held").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| *kind == "rollout.resumed").count(), 1);
}

#[tokio::test]
async fn advances_stage_by_stage_and_completes() {
    let (world, warehouse) = canned().await;
    let started = world.start().await;
    calm(&world, &warehouse, 5).await;
    let ramp = world.ramp().await;
    assert_eq!((ramp.share, ramp.run.map(|run| run.stage)), ("50%".parse().unwrap(), Some(1)));
    let run = world.catalog.run(&world.scope, started.run).await.unwrap().unwrap();
    let stages: Vec<_> = run.history.stages.iter().map(|entry| (entry.stage, entry.share.to_string())).collect();
    assert_eq!(stages, [(0, "10%".to_owned()), (1, "50%".to_owned())]);

    calm(&world, &warehouse, 10).await;
    let done = world.rollout().await;
    assert_eq!((done.status, done.next_due_at), (RolloutStatus::Completed, None));
    assert!(done.finished_at.is_some());
    let ramp = world.ramp().await;
    assert_eq!((ramp.share, ramp.run), (Share::FULL, None));
    let run = world.catalog.run(&world.scope, started.run).await.unwrap().unwrap();
    assert_eq!(run.history.ended_at, done.finished_at);
    assert_eq!(world.verdicts().await, ["start", "advance", "advance", "complete"]);
    assert_eq!(
        world.event_kinds().await,
        [
            "rollout.started",
            "flag.share_changed",
            "rollout.advanced",
            "flag.share_changed",
            "rollout.advanced",
            "flag.share_changed",
            "rollout.completed",
        ]
    );
    assert_eq!(calm(&world, &warehouse, 1).await, TickReport::default(), "nothing is due any more");
    let report = replay(&world.decisions().await).unwrap();
    assert_eq!((report.records, report.identical), (4, 3));
}

#[tokio::test]
async fn rolls_back_in_the_first_minute_of_a_long_bake() {
    let (world, warehouse) = canned().await;
    let started = world.start().await;
    let mut applied = world.scheduler.applied();
    world.clock.advance_ms(MINUTE_MS);
    warehouse.say(world.clock.now(), HARM);
    assert_eq!(world.scheduler.tick().await.unwrap().decided, 1);
    let back = world.rollout().await;
    assert_eq!((back.status, back.next_due_at), (RolloutStatus::RolledBack, None));
    let ramp = world.ramp().await;
    assert_eq!((ramp.share, ramp.run), (Share::ZERO, None));
    let run = world.catalog.run(&world.scope, started.run).await.unwrap().unwrap();
    assert_eq!(run.history.ended_at, back.finished_at);

    let heard = applied.recv().await.unwrap();
    assert_eq!(heard.rulesets.len(), 1, "the ruleset has moved");
    let events = world.events().await;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds[2..], ["rollout.rolled_back", "guardrail.harmed", "flag.share_changed"]);
    let data = &events[2].data;
    assert_eq!((&data["metric"], &data["margin"]), (&"errors".into(), &"10%".into()));
    assert_eq!((&data["treated_units"], &data["status"]), (&1_000.into(), &"rolled_back".into()));
    assert_eq!((&data["from"], &data["to"], &data["share"]), (&"10%".into(), &"0%".into(), &"0%".into()));
    assert_eq!((&events[0].data["actor"], &events[0].data["to"]), (&"ada".into(), &"10%".into()));
    assert!(data["e_value"].as_f64().unwrap() >= data["threshold"].as_f64().unwrap());
    assert!(data["lower"].as_f64().unwrap() > 0.1);
    assert_eq!((&events[4].data["from"], &events[4].data["to"]), (&"10%".into(), &"0%".into()));
}

#[tokio::test]
async fn overwhelming_harm_still_has_numbers() {
    let (world, warehouse) = canned().await;
    world.start().await;
    world.clock.advance_ms(MINUTE_MS);
    let counts = [("errors", 0, "control", 100_000, 500), ("errors", 0, "treatment", 100_000, 60_000)];
    warehouse.say(world.clock.now(), &counts);
    world.scheduler.tick().await.unwrap();
    let events = world.events().await;
    let harmed = events.iter().find(|event| event.kind == "guardrail.harmed").unwrap();
    assert_eq!(harmed.data["e_value"].as_f64(), Some(f64::MAX));
    assert!(harmed.data["log_e"].as_f64().unwrap() > 1_000.0);
    replay(&world.decisions().await).unwrap();
}

#[tokio::test]
async fn one_broken_rollout_stops_no_other() {
    let (world, warehouse) = canned().await;
    let project = world.scope.to_project();
    let other = serde_json::json!({"key": "other", "kind": "boolean"});
    world.put(ResourceKind::Flag, &project, "other", other).await;
    world.start().await;
    let mut request = world.request();
    (request.key, request.flag) = (key("other"), key("other"));
    world.start_with(request).await.unwrap();
    // Somebody damages what the first one froze.
    let mut broken = world.rollout().await;
    broken.policy_body = serde_json::json!({"stages": 7});
    broken.version += 1;
    let expected_version = Some(broken.version - 1);
    let damage = Mutation::PutRollout { rollout: Box::new(broken), expected_version };
    world.apply(world.scope.clone(), vec![damage]).await;

    let report = calm(&world, &warehouse, 1).await;
    assert_eq!((report.looked, report.failed), (2, 1));
    calm(&world, &warehouse, 4).await;
    let moved = world.catalog.rollout(&world.scope, &key("other")).await.unwrap().unwrap();
    assert_eq!(moved.stage, 1);
    assert_eq!(world.rollout().await.stage, 0);
}

#[tokio::test]
async fn a_rule_that_is_gone_cannot_advance_but_can_end() {
    let (world, warehouse) = canned().await;
    world.start().await;
    let emptied = serde_json::json!({"enabled": true});
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", emptied).await;
    assert_eq!(calm(&world, &warehouse, 5).await.failed, 1);
    assert_eq!(world.rollout().await.stage, 0);
    world.clock.advance_ms(MINUTE_MS);
    warehouse.say(world.clock.now(), HARM);
    world.scheduler.tick().await.unwrap();
    assert_eq!(world.rollout().await.status, RolloutStatus::RolledBack);
}

#[tokio::test]
async fn an_edit_of_another_rule_survives_a_step() {
    let (world, warehouse) = canned().await;
    world.start().await;
    let mut state = world.state().await;
    state.rules.push(serde_json::from_value(serde_json::json!({"id": "staff", "serve": {"variation": "on"}})).unwrap());
    let body = serde_json::to_value(&state).unwrap();
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", body).await;
    calm(&world, &warehouse, 5).await;
    let after = world.state().await;
    assert_eq!(after.rules.len(), 2);
    assert_eq!(world.ramp().await.share, "50%".parse().unwrap());
    // And the catalog refuses a write that was based on the state before.
    let stale = Mutation::PutResource {
        kind: ResourceKind::FlagState,
        scope: world.scope.clone(),
        key: key("new-checkout"),
        body: serde_json::to_value(&state).unwrap(),
        expected: Expected::Revision(2),
    };
    let change = liftgate_domain::Change {
        id: liftgate_domain::Id::new(crate::scene::start_of_time(), &*world.entropy),
        scope: world.scope.clone(),
        actor: someone(),
        reason: None,
        kind: liftgate_domain::ChangeKind::Edit,
        mutations: vec![stale],
        events: Vec::new(),
    };
    assert!(matches!(world.catalog.apply(change).await, Err(liftgate_domain::StoreError::Conflict { .. })));
}

#[tokio::test]
async fn wakes_on_evidence_and_stops_on_the_token() {
    let (world, warehouse) = canned().await;
    world.start().await;
    let config = SchedulerConfig { look_every_ms: 1, ..SchedulerConfig::default() };
    let scheduler = Arc::new(Scheduler::new(
        Arc::clone(&world.catalog),
        Arc::clone(&world.warehouse),
        world.entropy.clone(),
        Arc::new(NoLoss),
        config,
    ));
    let mut applied = scheduler.applied();
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&scheduler).run(stop.clone()));
    world.clock.advance_ms(MINUTE_MS);
    warehouse.say(world.clock.now(), HARM);
    applied.recv().await.unwrap();
    assert_eq!(world.rollout().await.status, RolloutStatus::RolledBack);
    stop.cancel();
    running.await.unwrap();
}
