//! What units are told apart by: values of dimensions, as of the first exposure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use liftgate_domain::{Dimension, EventRow, MomentsQuery, SLICE_VALUES_MAX, Slice, SliceValue};
use serde_json::Value;

use super::Placed;
use super::population::Unit;

/// Where a unit counts: in the whole population, or in the slice of this value of the dimension at this position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Whole,
    Slice(usize, SliceValue),
}

impl Place {
    pub(super) fn slice(&self, query: &MomentsQuery) -> Option<Slice> {
        match self {
            Self::Whole => None,
            Self::Slice(position, value) => {
                Some(Slice { dimension: query.slices[*position].clone(), value: value.clone() })
            }
        }
    }
}

/// Gives each unit its places.
pub(super) fn place<'a>(units: Vec<Unit<'a>>, query: &MomentsQuery) -> Vec<Placed<'a>> {
    let mut placed: Vec<Placed<'a>> =
        units.into_iter().map(|unit| Placed { unit, places: vec![Place::Whole] }).collect();
    for (position, dimension) in query.slices.iter().enumerate() {
        let values: Vec<SliceValue> = placed.iter().map(|placed| value(dimension, placed.unit.first.row)).collect();
        let kept = largest(&values);
        for (placed, value) in placed.iter_mut().zip(values) {
            let is_rare = matches!(value, SliceValue::Is(_)) && !kept.contains(&value);
            placed.places.push(Place::Slice(position, if is_rare { SliceValue::Other } else { value }));
        }
    }
    placed
}

fn value(dimension: &Dimension, exposure: &EventRow) -> SliceValue {
    match dimension {
        Dimension::Attribute(name) => match exposure.properties.as_ref().and_then(|properties| properties.get(name)) {
            Some(Value::String(text)) => SliceValue::Is(text.clone()),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => SliceValue::Is(scalar.to_string()),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => SliceValue::Absent,
        },
        Dimension::ExposureDay => {
            let instant = exposure.ts.to_string();
            SliceValue::Is(instant.split('T').next().unwrap_or_default().to_owned())
        }
    }
}

/// The values with the most units, ties by the smaller text; no more than are allowed.
fn largest(values: &[SliceValue]) -> Vec<SliceValue> {
    let mut units: BTreeMap<&SliceValue, usize> = BTreeMap::new();
    for value in values.iter().filter(|value| matches!(value, SliceValue::Is(_))) {
        *units.entry(value).or_default() += 1;
    }
    let mut ranked: Vec<(&SliceValue, usize)> = units.into_iter().collect();
    ranked.sort_by_key(|(value, units)| (Reverse(*units), *value));
    ranked.into_iter().take(SLICE_VALUES_MAX).map(|(value, _)| value.clone()).collect()
}
