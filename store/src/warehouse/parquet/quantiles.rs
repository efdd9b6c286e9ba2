//! Quantiles of the values of all events that count, arm by arm.

use liftgate_domain::{MomentsAnswer, QuantileCell};

use super::cells::Counted;
use super::question::AskedMetric;
use super::tallies::Tally;

/// Adds the quantiles of a metric to the answer.
pub(super) fn write(counted: &Counted<'_>, metric: &AskedMetric<'_>, answer: &mut MomentsAnswer) {
    if metric.asked.probabilities.is_empty() {
        return;
    }
    let population = counted.population;
    let mut arms: Vec<&str> = population.strata.iter().map(|(_, arm)| arm.as_str()).collect();
    arms.sort_unstable();
    arms.dedup();
    let arm_of: Vec<usize> =
        population.strata.iter().map(|(_, arm)| arms.partition_point(|known| *known < arm.as_str())).collect();
    // By place, then arm.
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); population.places.count() * arms.len()];
    for (cohort, tallies) in population.cohorts.iter().zip(&counted.tallies) {
        let Some(Tally::Events { values: of_cohort, .. }) = tallies.of_variables.get(metric.variables.start) else {
            continue;
        };
        for (unit, value) in of_cohort {
            let unit = *unit as usize;
            let arm = arm_of[cohort.strata[unit] as usize];
            for place in cohort.places_of(unit) {
                values[place * arms.len() + arm].push(*value);
            }
        }
    }
    for (position, mut values) in values.into_iter().enumerate() {
        for probability in &metric.asked.probabilities {
            let Some(value) = value_at(&mut values, *probability) else {
                continue;
            };
            answer.quantiles.push(QuantileCell {
                metric: metric.asked.key.clone(),
                slice: population.places.slice(position / arms.len()),
                arm: arms[position % arms.len()].to_owned(),
                probability: *probability,
                value,
                events: values.len() as u64,
            });
        }
    }
}

/// Of n sorted values the one at position `ceil(share * n)`, from 1; `None` when there are none. Rearranges the values.
pub(super) fn value_at(values: &mut [f64], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let position = (share * values.len() as f64).ceil() as usize;
    let (_, value, _) = values.select_nth_unstable_by(position.saturating_sub(1).min(last), f64::total_cmp);
    Some(*value)
}
