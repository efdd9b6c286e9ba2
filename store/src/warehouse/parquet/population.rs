//! Who is analysed: the units whose first exposure is in an asked arm, but for the quarantined and the excluded; with
//! the stage and arm, and the slices, that each counts in.

use std::collections::BTreeSet;
use std::sync::Arc;

use liftgate_domain::{ArmCount, MomentsAnswer, StoreError, Timestamp};

use super::censoring::FirstSeen;
use super::exposures::{Exposed, Partition, SeenUnit};
use super::firsts::Attributes;
use super::question::Question;
use super::scan::each;
use super::slices::{self, Places};
use super::units::UnitIndex;

/// The analysed units of a run.
pub(super) struct Population {
    /// By range of hashes, ascending.
    pub(super) cohorts: Vec<Cohort>,
    /// Stages and arms that have units, ascending.
    pub(super) strata: Vec<(u32, String)>,
    pub(super) places: Places,
}

/// The units of one partition. Those that are not analysed have no stratum.
pub(super) struct Cohort {
    pub(super) index: Arc<UnitIndex>,
    pub(super) first_ts: Vec<i64>,
    /// The instant from which a unit no longer counts in decisions.
    pub(super) leaves_at: Vec<i64>,
    /// Position in [`Population::strata`], or [`NOT_ANALYSED`].
    pub(super) strata: Vec<u32>,
    /// By dimension, then unit: position in [`Places::all`].
    pub(super) slices: Vec<Vec<u32>>,
    /// The analysed units, ascending by hash, so that sums over units round alike however the rows were stored.
    pub(super) order: Vec<u32>,
}

pub(super) const NOT_ANALYSED: u32 = u32::MAX;

impl Population {
    pub(super) fn units(&self) -> usize {
        self.cohorts.iter().map(|cohort| cohort.order.len()).sum()
    }

    /// Settles who is analysed, and writes down in `answer` who is not.
    pub(super) fn of(
        exposed: Exposed,
        attributes: Attributes,
        question: &Question<'_>,
        threads: usize,
        answer: &mut MomentsAnswer,
    ) -> Result<Self, StoreError> {
        let Exposed { partitions, arms, last_treatment_at, last_control_at } = exposed;
        answer.last_treatment_at = last_treatment_at.map(Timestamp);
        answer.last_control_at = last_control_at.map(Timestamp);
        let is_asked: Vec<bool> = arms.iter().map(|arm| question.query.arms.contains(arm)).collect();
        let mut strata: BTreeSet<(u32, &str)> = BTreeSet::new();
        for unit in partitions.iter().flat_map(|partition| &partition.units) {
            answer.treated_units += u64::from(unit.treated);
            answer.crossover_units += u64::from(unit.in_several_arms);
            let Some(arm) = asked_arm(unit, &is_asked) else {
                continue;
            };
            match unit.excluded {
                true => answer.excluded_units += 1,
                false => _ = strata.insert((unit.stage, &arms[arm])),
            }
        }
        let strata: Vec<(u32, &str)> = strata.into_iter().collect();
        let cohorts = each(partitions.len(), threads, |position| {
            Ok(Cohort::of(&partitions[position], &is_asked, &arms, &strata, question))
        })?;
        let mut population = Self {
            cohorts,
            strata: strata.iter().map(|(stage, arm)| (*stage, (*arm).to_owned())).collect(),
            places: Places::default(),
        };
        for (cohort, partition) in population.cohorts.iter_mut().zip(partitions) {
            cohort.index = Arc::clone(&partition.index);
        }
        slices::place(&mut population, attributes, question);
        answer.arms = population.arm_counts();
        Ok(population)
    }

    fn arm_counts(&self) -> Vec<ArmCount> {
        let mut units = vec![0_u64; self.places.count() * self.strata.len()];
        for cohort in &self.cohorts {
            for unit in cohort.order.iter().map(|unit| *unit as usize) {
                let stratum = cohort.strata[unit] as usize;
                for place in cohort.places_of(unit) {
                    units[place * self.strata.len() + stratum] += 1;
                }
            }
        }
        let mut counts = Vec::new();
        for (place, of_place) in units.chunks(self.strata.len().max(1)).enumerate() {
            for ((stage, arm), units) in self.strata.iter().zip(of_place).filter(|(_, units)| **units > 0) {
                let slice = self.places.slice(place);
                counts.push(ArmCount { slice, stage: *stage, arm: arm.clone(), units: *units });
            }
        }
        counts
    }
}

impl Cohort {
    fn of(
        partition: &Partition,
        is_asked: &[bool],
        arms: &[String],
        strata: &[(u32, &str)],
        question: &Question<'_>,
    ) -> Self {
        let units = &partition.units;
        let mut cohort = Self {
            index: Arc::default(),
            first_ts: units.iter().map(|unit| unit.first_ts).collect(),
            leaves_at: vec![i64::MAX; units.len()],
            strata: vec![NOT_ANALYSED; units.len()],
            slices: Vec::new(),
            order: Vec::new(),
        };
        let mut order: Vec<(u64, u32)> = Vec::new();
        for (position, unit) in units.iter().enumerate().filter(|(_, unit)| !unit.excluded) {
            let Some(arm) = asked_arm(unit, is_asked) else {
                continue;
            };
            let arm = arms[arm].as_str();
            let first = FirstSeen { ts: unit.first_ts, stage: unit.stage, arm, bucket: unit.bucket() };
            if let Some(closing) = &question.closing {
                cohort.leaves_at[position] = closing.censoring.leaves_at(first);
            }
            let stratum = strata.binary_search(&(unit.stage, arm)).map_or(NOT_ANALYSED, |stratum| stratum as u32);
            cohort.strata[position] = stratum;
            order.push((partition.index.hashes()[position], position as u32));
        }
        order.sort_unstable();
        cohort.order = order.into_iter().map(|(_, position)| position).collect();
        cohort
    }

    /// Where a unit counts: in the whole population, and in one slice of each dimension.
    pub(super) fn places_of(&self, unit: usize) -> impl Iterator<Item = usize> {
        std::iter::once(Places::WHOLE).chain(self.slices.iter().map(move |slices| slices[unit] as usize))
    }
}

/// The position of the arm that the unit would count in, were it not excluded.
fn asked_arm(unit: &SeenUnit, is_asked: &[bool]) -> Option<usize> {
    let arm = unit.arm()?;
    (!unit.in_several_arms && is_asked.get(arm) == Some(&true)).then_some(arm)
}
