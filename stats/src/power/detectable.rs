//! What a given size can show: the smallest improvement, or for non-inferiority the smallest margin, at which
//! distance = (c(n) + z_power) sqrt(V/n). Closed for means; where V moves with the effect, by root search up to the
//! largest possible one (distance/sqrt(V) grows all the way).

use super::answer::Detectable;
use super::critical::Critical;
use super::design::{Contrast, Design};
use super::request::{Hypothesis, MetricKind};
use crate::root::{Point, root};
use crate::{Direction, Margin};

/// Largest relative margin looked for when the metric has no upper end.
const RELATIVE_MAX: f64 = 1e6;

impl Design {
    /// The smallest effect or margin shown with the power asked for at `n` units in a treatment arm.
    pub(super) fn detectable_at(&self, n: u64, mean: f64, critical: Critical) -> Option<Detectable> {
        let n = n as f64;
        let errors = critical.at(self.compared_units(n)) + self.z_power();
        let excess = |contrast: Contrast| contrast.distance - errors * libm::sqrt(contrast.variance / n);
        let found = match self.hypothesis {
            Hypothesis::Superiority => Margin::Absolute(self.smallest_gain(mean, excess)?),
            Hypothesis::NonInferiority => self.smallest_margin(mean, excess)?,
        };
        let absolute = match found {
            Margin::Absolute(size) => size,
            Margin::Relative(size) => size * mean.abs(),
        };
        let relative = match found {
            Margin::Relative(size) => size,
            Margin::Absolute(size) => size / mean.abs(),
        };
        absolute
            .is_finite()
            .then_some(Detectable { relative: Some(relative).filter(|size| size.is_finite()), absolute })
    }

    fn smallest_gain(&self, mean: f64, excess: impl Fn(Contrast) -> f64) -> Option<f64> {
        let at = |gain: f64| excess(self.contrast(mean, gain, None));
        match (self.kind, self.direction) {
            (MetricKind::Mean | MetricKind::Ratio, _) => Some(-at(0.0)),
            (MetricKind::Proportion, Direction::Increase) => first_root(1.0 - mean, at),
            (MetricKind::Proportion, Direction::Decrease) => first_root(mean, at),
        }
    }

    fn smallest_margin(&self, mean: f64, excess: impl Fn(Contrast) -> f64) -> Option<Margin> {
        let gain = self.gain(mean);
        let at = |margin: Margin| excess(self.contrast(mean, gain, Some(margin)));
        let is_relative = self.margin.map_or(mean > 0.0, |margin| matches!(margin, Margin::Relative(_)));
        // How far the proportion can get worse.
        let room = match self.direction {
            Direction::Increase => mean,
            Direction::Decrease => 1.0 - mean,
        };
        if !is_relative {
            // The variance does not depend on an absolute margin.
            let smallest = (-at(Margin::Absolute(0.0))).max(0.0);
            let is_possible = self.kind != MetricKind::Proportion || smallest < room;
            return is_possible.then_some(Margin::Absolute(smallest));
        }
        let limit = match (self.kind, self.direction) {
            (MetricKind::Proportion, _) => room / mean,
            (_, Direction::Increase) => 1.0,
            (_, Direction::Decrease) => RELATIVE_MAX,
        };
        first_root(limit, |size| at(Margin::Relative(size))).map(Margin::Relative)
    }
}

/// Where a function that crosses zero upwards at most once does so within [0, limit]; 0 if it starts there.
fn first_root(limit: f64, f: impl Fn(f64) -> f64) -> Option<f64> {
    let (start, end) = (Point { x: 0.0, y: f(0.0) }, Point { x: limit, y: f(limit) });
    if start.y >= 0.0 {
        return Some(0.0);
    }
    (end.y > 0.0).then(|| root(start, end, f))
}
