//! The rest of a running experiment, planned again from the mean and the variance of all its arms together. Which arm
//! a unit is in is not used, so the test keeps its level (for the sequential one N* stays where it was).
//!
//! With s the share of units in treatment: m_C = M/(1 + s sigma effect) for a relative effect, M - s sigma effect for
//! an absolute one. The variance of all arms together contains s (1 - s) effect^2 besides the variance within; it is
//! left in, which asks for a few units too many. Reference: Gould and Shih (1992); Friede and Kieser (2006).

use super::answer::{StillNeeded, UnitsRange};
use super::checks::unusable;
use super::critical::Critical;
use super::design::Design;
use super::error::PowerError;
use super::request::{Baseline, MetricKind, SoFar};
use crate::Margin;
use crate::margin::ByArm;

impl Design {
    /// `critical` is the rule of the plan, its N* settled.
    pub(super) fn still_needed(
        &self,
        so_far: SoFar,
        baseline: Baseline,
        critical: Critical,
    ) -> Result<StillNeeded, PowerError> {
        let mean = so_far.mean.map_or(Ok(baseline.mean), |pooled| self.control_mean(pooled))?;
        let variances = so_far.variance.map_or(self.variances, |pooled| ByArm { treatment: pooled, control: pooled });
        let so_far_total = self.total_units(so_far.units_per_arm);
        let is_measured = so_far.mean.is_some();
        let measured_units = if is_measured { Some(so_far_total) } else { baseline.units };
        let needed = Self { variances, ..*self }.needed(mean, measured_units, critical)?;
        Ok(StillNeeded {
            needed,
            treatment: less(needed.treatment, so_far.units_per_arm),
            total: less(needed.total, so_far_total),
            days: None,
            fraction: so_far.units_per_arm as f64 / needed.treatment.expected as f64,
        })
    }

    /// Control's mean if the mean of all arms is `pooled` and the planned effect is real.
    fn control_mean(&self, pooled: f64) -> Result<f64, PowerError> {
        let share = self.treated_share() * self.direction.sign();
        let mean = match self.effect {
            None => pooled,
            Some(Margin::Absolute(size)) => pooled - share * size,
            Some(Margin::Relative(size)) => pooled / (1.0 + share * size * pooled.signum()),
        };
        let is_usable = match self.kind {
            MetricKind::Proportion => mean > 0.0 && mean < 1.0,
            MetricKind::Mean | MetricKind::Ratio => mean.is_finite() && mean.signum() == pooled.signum(),
        };
        if is_usable {
            Ok(mean)
        } else {
            Err(unusable("so_far.mean", pooled, "write a mean of all arms that is possible with `effect`"))
        }
    }
}

fn less(units: UnitsRange, so_far: u64) -> UnitsRange {
    UnitsRange {
        low: units.low.saturating_sub(so_far),
        expected: units.expected.saturating_sub(so_far),
        high: units.high.map(|high| high.saturating_sub(so_far)),
    }
}
