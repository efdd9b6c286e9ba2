//! What units are told apart by: values of dimensions, the largest of them by themselves and all others together.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use liftgate_domain::{Dimension, SLICE_VALUES_MAX, Slice, SliceValue};

use super::firsts::{ABSENT, Attributes};
use super::layout;
use super::population::{Cohort, Population};
use super::question::Question;

/// All places in an answer that units count in, in the order of the answer.
#[derive(Debug, Default)]
pub(super) struct Places {
    slices: Vec<Slice>,
}

impl Places {
    /// The place of the whole population; the slices follow.
    pub(super) const WHOLE: usize = 0;

    pub(super) fn count(&self) -> usize {
        self.slices.len() + 1
    }

    /// What is asked for at a place; `None` for the whole population.
    pub(super) fn slice(&self, place: usize) -> Option<Slice> {
        place.checked_sub(1).and_then(|position| self.slices.get(position).cloned())
    }
}

/// A dimension's values: which of them each unit has.
struct Values {
    texts: Vec<String>,
    /// By cohort and unit: position in `texts`, or [`ABSENT`].
    of_units: Vec<Vec<u32>>,
}

/// Gives each unit its places.
pub(super) fn place(population: &mut Population, attributes: Attributes, question: &Question<'_>) {
    for dimension in &question.query.slices {
        let values = match dimension {
            Dimension::Attribute(name) => of_attribute(&attributes, question.attributes.binary_search(&name.as_str())),
            Dimension::ExposureDay => of_days(&population.cohorts),
        };
        place_dimension(population, dimension, &values);
    }
}

fn of_attribute(attributes: &Attributes, position: Result<usize, usize>) -> Values {
    let position = position.unwrap_or_default();
    Values {
        texts: attributes.values.get(position).cloned().unwrap_or_default(),
        of_units: attributes.of_units.iter().map(|cohort| cohort.get(position).cloned().unwrap_or_default()).collect(),
    }
}

fn of_days(cohorts: &[Cohort]) -> Values {
    let mut days: BTreeMap<i64, u32> = BTreeMap::new();
    for cohort in cohorts {
        for unit in &cohort.order {
            days.insert(layout::day_number(cohort.first_ts[*unit as usize]), 0);
        }
    }
    days.values_mut().zip(0..).for_each(|(position, number)| *position = number);
    let of_unit = |ts: &i64| days.get(&layout::day_number(*ts)).copied().unwrap_or(ABSENT);
    Values {
        texts: days.keys().map(|day| layout::day_text(*day)).collect(),
        of_units: cohorts.iter().map(|cohort| cohort.first_ts.iter().map(of_unit).collect()).collect(),
    }
}

fn place_dimension(population: &mut Population, dimension: &Dimension, values: &Values) {
    let mut units = vec![0_u64; values.texts.len()];
    let mut has_absent = false;
    for (cohort, of_units) in population.cohorts.iter().zip(&values.of_units) {
        for unit in &cohort.order {
            match of_units[*unit as usize] {
                ABSENT => has_absent = true,
                value => units[value as usize] += 1,
            }
        }
    }
    // The values with the most units, ties by the smaller text.
    let mut ranked: Vec<usize> = (0..units.len()).filter(|value| units[*value] > 0).collect();
    ranked.sort_by_key(|value| (Reverse(units[*value]), &values.texts[*value]));
    let has_other = ranked.len() > SLICE_VALUES_MAX;
    ranked.truncate(SLICE_VALUES_MAX);
    ranked.sort_by_key(|value| &values.texts[*value]);

    let places = &mut population.places.slices;
    let begin = places.len() as u32 + 1;
    let mut place_of = vec![None; units.len()];
    for (value, place) in ranked.iter().zip(begin..) {
        place_of[*value] = Some(place);
        let value = SliceValue::Is(values.texts[*value].clone());
        places.push(Slice { dimension: dimension.clone(), value });
    }
    let absent = places.len() as u32 + 1;
    if has_absent {
        places.push(Slice { dimension: dimension.clone(), value: SliceValue::Absent });
    }
    let other = places.len() as u32 + 1;
    if has_other {
        places.push(Slice { dimension: dimension.clone(), value: SliceValue::Other });
    }
    for (cohort, of_units) in population.cohorts.iter_mut().zip(&values.of_units) {
        let place = |value: &u32| match *value {
            ABSENT => absent,
            value => place_of[value as usize].unwrap_or(other),
        };
        cohort.slices.push(of_units.iter().map(place).collect());
    }
}
