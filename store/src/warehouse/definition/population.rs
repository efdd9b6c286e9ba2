//! Who is analysed: the units whose first exposure is in an asked arm, but for the quarantined and the excluded.

use std::collections::{BTreeMap, BTreeSet};

use liftgate_domain::{EventRow, MomentsQuery, RowKind};

use super::horizon::Horizon;

/// An exposure with arm and stage.
pub(super) struct FirstExposure<'a> {
    pub(super) row: &'a EventRow,
    pub(super) stage: u32,
    pub(super) arm: &'a str,
}

/// A unit, its first exposure, and all its metric rows whenever they were.
pub(super) struct Unit<'a> {
    pub(super) first: FirstExposure<'a>,
    pub(super) events: Vec<&'a EventRow>,
}

/// The analysed units and how many were left out.
#[derive(Default)]
pub(super) struct Population<'a> {
    /// In the order of their ids.
    pub(super) units: Vec<Unit<'a>>,
    pub(super) crossover_units: u64,
    pub(super) excluded_units: u64,
}

impl<'a> Population<'a> {
    /// `rows` are the visible rows of the asked unit type.
    pub(super) fn of(rows: &[&'a EventRow], query: &MomentsQuery, horizon: &Horizon) -> Self {
        let mut by_unit: BTreeMap<&str, Vec<&EventRow>> = BTreeMap::new();
        for row in rows {
            by_unit.entry(&row.unit_id).or_default().push(row);
        }
        let mut population = Self::default();
        for rows in by_unit.into_values() {
            let (exposures, events): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == RowKind::Exposure);
            let exposures: Vec<_> = exposures.into_iter().filter(|row| horizon.considers(row)).collect();
            let of_run = exposures.iter().filter(|row| row.run == Some(query.history.number));
            let of_run: Vec<FirstExposure<'_>> = of_run
                .filter_map(|row| Some(FirstExposure { row, stage: row.stage?, arm: row.arm.as_deref()? }))
                .collect();
            if of_run.iter().map(|exposure| exposure.arm).collect::<BTreeSet<_>>().len() > 1 {
                population.crossover_units += 1;
                continue;
            }
            let first = of_run.into_iter().min_by_key(|exposure| (exposure.row.ts, &exposure.row.event_id));
            let Some(first) = first.filter(|first| query.arms.iter().any(|arm| arm == first.arm)) else {
                continue;
            };
            if exposures.iter().any(|row| is_excluded_by(row, query)) {
                population.excluded_units += 1;
                continue;
            }
            population.units.push(Unit { first, events });
        }
        population
    }
}

fn is_excluded_by(exposure: &EventRow, query: &MomentsQuery) -> bool {
    exposure.arm.is_some() && exposure.run.is_some_and(|run| query.exclude_runs.contains(&run))
}
