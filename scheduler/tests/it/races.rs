//! Many hands at once: each step once, and nothing older after an acknowledged order.

use std::sync::Arc;

use liftgate_domain::{Catalog, Clock as _, RolloutStatus};
use liftgate_scheduler::{command, replay};

use crate::canned::{CannedWarehouse, YieldingCatalog};
use crate::scene::key;
use crate::ticks::CALM;
use crate::world::{World, scheduler, someone};

const SEEDS: u64 = 300;

/// A rollout whose first stage is over, and the catalog behind a seeded order of calls.
async fn ready(seed: u64) -> (World, Arc<dyn Catalog>) {
    let warehouse = Arc::new(CannedWarehouse::new());
    let world = World::new(warehouse.clone()).await;
    world.start().await;
    for _ in 0..4 {
        world.clock.advance_ms(60_000);
        warehouse.say(world.clock.now(), CALM);
        world.scheduler.tick().await.unwrap();
    }
    world.clock.advance_ms(60_000);
    warehouse.say(world.clock.now(), CALM);
    let yielding: Arc<dyn Catalog> = Arc::new(YieldingCatalog::new(Arc::clone(&world.catalog), seed));
    (world, yielding)
}

#[tokio::test]
async fn two_schedulers_take_each_step_once() {
    let mut conflicts = 0;
    for seed in 0..SEEDS {
        let (world, yielding) = ready(seed).await;
        let [one, two] = [(); 2].map(|()| scheduler(&yielding, &world.warehouse, &world.entropy));
        let (first, second) = tokio::join!(one.tick(), two.tick());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.failed + second.failed, 0, "seed {seed}");
        conflicts += first.conflicts + second.conflicts;
        assert_eq!(world.verdicts().await, ["start", "advance"], "seed {seed}");
        assert_eq!(world.rollout().await.stage, 1, "seed {seed}");
        replay(&world.decisions().await).unwrap();
    }
    assert!(conflicts > SEEDS / 10, "the test must bite: {conflicts} conflicts");
}

#[tokio::test]
async fn no_older_advance_follows_an_acknowledged_pause() {
    let (mut advanced_before, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let (world, yielding) = ready(seed).await;
        let one = scheduler(&yielding, &world.warehouse, &world.entropy);
        let order = async {
            let checkout = key("checkout");
            command::pause(&*yielding, &*world.entropy, &world.scope, &checkout, someone(), None).await
        };
        let (tick, paused) = tokio::join!(one.tick(), order);
        let (tick, (paused, _)) = (tick.unwrap(), paused.unwrap());
        refused += tick.conflicts;
        for _ in 0..3 {
            world.tick_after(60_000).await;
        }
        let after = world.rollout().await;
        assert_eq!((after.status, after.stage), (RolloutStatus::Paused, paused.stage), "seed {seed}");
        let verdicts = world.verdicts().await;
        assert_eq!(verdicts.last().map(String::as_str), Some("pause"), "seed {seed}: {verdicts:?}");
        advanced_before += u64::from(verdicts.contains(&"advance".to_owned()));
        replay(&world.decisions().await).unwrap();
    }
    assert!(advanced_before > 0 && refused > 0, "the test must bite: {advanced_before} before, {refused} refused");
}

#[tokio::test]
async fn a_kill_wins_over_an_older_advance() {
    let mut refused = 0;
    for seed in 0..SEEDS {
        let (world, yielding) = ready(seed).await;
        let one = scheduler(&yielding, &world.warehouse, &world.entropy);
        let order = async {
            let checkout = key("checkout");
            command::rollback(&*yielding, &*world.entropy, &world.scope, &checkout, someone(), None).await
        };
        let (tick, killed) = tokio::join!(one.tick(), order);
        refused += tick.unwrap().conflicts;
        killed.unwrap();
        world.tick_after(60_000).await;
        let ramp = world.ramp().await;
        assert_eq!((ramp.share.parts(), ramp.run), (0, None), "seed {seed}");
        assert_eq!(world.rollout().await.status, RolloutStatus::RolledBack, "seed {seed}");
    }
    assert!(refused > 0, "the test must bite");
}
