//! The decision as tables: each gate, each hold code, and which of them wins.

use liftgate_domain::{Hold, HoldCode, RolloutStatus, Timestamp};
use liftgate_scheduler::{Gate, GateAnswer, Verdict};
use liftgate_stats::{Moments, Stratum};
use serde_json::json;

use crate::scene::{Arms, HOUR_MS, Scene, key};

type Shut = fn(&mut Scene);

fn check(name: &str, shut: Shut, gate: Option<Gate>, expected: &str) {
    let mut scene = Scene::ready();
    shut(&mut scene);
    let outcome = scene.decide();
    let verdict = match &outcome.verdict {
        Verdict::Hold(hold) => hold.code.as_str().to_owned(),
        Verdict::Advance { to } => format!("advance {to}"),
        Verdict::RollBack { metric } => format!("rollback {metric}"),
        other => other.as_str().to_owned(),
    };
    assert_eq!(verdict, expected, "{name}: {}", outcome.why);
    // The gate named is the one that decided: the first that is shut, or the harmed one.
    let decided = outcome.gates.iter().find(|result| result.result == GateAnswer::Harm);
    let decided = decided.filter(|_| verdict.starts_with("rollback")).or(outcome.blocking_gate());
    assert_eq!(decided.map(|result| result.gate), gate, "{name}: {}", outcome.why);
    assert!(outcome.why.starts_with("rollout `checkout` at stage "), "{}", outcome.why);
}

fn paused(scene: &mut Scene) {
    scene.rollout.status = RolloutStatus::Paused;
}

fn unequal(scene: &mut Scene) {
    scene.evidence.arms[0].units = 4_500;
}

fn last_stage(scene: &mut Scene) {
    scene.rollout.stage = 3;
    scene.rollout.baked_ms = 24 * 3_600_000;
}

fn stale(at: &mut Option<Timestamp>) {
    *at = at.map(|at| at.plus_millis(-HOUR_MS));
}

#[test]
fn each_gate_shuts_with_its_own_code() {
    let rows: &[(&str, Shut, Option<Gate>, &str)] = &[
        ("all open", |_| {}, None, "advance 2"),
        ("all open at the end", last_stage, None, "complete"),
        ("paused", paused, Some(Gate::Running), "stay"),
        ("over", |s| s.rollout.status = RolloutStatus::Completed, Some(Gate::Running), "stay"),
        ("harmed", Scene::make_harmed, Some(Gate::HardGuardrails), "rollback errors"),
        ("unequal arms", unequal, Some(Gate::Srm), "SRM"),
        ("units in both arms", |s| s.evidence.crossover_units = 200, Some(Gate::Crossover), "CROSSOVER"),
        ("few units in both arms", |s| s.evidence.crossover_units = 40, None, "advance 2"),
        ("lost exposures", |s| s.evidence.exposures_dropped = 20, Some(Gate::ExposureLoss), "EXPOSURE_LOSS"),
        ("few lost exposures", |s| s.evidence.exposures_dropped = 5, None, "advance 2"),
        (
            "hold guardrail harmed",
            |s| s.set("conversion", Arms { treatment: (4_000, 500), control: (4_000, 800) }),
            Some(Gate::HoldGuardrails),
            "SIGNAL_BAD",
        ),
        (
            "warehouse down",
            |s| s.evidence = liftgate_scheduler::Evidence::unavailable("disk full".to_owned()),
            Some(Gate::Freshness),
            "WAREHOUSE_ERROR",
        ),
        ("control stopped", |s| stale(&mut s.evidence.last_control_at), Some(Gate::Freshness), "STALE_DATA"),
        ("treatment stopped", |s| stale(&mut s.evidence.last_treatment_at), Some(Gate::Freshness), "STALE_DATA"),
        (
            "watermark stopped",
            |s| {
                for mark in s.evidence.watermark.nodes.values_mut() {
                    mark.received_at = mark.received_at.plus_millis(-HOUR_MS);
                }
            },
            Some(Gate::Freshness),
            "STALE_DATA",
        ),
        ("no exposures, in grace", |s| s.evidence.last_treatment_at = None, Some(Gate::Freshness), "stay"),
        (
            "no exposures for long",
            |s| {
                s.evidence.last_treatment_at = None;
                s.rollout.stage_since = s.now.plus_millis(-7 * HOUR_MS);
            },
            Some(Gate::Freshness),
            "NO_DATA",
        ),
        ("no watermark", |s| s.evidence.watermark.nodes.clear(), Some(Gate::Freshness), "stay"),
        ("still baking", |s| s.rollout.baked_ms -= 1, Some(Gate::Bake), "stay"),
        (
            "too few units",
            |s| s.set("errors", Arms { treatment: (900, 45), control: (900, 45) }),
            Some(Gate::Sample),
            "LOW_SAMPLE",
        ),
        ("nobody matured", |s| s.set_strata("errors", Vec::new()), Some(Gate::Sample), "LOW_SAMPLE"),
        (
            "one arm empty",
            |s| s.set("errors", Arms { treatment: (4_000, 200), control: (0, 0) }),
            Some(Gate::Sample),
            "LOW_SAMPLE",
        ),
        (
            "not a number",
            |s| {
                let bad = Moments { n: 4_000, mean: f64::NAN, m2: f64::INFINITY };
                s.set_strata("errors", vec![Stratum { stage: 1, treatment: bad, control: bad }]);
            },
            Some(Gate::Sample),
            "LOW_SAMPLE",
        ),
        ("suspect", Scene::make_suspect, Some(Gate::Signal), "SIGNAL_BAD"),
        (
            "not a number, no minimum",
            |s| {
                s.policy.stages[1].min_exposed = None;
                s.set_strata("errors", Vec::new());
            },
            Some(Gate::Signal),
            "SIGNAL_BAD",
        ),
        (
            "undecided where safe is required",
            |s| s.policy.stages[1].require = Some(liftgate_scheduler::Require::Safe),
            Some(Gate::Signal),
            "SIGNAL_BAD",
        ),
        ("metric never pinned", |s| s.rollout.metrics.clear(), Some(Gate::Sample), "LOW_SAMPLE"),
        (
            "control may rest at 100%",
            |s| {
                last_stage(s);
                stale(&mut s.evidence.last_control_at);
            },
            None,
            "complete",
        ),
        (
            "treatment may not",
            |s| {
                last_stage(s);
                stale(&mut s.evidence.last_treatment_at);
            },
            Some(Gate::Freshness),
            "STALE_DATA",
        ),
        ("a policy without stages", |s| s.policy.stages.clear(), None, "stay"),
    ];
    for (name, shut, gate, expected) in rows {
        if *name == "a policy without stages" {
            let mut scene = Scene::ready();
            shut(&mut scene);
            assert_eq!(scene.decide().verdict, Verdict::Stay);
        } else {
            check(name, *shut, *gate, expected);
        }
    }
}

#[test]
fn harm_beats_everything_else() {
    let shuts: [Shut; 6] = [
        paused,
        unequal,
        |s| s.evidence.crossover_units = 2_000,
        |s| stale(&mut s.evidence.last_control_at),
        |s| s.rollout.baked_ms = 0,
        |s| s.policy.stages[1].min_exposed = Some(1_000_000),
    ];
    for (index, shut) in shuts.into_iter().enumerate() {
        let mut scene = Scene::ready();
        scene.make_harmed();
        shut(&mut scene);
        assert_eq!(scene.decide().verdict, Verdict::RollBack { metric: key("errors") }, "shut {index}");
    }
}

#[test]
fn what_is_over_is_not_rolled_back_again() {
    for status in [RolloutStatus::Completed, RolloutStatus::RolledBack, RolloutStatus::Cancelled] {
        let mut scene = Scene::ready();
        scene.make_harmed();
        scene.rollout.status = status;
        let outcome = scene.decide();
        assert_eq!((outcome.verdict, outcome.next_due_at), (Verdict::Stay, None));
    }
}

#[test]
fn the_earlier_gate_decides() {
    // From the last gate to the first: each one, once shut, hides those behind it.
    let rows: [(Shut, Gate); 9] = [
        (Scene::make_suspect, Gate::Signal),
        (|s| s.policy.stages[1].min_exposed = Some(1_000_000), Gate::Sample),
        (|s| s.rollout.baked_ms = 0, Gate::Bake),
        (|s| stale(&mut s.evidence.last_control_at), Gate::Freshness),
        (|s| s.set("conversion", Arms { treatment: (4_000, 500), control: (4_000, 800) }), Gate::HoldGuardrails),
        (|s| s.evidence.exposures_dropped = 2_000, Gate::ExposureLoss),
        (|s| s.evidence.crossover_units = 2_000, Gate::Crossover),
        (unequal, Gate::Srm),
        (paused, Gate::Running),
    ];
    let mut scene = Scene::ready();
    for (shut, gate) in rows {
        shut(&mut scene);
        assert_eq!(scene.decide().blocking_gate().map(|result| result.gate), Some(gate));
    }
}

#[test]
fn zero_conversions_with_traffic_are_harm() {
    let mut scene = Scene::ready();
    scene.policy.guardrails.metrics[1].act = liftgate_scheduler::Act::Rollback;
    scene.set("conversion", Arms { treatment: (600, 0), control: (600, 60) });
    assert_eq!(scene.decide().verdict, Verdict::RollBack { metric: key("conversion") });
}

#[test]
fn the_strongest_harm_is_named() {
    let mut scene = Scene::ready();
    scene.policy.guardrails.metrics[1].act = liftgate_scheduler::Act::Rollback;
    scene.make_harmed();
    scene.set("conversion", Arms { treatment: (4_000, 100), control: (4_000, 800) });
    assert_eq!(scene.decide().verdict, Verdict::RollBack { metric: key("conversion") });
}

#[test]
fn alpha_is_split_by_weight_within_a_family() {
    let mut scene = Scene::ready();
    let alphas =
        |scene: &Scene| -> Vec<f64> { scene.decide().guardrails.iter().map(|reading| reading.alpha_g).collect() };
    assert_eq!(alphas(&scene), [0.05, 0.05], "rollback and hold are families of their own");
    scene.policy.guardrails.metrics[1].act = liftgate_scheduler::Act::Rollback;
    scene.policy.guardrails.metrics[1].weight = 3.0;
    let split = alphas(&scene);
    assert!((split[0] - 0.0125).abs() < 1e-15 && (split[1] - 0.0375).abs() < 1e-15, "{split:?}");
}

#[test]
fn harm_that_holds_stays_until_the_metric_is_safe() {
    let mut scene = Scene::ready();
    scene.set("conversion", Arms { treatment: (4_000, 500), control: (4_000, 800) });
    scene.rollout.hold = scene.decide().hold;
    let latched =
        |scene: &Scene| matches!(scene.decide().verdict, Verdict::Hold(Hold { code: HoldCode::SignalBad, .. }));
    assert!(latched(&scene));

    scene.set("conversion", Arms { treatment: (4_000, 800), control: (4_000, 800) });
    assert!(latched(&scene), "calm is not enough");

    // Another hold in between does not forget it, nor does a pause.
    stale(&mut scene.evidence.last_control_at);
    scene.rollout.hold = scene.decide().hold;
    scene.evidence.last_control_at = scene.evidence.last_treatment_at;
    scene.rollout.status = RolloutStatus::Paused;
    scene.rollout.hold = scene.decide().hold;
    scene.rollout.status = RolloutStatus::Running;
    assert!(latched(&scene));

    scene.set("conversion", Arms { treatment: (40_000, 8_800), control: (40_000, 8_000) });
    assert_eq!(scene.decide().verdict, Verdict::Advance { to: 2 }, "{}", scene.decide().why);
}

#[test]
fn a_bake_counts_data_time() {
    let minutes = |minutes: i64| minutes * 60_000;
    // (elapsed since the last look, age of the newest control exposure at the watermark) -> baked since
    let rows = [
        (minutes(1), 0, minutes(1)),
        (minutes(15), minutes(15), minutes(15)),
        (minutes(1), minutes(16), 0),
        (minutes(6 * 60), 0, minutes(15)),
    ];
    for (elapsed, age, expected) in rows {
        let mut scene = Scene::ready();
        scene.rollout.baked_ms = 0;
        scene.rollout.baked_until = scene.now.plus_millis(-elapsed);
        scene.evidence.last_control_at = Some(scene.now.plus_millis(-age));
        let outcome = scene.decide();
        assert_eq!(i64::try_from(outcome.baked_ms), Ok(expected), "{elapsed} ms, {age} ms old");
        assert_eq!(outcome.baked_until, scene.now);
    }
}

#[test]
fn a_bake_never_runs_ahead_or_back() {
    let mut scene = Scene::ready();
    scene.rollout.baked_until = scene.now.plus_millis(1_000);
    let back = scene.decide();
    assert_eq!((back.baked_ms, back.baked_until), (scene.rollout.baked_ms, scene.rollout.baked_until));

    // A node whose clock is ten minutes ahead.
    scene.rollout.baked_until = scene.now.plus_millis(-60_000);
    for mark in scene.evidence.watermark.nodes.values_mut() {
        mark.received_at = scene.now.plus_millis(600_000);
    }
    assert_eq!(scene.decide().baked_until, scene.now);
    assert_eq!(scene.decide().baked_ms, scene.rollout.baked_ms + 60_000);
}

#[test]
fn an_outage_of_the_warehouse_is_not_baked() {
    let mut scene = Scene::ready();
    scene.rollout.baked_until = scene.now.plus_millis(-300_000);
    scene.evidence = liftgate_scheduler::Evidence::unavailable("disk full".to_owned());
    let outcome = scene.decide();
    assert_eq!((outcome.baked_ms, outcome.baked_until), (scene.rollout.baked_ms, scene.now));
}

#[test]
fn a_pause_keeps_the_hold() {
    let mut scene = Scene::ready();
    let hold = Hold { code: HoldCode::Srm, detail: "unequal".to_owned() };
    scene.rollout.hold = Some(hold.clone());
    assert_eq!(scene.decide().hold, None, "running, it opens");
    scene.rollout.status = RolloutStatus::Paused;
    assert_eq!(scene.decide().hold, Some(hold));
}

#[test]
fn low_sample_says_when() {
    let mut scene = Scene::ready();
    // 800 of 2 000 matured in the 5 hours (less a second of lateness) since units could mature.
    scene.set("errors", Arms { treatment: (400, 20), control: (400, 20) });
    let why = scene.decide().why;
    assert!(why.contains("has 800 of 2000 matured units; at this rate it has them in about 7h 30m"), "{why}");
    scene.rollout.stage = 2;
    scene.rollout.baked_ms = 24 * 3_600_000;
    scene.rollout.stage_since = scene.now.plus_millis(-8 * 24 * HOUR_MS);
    let why = scene.decide().why;
    assert!(why.contains("`max_wait` of 7d has passed and a person must decide"), "{why}");
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    for (field, value) in [("windows", json!({})), ("blast", json!({})), ("holdback", json!("5%"))] {
        let mut body = crate::scene::policy_json();
        body[field] = value;
        let error = serde_json::from_value::<liftgate_scheduler::Policy>(body).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{field}`")), "{error}");
    }
    let mut body = crate::scene::policy_json();
    body["stages"][0]["min_exposed"] = json!("auto");
    let error = serde_json::from_value::<liftgate_scheduler::Policy>(body).unwrap_err().to_string();
    assert!(error.contains("write a whole number of units"), "{error}");
}
