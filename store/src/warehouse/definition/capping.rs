//! The largest value of a unit that counts.

use liftgate_domain::{Cap, Capping, Key, Metric, MetricKind};

use super::Placed;
use super::unit_values::UnitValues;
use super::value_at;

/// A metric's cap as a number, of a ratio one or two.
pub(super) struct Caps {
    value_at: f64,
    denominator_at: Option<f64>,
}

impl Caps {
    /// `None` when the metric has no cap, or nobody has entered.
    pub(super) fn of(metric: &Metric, entered: &[(&Placed<'_>, UnitValues)]) -> Option<Self> {
        if !matches!(metric.kind, MetricKind::Mean | MetricKind::Count | MetricKind::Ratio) || entered.is_empty() {
            return None;
        }
        match metric.cap? {
            Cap::Value(value_at) => Some(Self { value_at, denominator_at: None }),
            Cap::Percentile(percent) => {
                let of_variable = |variable: usize| {
                    let mut sorted: Vec<f64> = entered.iter().map(|(_, values)| values.variables[variable]).collect();
                    sorted.sort_by(f64::total_cmp);
                    value_at(&sorted, percent / 100.0)
                };
                let is_divided = metric.kind == MetricKind::Ratio && metric.denominator.is_some();
                let denominator_at = if is_divided { of_variable(1) } else { None };
                Some(Self { value_at: of_variable(0)?, denominator_at })
            }
        }
    }

    /// Caps a unit's values, not its covariates; true when one of them was larger.
    pub(super) fn apply(&self, values: &mut UnitValues) -> bool {
        let mut is_capped = false;
        for (variable, cap) in [(0, Some(self.value_at)), (1, self.denominator_at)] {
            if let Some(cap) = cap.filter(|cap| values.variables[variable] > *cap) {
                values.variables[variable] = cap;
                is_capped = true;
            }
        }
        is_capped
    }

    pub(super) fn report(&self, metric: Key, units: u64) -> Capping {
        Capping { metric, at: self.value_at, denominator_at: self.denominator_at, units }
    }
}
