//! What the answer says of each metric: moments of the units' values, cell by cell, and what caps did to them.

use liftgate_domain::{Cap, Capping, Cell, MetricKind, MomentsAnswer, StoreError};
use liftgate_stats::{JointMoments, Moments};

use super::population::{Cohort, Population};
use super::quantiles;
use super::question::{AskedMetric, Fold, Question};
use super::scan::each;
use super::tallies::{Tallies, Tally};

/// Everything known once all rows are read.
pub(super) struct Counted<'a> {
    pub(super) question: &'a Question<'a>,
    pub(super) population: &'a Population,
    /// By cohort.
    pub(super) tallies: Vec<Tallies>,
    pub(super) threads: usize,
}

/// The largest values of a unit that count: of the value, and of a ratio's denominator.
#[derive(Copy, Clone)]
struct Caps {
    value_at: f64,
    denominator_at: Option<f64>,
}

/// What a cohort adds to a metric's cells.
#[derive(Default)]
struct Part {
    /// By place and stratum.
    cells: Vec<Moments>,
    /// The same of all variables; empty when there is one.
    joint: Vec<JointMoments>,
    capped_units: u64,
    overflows: u64,
}

impl Counted<'_> {
    /// Adds cells, quantiles, caps and counts of values that are not numbers to the answer, metric by metric.
    pub(super) fn write(&self, answer: &mut MomentsAnswer) -> Result<(), StoreError> {
        answer.non_finite += self.tallies.iter().map(|tallies| tallies.non_finite).sum::<u64>();
        for metric in &self.question.metrics {
            self.write_metric(metric, answer)?;
        }
        Ok(())
    }

    fn write_metric(&self, metric: &AskedMetric<'_>, answer: &mut MomentsAnswer) -> Result<(), StoreError> {
        let caps = self.caps(metric)?;
        let parts = each(self.tallies.len(), self.threads, |cohort| Ok(self.part(cohort, metric, caps)))?;
        let mut whole = Part::default();
        for part in parts {
            whole.merge(part);
        }
        answer.non_finite += whole.overflows;
        let key = &metric.asked.key;
        if let Some(caps) = caps {
            let (at, denominator_at) = (caps.value_at, caps.denominator_at);
            answer.capping.push(Capping { metric: key.clone(), at, denominator_at, units: whole.capped_units });
        }
        let strata = &self.population.strata;
        for (position, moments) in whole.cells.iter().enumerate().filter(|(_, moments)| moments.n > 0) {
            let (stage, arm) = &strata[position % strata.len()];
            answer.cells.push(Cell {
                metric: key.clone(),
                slice: self.population.places.slice(position / strata.len()),
                stage: *stage,
                arm: arm.clone(),
                moments: *moments,
                joint: whole.joint.get(position).cloned(),
            });
        }
        quantiles::write(self, metric, answer);
        Ok(())
    }

    /// The metric's caps; `None` when it has none, or nobody is in its cells.
    fn caps(&self, metric: &AskedMetric<'_>) -> Result<Option<Caps>, StoreError> {
        let definition = &metric.asked.metric;
        let is_capped = matches!(definition.kind, MetricKind::Mean | MetricKind::Count | MetricKind::Ratio);
        let Some(cap) = definition.cap.filter(|_| is_capped) else {
            return Ok(None);
        };
        match cap {
            Cap::Value(value_at) => {
                let has_units = (0..self.tallies.len()).any(|cohort| self.entered(cohort, metric).next().is_some());
                Ok(has_units.then_some(Caps { value_at, denominator_at: None }))
            }
            Cap::Percentile(percent) => {
                let is_divided = definition.kind == MetricKind::Ratio && definition.denominator.is_some();
                let Some(value_at) = self.percentile(metric, 0, percent)? else {
                    return Ok(None);
                };
                let denominator_at = if is_divided { self.percentile(metric, 1, percent)? } else { None };
                Ok(Some(Caps { value_at, denominator_at }))
            }
        }
    }

    fn percentile(&self, metric: &AskedMetric<'_>, variable: usize, percent: f64) -> Result<Option<f64>, StoreError> {
        let values = each(self.tallies.len(), self.threads, |cohort| {
            let of_unit = |unit: u32| self.value(cohort, metric.variables.start + variable, unit).unwrap_or(0.0);
            Ok(self.entered(cohort, metric).map(of_unit).collect::<Vec<f64>>())
        })?;
        Ok(quantiles::value_at(&mut values.concat(), percent / 100.0))
    }

    /// The units of a cohort that are in the metric's cells.
    pub(super) fn entered(&self, cohort: usize, metric: &AskedMetric<'_>) -> impl Iterator<Item = u32> {
        let cohort: &Cohort = &self.population.cohorts[cohort];
        let (question, window) = (self.question, metric.window);
        let admits = move |unit: &u32| {
            let unit = *unit as usize;
            question.admits(cohort.first_ts[unit], cohort.leaves_at[unit], window)
        };
        cohort.order.iter().copied().filter(admits)
    }

    /// A unit's value; `None` when its events add up to more than a number holds.
    fn value(&self, cohort: usize, variable: usize, unit: u32) -> Option<f64> {
        match &self.tallies[cohort].of_variables[variable] {
            Tally::Counts(counts) => {
                let count = counts[unit as usize];
                let is_any = matches!(self.question.variables[variable].fold, Fold::Any);
                Some(f64::from(if is_any { count.min(1) } else { count }))
            }
            Tally::Sums(sums) => sums.get(unit),
            Tally::Events { counts, .. } => Some(f64::from(counts[unit as usize])),
        }
    }

    fn part(&self, cohort: usize, metric: &AskedMetric<'_>, caps: Option<Caps>) -> Part {
        let of_cohort = &self.population.cohorts[cohort];
        let (places, strata) = (self.population.places.count(), self.population.strata.len());
        let is_quantile = metric.asked.metric.kind == MetricKind::Quantile;
        let cuts = metric.asked.cuts.len();
        let up_to = match self.tallies[cohort].of_variables.get(metric.variables.start) {
            Some(Tally::Events { up_to, .. }) => up_to.as_slice(),
            _ => &[],
        };
        // Of a quantile the number of events, then those up to each cut.
        let count = metric.variables.len() + if is_quantile { cuts } else { 0 };
        let is_joint = count > 1;
        let mut part = Part { cells: vec![Moments::default(); places * strata], ..Part::default() };
        if is_joint {
            part.joint = vec![JointMoments::new(count); places * strata];
        }
        let mut values = vec![0.0; count];
        for unit in self.entered(cohort, metric) {
            for (value, variable) in values.iter_mut().zip(metric.variables.clone()) {
                *value = self.value(cohort, variable, unit).unwrap_or_else(|| {
                    part.overflows += 1;
                    0.0
                });
            }
            if !up_to.is_empty() {
                let of_unit = &up_to[unit as usize * cuts..][..cuts];
                values[1..].iter_mut().zip(of_unit).for_each(|(value, count)| *value = f64::from(*count));
            }
            if let Some(caps) = caps {
                part.capped_units += u64::from(caps.apply(&mut values));
            }
            let unit = unit as usize;
            for place in of_cohort.places_of(unit) {
                let position = place * strata + of_cohort.strata[unit] as usize;
                part.cells[position].push(values[0]);
                if is_joint {
                    part.joint[position].push(&values);
                }
            }
        }
        part
    }
}

impl Caps {
    /// Caps a unit's values, not its covariates; true when one of them was larger.
    fn apply(&self, values: &mut [f64]) -> bool {
        let mut is_capped = false;
        let caps = [Some(self.value_at), self.denominator_at];
        for (value, cap) in values.iter_mut().zip(caps) {
            if let Some(cap) = cap.filter(|cap| *value > *cap) {
                *value = cap;
                is_capped = true;
            }
        }
        is_capped
    }
}

impl Part {
    fn merge(&mut self, other: Self) {
        if self.cells.is_empty() {
            *self = other;
            return;
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(cell, more)| cell.merge(more));
        self.joint.iter_mut().zip(&other.joint).for_each(|(cell, more)| cell.merge(more));
        self.capped_units += other.capped_units;
        self.overflows += other.overflows;
    }
}
