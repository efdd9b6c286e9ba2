//! The contrast of the plan at one baseline: the checks that depend on the baseline's mean.

use super::checks::unusable;
use super::design::{Contrast, Design};
use super::error::PowerError;
use super::request::{Hypothesis, MetricKind};
use crate::Margin;

impl Design {
    /// What the test sees of the planned effect and margin at a baseline.
    pub(super) fn planned(&self, mean: f64) -> Result<Contrast, PowerError> {
        let gain = self.gain(mean);
        let contrast = self.contrast(mean, gain, self.margin);
        let effect = self.effect.map_or(0.0, Margin::size);
        let margin = self.margin.map_or(0.0, Margin::size);
        if self.kind == MetricKind::Proportion {
            let sign = self.direction.sign();
            let is_probability = |p: f64| p > 0.0 && p < 1.0;
            if !is_probability(mean + sign * gain) {
                return Err(unusable("effect", effect, "write one that leaves the proportion between 0 and 1"));
            }
            if !is_probability(mean - sign * (contrast.distance - gain)) {
                return Err(unusable("margin", margin, "write one that leaves the proportion between 0 and 1"));
            }
        }
        if !contrast.distance.is_finite() {
            return Err(unusable("effect", effect, "write a smaller one"));
        }
        if contrast.distance <= 0.0 {
            return Err(match self.hypothesis {
                Hypothesis::Superiority => self.out_of_reach(),
                Hypothesis::NonInferiority => unusable("effect", effect, "write an assumed harm smaller than `margin`"),
            });
        }
        if contrast.variance > 0.0 && contrast.variance.is_finite() {
            Ok(contrast)
        } else {
            Err(unusable("baseline.variance", self.variances.control, "write a number nearer to 1"))
        }
    }

    /// No size is enough for this.
    pub(super) fn out_of_reach(&self) -> PowerError {
        match self.hypothesis {
            Hypothesis::Superiority => PowerError::OutOfReach { field: "effect" },
            Hypothesis::NonInferiority => PowerError::OutOfReach { field: "margin" },
        }
    }
}
