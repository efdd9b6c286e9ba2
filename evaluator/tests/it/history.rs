//! Attribution of the past agrees with what evaluation answered then.

use liftgate_evaluator::{
    BUCKETS, Context, Design, Key, Ramp, Range, RunHistory, RunKind, RunRef, Serve, Share, Split, StageEntry, Timestamp,
};
use proptest::prelude::*;

use crate::serving;

const HOUR_MICROS: i64 = 3_600_000_000;

fn ranges() -> Vec<Range> {
    vec![
        Range { variation: "off".to_owned(), start: 0, end: 60_000 },
        Range { variation: "on".to_owned(), start: 60_000, end: BUCKETS },
    ]
}

fn history(design: Design, shares: &[u32]) -> RunHistory {
    let entry = |(stage, parts): (u32, &u32)| StageEntry {
        stage,
        share: Share::from_ppc(*parts).unwrap(),
        since: Timestamp(i64::from(stage) * HOUR_MICROS),
    };
    RunHistory {
        dialect: liftgate_evaluator::Dialect::Native,
        number: 5,
        kind: RunKind::Rollout,
        key: Key::new("r").unwrap(),
        unit: "user".to_owned(),
        salt: "salt".to_owned(),
        design,
        stages: (0..).zip(shares).map(entry).collect(),
        ended_at: None,
    }
}

/// The rule as it stood while `entry` was the stage.
fn serve_at(history: &RunHistory, entry: &StageEntry) -> Serve {
    let run = Some(RunRef { number: history.number, kind: history.kind, key: history.key.clone(), stage: entry.stage });
    let (unit, salt, share) = (history.unit.clone(), history.salt.clone(), entry.share);
    match history.design.clone() {
        Design::Ramp { treatment, control } => Serve::Ramp(Ramp { unit, salt, treatment, control, share, run }),
        Design::Split { ranges } => Serve::Split(Split { unit, salt, share, ranges, run }),
    }
}

proptest! {
    #[test]
    fn history_and_live_evaluation_agree(
        shares in prop::collection::vec(0..=BUCKETS, 1..6),
        units in prop::collection::vec("\\PC{1,16}", 16),
        offset in 0..HOUR_MICROS,
    ) {
        let ramp = Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() };
        for design in [ramp, Design::Split { ranges: ranges() }] {
            let history = history(design, &shares);
            for entry in &history.stages {
                let live = serving("f", &serve_at(&history, entry));
                for unit in &units {
                    let context = Context::user(unit.as_str());
                    let answer = live.evaluate("f", &context);
                    let then = history.assignment_at(unit, Timestamp(entry.since.0 + offset));
                    let now = answer.assignment.map(|a| (a.run.number, a.run.stage, a.arm, a.variation, a.bucket));
                    prop_assert_eq!(then.map(|a| (a.run, a.stage, a.arm, a.variation, a.bucket)), now);
                }
            }
        }
    }
}

#[test]
fn a_run_assigns_from_its_start_to_just_before_its_end() {
    let ramp = Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() };
    let mut history = history(ramp, &[10_000, 50_000]);
    history.ended_at = Some(Timestamp(2 * HOUR_MICROS));
    let stage_at = |micros| history.assignment_at("u", Timestamp(micros)).map(|a| a.stage);
    assert_eq!(stage_at(-1), None);
    assert_eq!(stage_at(0), Some(0));
    assert_eq!(stage_at(HOUR_MICROS - 1), Some(0));
    assert_eq!(stage_at(HOUR_MICROS), Some(1));
    assert_eq!(stage_at(2 * HOUR_MICROS - 1), Some(1));
    assert_eq!(stage_at(2 * HOUR_MICROS), None);
}

#[test]
fn of_stages_that_began_together_the_last_counts() {
    let ramp = Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() };
    let mut history = history(ramp, &[10_000, 20_000, 5_000]);
    for entry in &mut history.stages {
        entry.since = Timestamp(0);
    }
    assert_eq!(history.stage_at(Timestamp(0)), history.stages.last());
}

#[test]
fn history_survives_json() {
    let history = history(Design::Split { ranges: ranges() }, &[10_000]);
    let json = serde_json::to_string(&history).unwrap();
    assert_eq!(serde_json::from_str::<RunHistory>(&json).unwrap(), history);
    let ramp: RunHistory = serde_json::from_str(
        r#"{"number":1,"kind":"rollout","key":"r","unit":"user","salt":"s",
            "design":{"ramp":{"treatment":"on","control":"off"}},
            "stages":[{"stage":0,"share":"5%","since":"2026-03-01T09:00:00Z"}]}"#,
    )
    .unwrap();
    assert_eq!((ramp.stages[0].share.parts(), ramp.ended_at), (5_000, None));
}
