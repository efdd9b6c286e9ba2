//! A range, not a point: the sizes at all baselines within the 95 % interval of the one given, and the days they
//! take at low and at high traffic. Interval: Wilson (1927) for proportions, mean +- z sqrt(s^2/n) otherwise (the
//! variance itself is taken as known). Each end of the range stands at its own baseline, one at a time.

use super::answer::{DaysRange, Needed, UnitsRange};
use super::critical::Critical;
use super::design::Design;
use super::error::PowerError;
use super::request::{MetricKind, Traffic};
use crate::{Margin, special};

/// Baselines looked at, evenly over the interval: the size need not be largest at an end.
const POINTS: u32 = 17;
/// One minus the level of the interval.
const INTERVAL_ALPHA: f64 = 0.05;

impl Design {
    /// The sizes for a baseline measured on so many units.
    pub(super) fn needed(
        &self,
        mean: f64,
        measured_units: Option<u64>,
        critical: Critical,
    ) -> Result<Needed, PowerError> {
        let expected = self.units_needed(self.planned(mean)?, critical).ok_or(self.out_of_reach())?;
        let critical = critical.settled(self.compared_units(expected as f64));
        let (mut low, mut high) = (expected, Some(expected));
        if let Some(units) = measured_units {
            let (lower, upper) = self.interval(mean, units as f64);
            let points = (0..POINTS).map(|i| lower + (upper - lower) * f64::from(i) / f64::from(POINTS - 1));
            for point in points {
                let found = self.planned(point).ok().and_then(|contrast| self.units_needed(contrast, critical));
                low = low.min(found.unwrap_or(low));
                high = high.zip(found).map(|(high, found)| high.max(found));
            }
            let is_around_zero = self.kind != MetricKind::Proportion && lower <= 0.0 && upper >= 0.0;
            if is_around_zero && self.is_relative() {
                high = None;
            }
        }
        let of = |count: &dyn Fn(u64) -> u64| UnitsRange {
            low: count(low),
            expected: count(expected),
            high: high.map(count),
        };
        Ok(Needed {
            treatment: of(&|n| n),
            control: of(&|n| self.control_units(n)),
            total: of(&|n| self.total_units(n)),
            days: None,
        })
    }

    fn is_relative(&self) -> bool {
        [self.effect, self.margin].iter().flatten().any(|size| matches!(size, Margin::Relative(_)))
    }

    /// The 95 % interval of a baseline mean.
    fn interval(&self, mean: f64, units: f64) -> (f64, f64) {
        let z = -special::normal_quantile(0.5 * INTERVAL_ALPHA);
        let share = z * z / units;
        match self.kind {
            MetricKind::Proportion => {
                let center = (mean + 0.5 * share) / (1.0 + share);
                let half = libm::sqrt(share * (mean * (1.0 - mean) + 0.25 * share)) / (1.0 + share);
                (center - half, center + half)
            }
            MetricKind::Mean | MetricKind::Ratio => {
                let half = libm::sqrt(share * self.variances.control);
                (mean - half, mean + half)
            }
        }
    }
}

/// How long so many units take.
pub(super) fn days(total: UnitsRange, traffic: Traffic) -> DaysRange {
    let of = |units: u64, per_day: f64| libm::ceil(units as f64 / per_day) as u64;
    DaysRange {
        low: of(total.low, traffic.units_per_day_high),
        high: total.high.map(|units| of(units, traffic.units_per_day_low)),
    }
}
