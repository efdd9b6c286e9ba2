//! The units of one event, in the one order that every sender and every retry gives.

use crate::RawUnit;

/// The most units an event may have.
pub const UNITS_MAX: usize = 8;
/// The unit type when none is given, and the one that comes first.
pub const UNIT_TYPE_DEFAULT: &str = "user";

/// At least one unit: `user` first when there is one, the others by their type.
pub(crate) struct Units {
    pub(crate) first: RawUnit,
    pub(crate) others: Vec<RawUnit>,
}

impl Units {
    /// `None` when there are none. The types are different ones.
    pub(crate) fn sorted(mut units: Vec<RawUnit>) -> Option<Self> {
        units.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        let mut units = units.into_iter();
        Some(Self { first: units.next()?, others: units.collect() })
    }

    /// A single unit.
    pub(crate) fn one(first: RawUnit) -> Self {
        Self { first, others: Vec::new() }
    }
}

fn order(unit: &RawUnit) -> (bool, &str) {
    (unit.unit_type != UNIT_TYPE_DEFAULT, &unit.unit_type)
}
