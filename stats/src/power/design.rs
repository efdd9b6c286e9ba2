//! A question that makes sense: checked once, then only computed with.
//!
//! With sigma = +1 (an increase is better) or -1, gain = sigma (m_T - m_C) and margin delta: the test asks whether
//! distance = gain + slack is above 0. Superiority: slack 0; absolute margin: delta; relative: delta m_C, where
//! control counts R0 = 1 - sigma delta times. Variance of the estimate at n units in a treatment arm and r n in control:
//! V/n, V = (s_T^2 + R0^2 s_C^2/r) (1 - correlation^2) design effect; for proportions s^2 = p (1 - p) in each arm under
//! the effect. Reference: Chow, Shao, Wang (2008, ch. 3, 4); Donner and Klar (2000); Deng, Xu, Kohavi, Walker (2013).

use super::checks;
use super::critical::Critical;
use super::error::PowerError;
use super::request::{Hypothesis, MetricKind, PowerRequest};
use super::tuned_at::TunedAt;
use crate::margin::ByArm;
use crate::special::normal_quantile;
use crate::{Direction, Margin};

/// Everything about the question but the baseline's mean, which the range and the re-estimate vary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Design {
    pub(super) kind: MetricKind,
    pub(super) hypothesis: Hypothesis,
    pub(super) direction: Direction,
    pub(super) effect: Option<Margin>,
    pub(super) margin: Option<Margin>,
    /// Unit variances; not used for proportions.
    pub(super) variances: ByArm,
    /// Factor on the variance: covariate and clusters.
    pub(super) inflation: f64,
    /// Treatment arms.
    pub(super) treatments: f64,
    /// Units in control for each unit in a treatment arm.
    pub(super) control_per_treatment: f64,
    pub(super) alpha: f64,
    /// 1 - power of this one test.
    pub(super) beta: f64,
    pub(super) critical: Critical,
}

/// What the test sees: the distance to be shown and its variance at one unit in a treatment arm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contrast {
    pub(super) distance: f64,
    pub(super) variance: f64,
}

impl Design {
    /// The checked question.
    pub(super) fn new(request: &PowerRequest) -> Result<Self, PowerError> {
        checks::chances(request)?;
        let treatments = f64::from(checks::arms(request)? - 1);
        let treatment_share = checks::allocation(request, treatments)?;
        let variances = checks::variances(request)?;
        let inflation = checks::inflation(request)?;
        checks::hypothesis(request)?;
        let metrics = match request.hypothesis {
            Hypothesis::Superiority => f64::from(checks::success_metrics(request)?),
            // All of them have to be shown, so none gives the others a second chance.
            Hypothesis::NonInferiority => 1.0,
        };
        let alpha = request.alpha / (treatments * metrics);
        let tuned_at = match checks::tuned_at(request)? {
            TunedAt::Units(units) => Some(units as f64),
            TunedAt::Auto => None,
        };
        Ok(Self {
            kind: request.kind,
            hypothesis: request.hypothesis,
            direction: request.direction,
            effect: request.effect,
            margin: request.margin,
            variances,
            inflation,
            treatments,
            control_per_treatment: (1.0 - treatments * treatment_share) / treatment_share,
            alpha,
            beta: (1.0 - request.power) / (f64::from(checks::guardrails(request)?) + 1.0),
            critical: Critical::new(request, alpha, tuned_at),
        })
    }

    /// Whether there is something to size for.
    pub(super) fn is_sized(&self) -> bool {
        match self.hypothesis {
            Hypothesis::Superiority => self.effect.is_some(),
            Hypothesis::NonInferiority => self.margin.is_some(),
        }
    }

    /// Standard errors between the critical value and the effect that give the power asked for.
    pub(super) fn z_power(&self) -> f64 {
        -normal_quantile(self.beta)
    }

    /// The units of both compared arms at `n` units in a treatment arm, as the readout counts them.
    pub(super) fn compared_units(&self, n: f64) -> f64 {
        n * (1.0 + self.control_per_treatment)
    }

    /// Units in control at `n` units in a treatment arm, rounded up.
    pub(super) fn control_units(&self, n: u64) -> u64 {
        // One part in 1e12 forgives a share like 1/3 that doubles cannot hold.
        let units = n as f64 * self.control_per_treatment;
        libm::ceil(units * (1.0 - 1e-12)) as u64
    }

    /// Units in all arms.
    pub(super) fn total_units(&self, n: u64) -> u64 {
        n.saturating_mul(self.treatments as u64).saturating_add(self.control_units(n))
    }

    /// Share of all units that are in a treatment arm.
    pub(super) fn treated_share(&self) -> f64 {
        self.treatments / (self.treatments + self.control_per_treatment)
    }

    /// The assumed improvement at this baseline, in the metric's unit.
    pub(super) fn gain(&self, mean: f64) -> f64 {
        match self.effect {
            None => 0.0,
            Some(Margin::Relative(size)) => size * mean.abs(),
            Some(Margin::Absolute(size)) => size,
        }
    }

    /// What the test sees of `gain` and `margin` at a baseline.
    pub(super) fn contrast(&self, mean: f64, gain: f64, margin: Option<Margin>) -> Contrast {
        let sign = self.direction.sign();
        let (slack, control_weight) = match margin {
            None => (0.0, 1.0),
            Some(Margin::Absolute(size)) => (size, 1.0),
            Some(Margin::Relative(size)) => (size * mean, 1.0 - sign * size),
        };
        let unit = match self.kind {
            MetricKind::Mean | MetricKind::Ratio => self.variances,
            MetricKind::Proportion => {
                let of = |p: f64| p * (1.0 - p);
                ByArm { treatment: of(mean + sign * gain), control: of(mean) }
            }
        };
        let control = control_weight * control_weight * unit.control / self.control_per_treatment;
        Contrast { distance: gain + slack, variance: (unit.treatment + control) * self.inflation }
    }
}
