//! The worlds contain what they are there for, and the definition keeps the laws that follow from its text.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use liftgate_domain::{Dimension, MomentsAnswer, MomentsQuery, RowRule, SealedBatch, SliceValue, Warehouse};
use liftgate_store::warehouse::MemoryWarehouse;

use super::comparison::{Answers, check_world};
use super::engine::{Engine, append_all};
use super::world::World;

/// One of each size and length.
const WORLDS: u64 = 4;

#[derive(Debug, Default)]
struct Found {
    cells: usize,
    joint: usize,
    crossovers: u64,
    excluded: u64,
    non_finite: u64,
    capped: u64,
    quantiles: usize,
    others: usize,
    absent: usize,
    days: BTreeSet<SliceValue>,
    surplus: u64,
    units_of_events: usize,
    empty: usize,
}

#[tokio::test]
async fn the_worlds_contain_what_they_are_there_for() {
    let mut found = Found::default();
    for seed in 0..WORLDS {
        let world = World::full(seed);
        let answers = Answers::expected(&world).await;
        found.surplus += answers.counts[0].surplus;
        found.units_of_events +=
            world.batches.iter().flat_map(|batch| &batch.rows).filter(|row| row.unit_index > 0).count();
        for answer in &answers.moments {
            found.add(answer);
        }
    }
    let enough = found.cells > 15_000
        && found.joint > 10_000
        && found.crossovers > 50
        && found.excluded > 100
        && found.non_finite > 50
        && found.capped > 500
        && found.quantiles > 1_000
        && found.others > 3
        && found.absent > 100
        && found.days.len() > 60
        && found.surplus > 300
        && found.units_of_events > 500
        && found.empty > 0;
    assert!(enough, "{found:?}");
}

impl Found {
    fn add(&mut self, answer: &MomentsAnswer) {
        self.cells += answer.cells.len();
        self.joint += answer.cells.iter().filter(|cell| cell.joint.is_some()).count();
        self.crossovers += answer.crossover_units;
        self.excluded += answer.excluded_units;
        self.non_finite += answer.non_finite;
        self.capped += answer.capping.iter().map(|capping| capping.units).sum::<u64>();
        self.quantiles += answer.quantiles.len();
        self.empty += usize::from(answer.cells.is_empty());
        for slice in answer.arms.iter().filter_map(|arm| arm.slice.as_ref()) {
            self.others += usize::from(slice.value == SliceValue::Other);
            self.absent += usize::from(slice.value == SliceValue::Absent);
            if slice.dimension == Dimension::ExposureDay {
                self.days.insert(slice.value.clone());
            }
        }
    }
}

/// The units of the cells that `of` picks.
fn units(answer: &MomentsAnswer, of: impl Fn(&liftgate_domain::Cell) -> bool) -> u64 {
    answer.cells.iter().filter(|cell| of(cell)).map(|cell| cell.moments.n).sum()
}

#[tokio::test]
async fn slices_of_a_dimension_have_all_units_and_joint_moments_begin_with_the_moments() {
    for seed in 0..WORLDS {
        let world = World::full(seed);
        let answers = Answers::expected(&world).await;
        for (question, answer) in world.questions.iter().zip(&answers.moments) {
            for dimension in &question.slices {
                for asked in &question.metrics {
                    let whole = units(answer, |cell| cell.metric == asked.key && cell.slice.is_none());
                    let sliced = units(answer, |cell| {
                        cell.metric == asked.key
                            && cell.slice.as_ref().is_some_and(|slice| slice.dimension == *dimension)
                    });
                    assert_eq!(whole, sliced, "seed {seed}, {dimension:?} of {}", asked.key);
                }
                let values = answer.arms.iter().filter_map(|arm| arm.slice.as_ref());
                let values: BTreeSet<_> =
                    values.filter(|slice| slice.dimension == *dimension).map(|slice| &slice.value).collect();
                let told_apart = values.iter().filter(|value| matches!(value, SliceValue::Is(_))).count();
                assert!(told_apart <= liftgate_domain::SLICE_VALUES_MAX, "seed {seed}, {dimension:?}");
            }
            for cell in &answer.cells {
                let Some(joint) = &cell.joint else { continue };
                assert_eq!((joint.n, joint.mean[0]), (cell.moments.n, cell.moments.mean), "seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn a_decision_never_has_units_that_a_readout_of_the_same_rows_has_not() {
    for seed in 0..WORLDS {
        let mut world = World::full(seed);
        // Without lateness, the rules differ only in who may enter.
        let with_rule = |question: &MomentsQuery, rule| MomentsQuery {
            rule,
            lateness_ms: u64::MAX / 4,
            as_of: None,
            ..question.clone()
        };
        let of_rule = |rule| world.questions.iter().map(|question| with_rule(question, rule)).collect::<Vec<_>>();
        let (decisions, readouts) = (of_rule(RowRule::Decision), of_rule(RowRule::Readout));
        world.questions = [decisions, readouts].concat();
        let answers = Answers::expected(&world).await;
        let (decisions, readouts) = answers.moments.split_at(answers.moments.len() / 2);
        for (decision, readout) in decisions.iter().zip(readouts) {
            for cell in &decision.cells {
                let same = |other: &&liftgate_domain::Cell| {
                    (&other.metric, &other.slice, other.stage, &other.arm)
                        == (&cell.metric, &cell.slice, cell.stage, &cell.arm)
                };
                assert!(readout.cells.iter().find(same).is_some_and(|other| other.moments.n >= cell.moments.n));
            }
        }
    }
}

/// The definition, given the batches of one node after those of the other.
struct OneNodeAfterTheOther;

impl Engine for OneNodeAfterTheOther {
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse)) {
        check(&MemoryWarehouse::new()).await;
    }

    async fn on_rows(&self, batches: &[Arc<SealedBatch>], check: impl AsyncFn(&dyn Warehouse)) {
        let mut batches = batches.to_vec();
        batches.sort_by_key(|batch| (Reverse(batch.node.clone()), batch.epoch, batch.sequence));
        self.on_empty(async |warehouse| {
            append_all(warehouse, &batches).await;
            check(warehouse).await;
        })
        .await;
    }
}

#[tokio::test]
async fn the_order_in_which_nodes_write_does_not_matter() {
    for seed in 0..WORLDS {
        for world in [World::of(seed), World::full(seed)] {
            check_world(&OneNodeAfterTheOther, &world, &format!("seed {seed}")).await;
        }
    }
}
