//! What a question means, as a naive fold over all rows: the oracle that engines are compared with.
//!
//! Written to be checked against the text of [`MomentsQuery`], line by line. No indexes, no shortcuts, no state.
//!
//! | module | which lines of the text |
//! |---|---|
//! | `identity` | which rows are events |
//! | `horizon` | which rows and units a question sees under its rule |
//! | `population` | first exposures, quarantined and excluded units |
//! | `censoring` | the instant at which a unit leaves |
//! | `unit_values` | what a metric makes of one unit's rows |
//! | `capping` | caps |
//! | `slices` | values of dimensions |

mod capping;
mod censoring;
mod horizon;
mod identity;
mod population;
mod slices;
mod unit_values;

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_domain::{
    ArmCount, Cell, EventRow, MetricKind, MomentsAnswer, MomentsQuery, QuantileCell, RowKind, SealedBatch, Watermark,
};
use liftgate_evaluator::Design;
use liftgate_stats::{JointMoments, Moments};

use self::capping::Caps;
use self::horizon::Horizon;
pub(super) use self::identity::counts;
use self::population::{Population, Unit};
use self::slices::Place;
use self::unit_values::UnitValues;

/// Answers `query` from all rows.
pub(super) fn answer(batches: &[Arc<SealedBatch>], watermark: &Watermark, query: &MomentsQuery) -> MomentsAnswer {
    let mut answer = MomentsAnswer { watermark: watermark.clone(), ..MomentsAnswer::default() };
    let Some(horizon) = Horizon::of(watermark, query) else {
        return answer;
    };
    let rows: Vec<&EventRow> = identity::events(batches, query.environment)
        .into_iter()
        .filter(|row| row.unit_type == query.history.unit && horizon.sees(row))
        .collect();
    count_served(&rows, query, &mut answer);
    let population = Population::of(&rows, query, &horizon);
    answer.crossover_units = population.crossover_units;
    answer.excluded_units = population.excluded_units;
    let units = slices::place(population.units, query);
    answer.arms = arms(&units, query);
    for position in 0..query.metrics.len() {
        measure(position, &units, query, &horizon, &mut answer);
    }
    answer
}

/// Who was served the variations of a ramp, with or without an arm, and when last.
fn count_served(rows: &[&EventRow], query: &MomentsQuery, answer: &mut MomentsAnswer) {
    let Design::Ramp { treatment, control } = &query.history.design else {
        return;
    };
    let served = |variation: &str| {
        let of_run = |row: &&&EventRow| row.kind == RowKind::Exposure && row.run == Some(query.history.number);
        let of_variation = |row: &&&EventRow| row.variation.as_deref() == Some(variation);
        rows.iter().filter(of_run).filter(of_variation).copied().collect::<Vec<&EventRow>>()
    };
    let last = |rows: &[&EventRow]| rows.iter().map(|row| row.ts.min(row.received_at)).max();
    let mut treated: Vec<&str> = served(treatment).iter().map(|row| row.unit_id.as_str()).collect();
    treated.sort_unstable();
    treated.dedup();
    answer.treated_units = treated.len() as u64;
    answer.last_treatment_at = last(&served(treatment));
    answer.last_control_at = last(&served(control));
}

/// A unit and the places in the answer that it counts in: the whole population, and one slice of each dimension.
struct Placed<'a> {
    unit: Unit<'a>,
    places: Vec<Place>,
}

fn arms(units: &[Placed<'_>], query: &MomentsQuery) -> Vec<ArmCount> {
    let mut arms: BTreeMap<(&Place, u32, &str), u64> = BTreeMap::new();
    for Placed { unit, places } in units {
        for place in places {
            *arms.entry((place, unit.first.stage, unit.first.arm)).or_default() += 1;
        }
    }
    let count = |((place, stage, arm), units): ((&Place, u32, &str), u64)| ArmCount {
        slice: place.slice(query),
        stage,
        arm: arm.to_owned(),
        units,
    };
    arms.into_iter().map(count).collect()
}

/// Adds what one metric makes of all units.
fn measure(position: usize, units: &[Placed<'_>], query: &MomentsQuery, horizon: &Horizon, answer: &mut MomentsAnswer) {
    let asked = &query.metrics[position];
    let mut entered: Vec<(&Placed<'_>, UnitValues)> = units
        .iter()
        .filter(|placed| horizon.admits(&placed.unit.first, &asked.metric, &query.history))
        .map(|placed| (placed, UnitValues::of(asked, &placed.unit, horizon)))
        .collect();
    answer.non_finite += entered.iter().map(|(_, values)| values.non_finite).sum::<u64>();
    if let Some(caps) = Caps::of(&asked.metric, &entered) {
        let capped = entered.iter_mut().filter_map(|(_, values)| caps.apply(values).then_some(())).count();
        answer.capping.push(caps.report(asked.key.clone(), capped as u64));
    }

    let mut cells: BTreeMap<(&Place, u32, &str), (Moments, JointMoments)> = BTreeMap::new();
    let mut events: BTreeMap<(&Place, &str), Vec<f64>> = BTreeMap::new();
    for (Placed { unit, places }, values) in &entered {
        for place in places {
            let new = || (Moments::default(), JointMoments::new(values.variables.len()));
            let (moments, joint) = cells.entry((place, unit.first.stage, unit.first.arm)).or_insert_with(new);
            moments.push(values.variables[0]);
            joint.push(&values.variables);
            events.entry((place, unit.first.arm)).or_default().extend(&values.events);
        }
    }
    answer.cells.extend(cells.into_iter().map(|((place, stage, arm), (moments, joint))| Cell {
        metric: asked.key.clone(),
        slice: place.slice(query),
        stage,
        arm: arm.to_owned(),
        moments,
        joint: (joint.variables() > 1).then_some(joint),
    }));
    if asked.metric.kind == MetricKind::Quantile {
        for ((place, arm), mut events) in events {
            events.sort_by(f64::total_cmp);
            answer.quantiles.extend(asked.probabilities.iter().filter_map(|probability| {
                Some(QuantileCell {
                    metric: asked.key.clone(),
                    slice: place.slice(query),
                    arm: arm.to_owned(),
                    probability: *probability,
                    value: value_at(&events, *probability)?,
                    events: events.len() as u64,
                })
            }));
        }
    }
}

/// Of n sorted values the one at position `ceil(share * n)`, from 1; `None` when there are none. Evaluated in 64-bit
/// floating point, and kept within 1 and n.
fn value_at(sorted: &[f64], share: f64) -> Option<f64> {
    let position = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(position.clamp(1, sorted.len().max(1)) - 1).copied()
}
