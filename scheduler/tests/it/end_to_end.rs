//! The one route, in memory: units are evaluated by the ruleset of the catalog, exposed, act, and are counted; the
//! scheduler moves the flag; the next units see it.

use std::sync::Arc;

use liftgate_domain::{Clock as _, EventRow, RolloutStatus, RowKind, SealedBatch, Share, Timestamp};
use liftgate_evaluator::{Context, FlagSource, Ruleset, RulesetSource, bucket};
use liftgate_scheduler::{NoLoss, replay, why};
use liftgate_store::warehouse::MemoryWarehouse;

use crate::scene::key;
use crate::world::World;

const UNITS_A_TICK: u64 = 100;
const TICK_MS: i64 = 20_000;

/// How often units act, in percent.
#[derive(Copy, Clone)]
struct Rates {
    errors: (u32, u32),
    conversion: (u32, u32),
}

struct Traffic<'a> {
    world: &'a World,
    rates: Rates,
    next_unit: u64,
    sequence: u64,
}

impl<'a> Traffic<'a> {
    fn new(world: &'a World, rates: Rates) -> Self {
        Self { world, rates, next_unit: 0, sequence: 0 }
    }

    async fn ruleset(&self) -> (Ruleset, u64) {
        let bundle = self.world.catalog.ruleset(&self.world.scope).await.unwrap().unwrap();
        let environment = bundle.environment.number;
        let flags = bundle.flags.iter().filter_map(|flag| {
            let state = bundle.states.iter().find(|state| state.key == flag.key)?;
            Some(Arc::new(FlagSource {
                flag: flag.decode().unwrap(),
                state: state.decode().unwrap(),
                revision: state.revision,
            }))
        });
        let source = RulesetSource { revision: bundle.revision, flags: flags.collect(), ..RulesetSource::default() };
        (Ruleset::compile(source), environment)
    }

    /// New units arrive, are served and act; then the scheduler looks.
    async fn tick(&mut self) {
        let (ruleset, environment) = self.ruleset().await;
        let now = self.world.clock.now();
        let mut rows = Vec::new();
        for _ in 0..UNITS_A_TICK {
            let unit = format!("user-{}", self.next_unit);
            self.next_unit += 1;
            self.serve(&ruleset, environment, &unit, now, &mut rows);
        }
        self.sequence += 1;
        let batch = SealedBatch { node: "a".into(), epoch: 1, sequence: self.sequence, received_through: now, rows };
        self.world.warehouse.append(Arc::new(batch)).await.unwrap();
        self.world.tick_after(TICK_MS).await;
    }

    fn serve(&self, ruleset: &Ruleset, environment: u64, unit: &str, now: Timestamp, rows: &mut Vec<EventRow>) {
        let context = Context::user(unit);
        let answer = ruleset.evaluate("new-checkout", &context);
        let is_treated = answer.variation == Some("on");
        let mut exposure = row(environment, RowKind::Exposure, "new-checkout", unit, now);
        exposure.variation = answer.variation.map(str::to_owned);
        if let Some(assignment) = answer.assignment {
            exposure.run = Some(assignment.run.number);
            exposure.stage = Some(assignment.run.stage);
            exposure.arm = assignment.arm.map(str::to_owned);
            exposure.bucket = Some(assignment.bucket);
        }
        rows.push(exposure);
        for (event, (treated, control)) in [("error", self.rates.errors), ("purchase", self.rates.conversion)] {
            let percent = if is_treated { treated } else { control };
            if bucket(event, unit) < percent * 1_000 {
                rows.push(row(environment, RowKind::Metric, event, unit, now.plus_millis(1_000)));
            }
        }
    }
}

fn row(environment: u64, kind: RowKind, name: &str, unit: &str, ts: Timestamp) -> EventRow {
    EventRow {
        event_id: format!("{name}-{unit}"),
        environment,
        kind,
        ts,
        ts_client: ts,
        received_at: ts,
        unit_index: 0,
        unit_type: "user".to_owned(),
        unit_id: unit.to_owned(),
        unit_hash: EventRow::unit_hash_of(environment, "user", unit),
        name: name.to_owned(),
        variation: None,
        run: None,
        stage: None,
        arm: None,
        bucket: None,
        value: None,
        properties: None,
        source: "server".to_owned(),
        revision: 0,
    }
}

async fn world() -> World {
    World::new(Arc::new(MemoryWarehouse::new())).await
}

#[tokio::test]
async fn a_harmful_change_is_taken_back() {
    let world = world().await;
    world.start().await;
    let mut traffic = Traffic::new(&world, Rates { errors: (40, 10), conversion: (20, 20) });
    let mut ticks = 0;
    while world.rollout().await.status == RolloutStatus::Running {
        traffic.tick().await;
        ticks += 1;
        assert!(ticks < 200, "it is never taken back: {:?}", world.rollout().await.hold);
    }
    let rollout = world.rollout().await;
    assert_eq!((rollout.status, rollout.stage), (RolloutStatus::RolledBack, 0));
    assert!(rollout.treated_units < 300, "{} units were harmed", rollout.treated_units);
    let (ruleset, _) = traffic.ruleset().await;
    let served = (0..2_000).map(|unit| {
        let context = Context::user(format!("user-{unit}"));
        ruleset.evaluate("new-checkout", &context).variation.map(str::to_owned)
    });
    assert!(served.into_iter().all(|variation| variation.as_deref() == Some("off")), "everybody has the control");
    let report = replay(&world.decisions().await).unwrap();
    assert_eq!(report.identical + 1, report.records);
}

#[tokio::test]
async fn a_good_change_reaches_everybody() {
    let world = world().await;
    world.start().await;
    let mut traffic = Traffic::new(&world, Rates { errors: (10, 10), conversion: (25, 20) });
    let mut shares = vec![];
    for _ in 0..400 {
        let share = world.ramp().await.share;
        if shares.last() != Some(&share) {
            shares.push(share);
        }
        if world.rollout().await.status != RolloutStatus::Running {
            break;
        }
        traffic.tick().await;
    }
    let rollout = world.rollout().await;
    assert_eq!(rollout.status, RolloutStatus::Completed, "{:?}", rollout.hold);
    let percents: Vec<String> = shares.iter().map(Share::to_string).collect();
    assert_eq!(percents, ["10%", "50%", "100%"]);
    let report = replay(&world.decisions().await).unwrap();
    assert_eq!(report.identical + 1, report.records);
}

#[tokio::test]
async fn without_traffic_it_waits_then_holds() {
    let world = world().await;
    world.start().await;
    world.tick_after(60_000).await;
    assert_eq!(world.rollout().await.hold, None, "in grace");
    world.tick_after(7 * 3_600_000).await;
    let answer = why(&*world.catalog, &*world.warehouse, &NoLoss, &world.scope, &key("checkout")).await.unwrap();
    assert!(answer.sentence.contains("holds, NO_DATA"), "{}", answer.sentence);
    assert_eq!(world.rollout().await.hold.map(|hold| hold.code.as_str()), Some("NO_DATA"));
}
