//! What people may order, what is refused, and what stands in the catalog afterwards.

use liftgate_domain::{Clock as _, ResourceKind, RolloutStatus, Share};
use liftgate_evaluator::Condition;
use liftgate_scheduler::command::{self, StartRollout};
use liftgate_scheduler::{CommandError, replay};
use serde_json::json;
use std::sync::Arc;

use crate::canned::CannedWarehouse;
use crate::scene::key;
use crate::ticks::{CALM, HARM};
use crate::world::{World, someone};

async fn world() -> World {
    World::new(Arc::new(CannedWarehouse::new())).await
}

macro_rules! order {
    ($world:expr, $order:ident) => {
        command::$order(&*$world.catalog, &*$world.entropy, &$world.scope, &key("checkout"), someone(), None)
            .await
            .map(|(rollout, _)| rollout)
    };
}

#[tokio::test]
async fn a_start_takes_a_rule_in_front_and_freezes_everything() {
    let world = world().await;
    let existing = json!({"enabled": false, "rules": [{"id": "staff", "serve": {"variation": "on"}}]});
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", existing).await;
    let mut request = world.request();
    request.when = serde_json::from_value(json!({"attribute": "country", "op": "in", "value": ["DE"]})).unwrap();
    let when = request.when.clone();
    let rollout = world.start_with(request).await.unwrap();

    let state = world.state().await;
    assert!(state.enabled);
    let ids: Vec<&str> = state.rules.iter().map(|rule| rule.id.as_ref()).collect();
    assert_eq!((ids, &state.rules[0].when), (vec!["rollout-checkout", "staff"], &when));
    let ramp = world.ramp().await;
    assert_eq!((ramp.salt.as_str(), ramp.share.to_string().as_str()), ("new-checkout/rollout-checkout", "10%"));
    let run = ramp.run.unwrap();
    assert_eq!((run.number, run.stage), (rollout.run, 0));

    assert_eq!((rollout.attempt, rollout.version, rollout.decision_seq), (1, 1, 1));
    assert_eq!(rollout.metrics.len(), 2);
    assert_eq!(rollout.lateness.to_string(), "1s");
    assert_eq!(world.rollout().await, rollout);
    // Later edits do not reach what is frozen.
    let edited = json!({"kind": "count", "event": "error", "window": "2m", "direction": "decrease"});
    world.put(ResourceKind::Metric, &world.scope.to_project(), "errors", edited).await;
    assert_eq!(world.rollout().await.metrics, rollout.metrics);
}

#[tokio::test]
async fn a_rule_that_is_there_keeps_place_and_salt() {
    let world = world().await;
    let ramp = json!({"ramp": {"salt": "old-salt", "treatment": "on", "control": "off", "share": "2%"}});
    let existing = json!({"enabled": true, "rules": [
        {"id": "staff", "serve": {"variation": "on"}},
        {"id": "everybody", "serve": ramp},
    ]});
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", existing).await;
    let request = StartRollout { rule: Some(key("everybody")), ..world.request() };
    world.start_with(request).await.unwrap();
    let state = serde_json::to_value(world.state().await).unwrap();
    assert_eq!(state["rules"][1]["id"], "everybody");
    assert_eq!(state["rules"][1]["serve"]["ramp"]["salt"], "old-salt");
    let events = world.events().await;
    assert_eq!((&events[1].data["from"], &events[1].data["to"]), (&"2%".into(), &"10%".into()));
}

#[tokio::test]
async fn what_cannot_start_is_refused_with_the_field() {
    let world = world().await;
    let project = world.scope.to_project();
    let mut bad = crate::world::short_policy();
    bad["stages"][1]["share"] = json!("5%");
    world.put(ResourceKind::Policy, &project, "bad", bad).await;
    world.put(ResourceKind::Policy, &project, "unreadable", json!({"stages": []})).await;
    let rows: [(StartRollout, &str); 7] = [
        (StartRollout { flag: key("nope"), ..world.request() }, "flag `nope` not found"),
        (StartRollout { policy: key("nope"), ..world.request() }, "policy `nope` not found"),
        (StartRollout { treatment: "purple".to_owned(), ..world.request() }, "`treatment`: flag `new-checkout` has no"),
        (StartRollout { treatment: "off".to_owned(), ..world.request() }, "`treatment`: `off` is the control too"),
        (StartRollout { policy: key("bad"), ..world.request() }, "`policy.stages[1].share`: 5% does not rise"),
        (StartRollout { policy: key("unreadable"), ..world.request() }, "`policy`: missing field `guardrails`"),
        (StartRollout { scope: project.clone(), ..world.request() }, "`scope`: a rollout runs in an environment"),
    ];
    for (request, expected) in rows {
        let error = world.start_with(request).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} is not {expected}");
    }
    assert!(world.events().await.is_empty(), "nothing was written");
}

#[tokio::test]
async fn a_flag_has_one_rollout_at_a_time() {
    let world = world().await;
    world.start().await;
    let refused = |result: Result<_, CommandError>, expected: &str| match result {
        Err(CommandError::Conflict { what }) => assert!(what.contains(expected), "{what}"),
        other => panic!("not a conflict: {other:?}"),
    };
    refused(world.start_with(world.request()).await, "rollout `checkout` exists already and is running");
    let second = StartRollout { key: key("second"), ..world.request() };
    refused(world.start_with(second.clone()).await, "is being moved by rollout `checkout`");

    let rule = key("rollout-checkout");
    let owner = command::owner_of_rule(&*world.catalog, &world.scope, &key("new-checkout"), &rule).await.unwrap();
    assert_eq!(owner.map(|owner| owner.key), Some(key("checkout")));
    order!(world, cancel).unwrap();
    let owner = command::owner_of_rule(&*world.catalog, &world.scope, &key("new-checkout"), &rule).await.unwrap();
    assert_eq!(owner, None);
    world.start_with(second).await.unwrap();
}

#[tokio::test]
async fn an_experiments_rule_is_not_taken() {
    let world = world().await;
    let split = json!({"split": {
        "salt": "s",
        "ranges": [{"variation": "on", "start": 0, "end": 100_000}],
        "run": {"number": 3, "kind": "experiment", "key": "buttons", "stage": 0},
    }});
    let existing = json!({"enabled": true, "rules": [{"id": "test", "serve": split}]});
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", existing).await;
    let request = StartRollout { rule: Some(key("test")), when: Condition::always(), ..world.request() };
    let error = world.start_with(request).await.unwrap_err().to_string();
    assert_eq!(error, "rule `test` of flag `new-checkout` is owned by experiment `buttons`");
}

#[tokio::test]
async fn orders_follow_the_state() {
    let world = world().await;
    let conflict = |result: Result<_, CommandError>, expected: &str| {
        let error = result.map(|_: liftgate_domain::Rollout| ()).unwrap_err();
        assert!(matches!(error, CommandError::Conflict { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let missing = order!(world, pause).unwrap_err().to_string();
    assert_eq!(missing, "rollout `checkout` not found");
    world.start().await;
    conflict(order!(world, resume), "is running and cannot be resumed");
    assert_eq!(order!(world, pause).unwrap().status, RolloutStatus::Paused);
    conflict(order!(world, pause), "is paused and cannot be paused");
    assert_eq!(order!(world, resume).unwrap().status, RolloutStatus::Running);
    order!(world, pause).unwrap();
    assert_eq!(order!(world, rollback).unwrap().status, RolloutStatus::RolledBack);
    assert_eq!(world.ramp().await.share, Share::ZERO);
    conflict(order!(world, rollback), "is rolled_back and cannot be rolled back");
    conflict(order!(world, cancel), "is rolled_back and cannot be cancelled");
    assert_eq!(world.verdicts().await, ["start", "pause", "resume", "pause", "rollback"]);
    let report = replay(&world.decisions().await).unwrap();
    assert_eq!((report.records, report.identical), (5, 0));
}

#[tokio::test]
async fn a_cancelled_rollout_leaves_the_share() {
    let world = world().await;
    let started = world.start().await;
    world.clock.advance_ms(5_000);
    let cancelled = order!(world, cancel).unwrap();
    assert_eq!(cancelled.finished_at, Some(world.clock.now()));
    let ramp = world.ramp().await;
    assert_eq!((ramp.share.to_string().as_str(), ramp.run), ("10%", None));
    let run = world.catalog.run(&world.scope, started.run).await.unwrap().unwrap();
    assert_eq!(run.history.ended_at, Some(world.clock.now()));
    assert_eq!(world.event_kinds().await, ["rollout.started", "flag.share_changed", "rollout.cancelled"]);
}

#[tokio::test]
async fn disabling_the_flag_pauses_in_the_same_change() {
    let warehouse = Arc::new(CannedWarehouse::new());
    let world = World::new(warehouse.clone()).await;
    world.start().await;
    let flag = key("new-checkout");
    let (mut mutations, events) =
        command::pause_mutations(&*world.catalog, &world.scope, &flag, world.clock.now(), someone()).await.unwrap();
    assert_eq!(events.len(), 1);
    let mut state = world.state().await;
    state.enabled = false;
    mutations.push(liftgate_domain::Mutation::PutResource {
        kind: ResourceKind::FlagState,
        scope: world.scope.clone(),
        key: flag.clone(),
        body: serde_json::to_value(&state).unwrap(),
        expected: liftgate_domain::Expected::Any,
    });
    world.apply(world.scope.clone(), mutations).await;
    assert_eq!(world.rollout().await.status, RolloutStatus::Paused);

    for _ in 0..10 {
        world.clock.advance_ms(60_000);
        warehouse.say(world.clock.now(), CALM);
        world.scheduler.tick().await.unwrap();
    }
    assert_eq!(world.rollout().await.stage, 0, "paused, it does not advance");
    let error = order!(world, resume).unwrap_err().to_string();
    assert_eq!(error, "flag `new-checkout` is disabled; enable it, then resume");
    warehouse.say(world.clock.now(), HARM);
    world.tick_after(1_000).await;
    assert_eq!(world.rollout().await.status, RolloutStatus::RolledBack, "paused, it still rolls back");
    replay(&world.decisions().await).unwrap();
}

#[tokio::test]
async fn a_resume_after_a_rollback_is_a_new_attempt() {
    let warehouse = Arc::new(CannedWarehouse::new());
    let world = World::new(warehouse.clone()).await;
    let first = world.start().await;
    let salt = world.ramp().await.salt;
    warehouse.say(world.clock.now(), HARM);
    world.tick_after(1_000).await;
    let mut stricter = crate::world::short_policy();
    stricter["guardrails"]["alpha"] = json!(0.01);
    world.put(ResourceKind::Policy, &world.scope.to_project(), "standard", stricter).await;

    let again = order!(world, resume).unwrap();
    assert_eq!((again.id.clone(), again.attempt, again.stage), (first.id.clone(), 2, 0));
    assert_eq!((again.status, again.treated_units, again.hold.clone()), (RolloutStatus::Running, 0, None));
    assert_ne!(again.run, first.run);
    assert_ne!(again.policy_hash, first.policy_hash, "the policy is frozen anew");
    let ramp = world.ramp().await;
    assert_eq!((ramp.salt, ramp.share.to_string().as_str()), (salt, "10%"), "no unit is assigned anew");
    assert_eq!(ramp.run.unwrap().number, again.run);
    assert_eq!(world.verdicts().await, ["start", "rollback", "resume"]);
    replay(&world.decisions().await).unwrap();

    // Without its rule nobody knows whom it was for.
    order!(world, rollback).unwrap();
    world.put(ResourceKind::FlagState, &world.scope, "new-checkout", json!({"enabled": true})).await;
    let error = order!(world, resume).unwrap_err().to_string();
    assert!(error.contains("is gone and with it whom it was for"), "{error}");
}
