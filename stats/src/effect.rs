//! What every model of a metric reduces two arms to: a difference, a baseline, and how uncertain both are together.
//! Models (means, ratios, covariates, strata, quantiles) make an effect; inferences (fixed horizon, anytime-valid,
//! Bayesian, margins) read it. So each model meets each inference without being written twice.
//!
//! N = treatment - control (adjusted, when the model adjusts), D = control mean (never adjusted), v_N, v_D their
//! variances and c = Cov(N, D). Unadjusted arms: v_N = V_T + V_C, v_D = V_C, c = -V_C.

use crate::Moments;

/// A difference beside its baseline. All numbers are finite and variances not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Treatment minus control.
    pub difference: f64,
    /// Variance of the difference (its squared standard error).
    pub variance: f64,
    /// The control mean that a lift is relative to.
    pub baseline: f64,
    /// Variance of that mean.
    pub baseline_variance: f64,
    /// Covariance of difference and baseline.
    pub covariance: f64,
    /// Degrees of freedom of `variance`.
    pub df: f64,
    /// Units of both arms together.
    pub units: f64,
}

/// Above this many degrees of freedom the t and the normal distribution are the same to double precision. (Not at 1e6:
/// there a p-value of 1e-15 differs in the third digit.)
pub(crate) const NORMAL_FROM_DF: f64 = 1e12;

impl Effect {
    /// Two independent arms of one value a unit. Degrees of freedom by Satterthwaite (1946).
    /// `None` when an arm has fewer than two units or a number is not finite.
    pub fn of_means(control: &Moments, treatment: &Moments) -> Option<Self> {
        let v_control = control.variance()? / control.n as f64;
        let v_treatment = treatment.variance()? / treatment.n as f64;
        Self {
            difference: treatment.mean - control.mean,
            variance: v_treatment + v_control,
            baseline: control.mean,
            baseline_variance: v_control,
            covariance: -v_control,
            df: satterthwaite(&[(v_treatment, (treatment.n - 1) as f64), (v_control, (control.n - 1) as f64)]),
            units: control.n as f64 + treatment.n as f64,
        }
        .checked()
    }

    /// The effect when all its numbers can be used.
    pub(crate) fn checked(self) -> Option<Self> {
        let numbers = [self.difference, self.variance, self.baseline, self.baseline_variance, self.covariance];
        let is_usable =
            numbers.iter().all(|number| number.is_finite()) && self.variance >= 0.0 && self.baseline_variance >= 0.0;
        is_usable.then_some(self)
    }

    /// Standard error of the difference.
    pub fn se(&self) -> f64 {
        libm::sqrt(self.variance)
    }

    /// The difference in standard errors; `None` without variance.
    pub fn statistic(&self) -> Option<f64> {
        let z = self.difference / self.se();
        z.is_finite().then_some(z)
    }

    /// The same arms with the metric turned round: every number of a unit times -1.
    pub fn negated(self) -> Self {
        Self { difference: -self.difference, baseline: -self.baseline, ..self }
    }
}

/// Degrees of freedom of a sum of independent variances, each with its own: (sum v)^2 / sum(v^2/df).
pub(crate) fn satterthwaite(parts: &[(f64, f64)]) -> f64 {
    let total: f64 = parts.iter().map(|(variance, _)| variance).sum();
    // As shares, so that squares neither overflow nor vanish.
    let sum: f64 = parts.iter().map(|(variance, df)| (variance / total) * (variance / total) / df).sum();
    let df = 1.0 / sum;
    if df.is_nan() { 1.0 } else { df.max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn satterthwaite_of_equal_parts_adds_their_degrees() {
        assert!((satterthwaite(&[(1.0, 9.0), (1.0, 9.0)]) - 18.0).abs() < 1e-12);
        assert!((satterthwaite(&[(1.0, 9.0), (0.0, 3.0)]) - 9.0).abs() < 1e-12);
        assert_eq!(satterthwaite(&[(0.0, 9.0), (0.0, 9.0)]), 1.0);
    }
}
